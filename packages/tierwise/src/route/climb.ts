import { classifyFailure, isControlFlow } from "../dispatch/classify-failure.ts"
import { withSignal } from "../dispatch/with-signal.ts"
import type { Curtain } from "../langchain/curtain.ts"
import type { Piece } from "../langchain/piece.ts"
import { messageOf } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"
import type { Answer, Verdict } from "../spec/validation.ts"
import { callInOrder, joinPieces } from "./call-in-order.ts"
import type { RouterParts } from "./router-parts.ts"
import { here, type Walk } from "./walk.ts"

/** Chunks of an answer: as they come if it is live, in one burst if they were held back. */
export type Words = AsyncIterable<Piece> | readonly Piece[]

/** An answer in hand, and who gave it. */
export interface Served {
  readonly answer: Answer
  readonly by: { readonly deploymentId: string; readonly tier: Tier }
}

/** An answer, and what there is of it that nobody has read yet. */
export interface InHand {
  readonly served: Served
  readonly held: readonly Piece[]
  /** Before its handlers; undefined: there is none. */
  readonly curtain: Curtain | undefined
}

/**
 * Asks the planned candidates; while the answer is rejected, has not been read and there is a tier above, asks that one.
 * Yields the words of an answer that is read as it comes; one that was held back is returned with its words. What has been
 * read cannot be taken back: an answer that was shown is judged for the record only.
 */
export async function* climb(parts: RouterParts, walk: Walk): AsyncGenerator<Words, InHand, undefined> {
  const { record } = walk
  const curtains = new Set<Curtain>()
  /** Nobody is to read what these hide: they are gone before other words are shown. */
  const dropAllBut = async (kept: Curtain | undefined) => {
    for (const curtain of curtains) {
      if (curtain === kept) continue
      curtains.delete(curtain)
      // What a handler makes of an end that is of no use to anybody must not cost the answer.
      await curtain.drop().catch(() => {})
    }
  }
  let { candidates } = walk.planned
  let { decision } = walk.planned.plan
  let inHand: InHand | undefined
  try {
    for (;;) {
      const calling = callInOrder(parts, walk, { decision, candidates }, (curtain) => curtains.add(curtain))
      const pieces: Piece[] = []
      let shown = false
      let served: Served
      try {
        for await (const piece of calling.pieces) {
          if (piece.shown === true) {
            shown = true
            await dropAllBut(undefined)
          } else if (piece.live !== undefined) {
            shown = true
            await dropAllBut(undefined)
            yield [...pieces]
            yield piece.live
            const rest = piece.live.taken()
            if (rest !== undefined) pieces.push(rest)
          } else pieces.push(piece)
        }
        served = servedBy(walk, pieces)
      } catch (error) {
        // An answer in hand, even a poor one, beats an error; but nobody overrules an abort or an interrupt.
        if (inHand === undefined || shown || !isFailure(error, walk)) throw error
        record.problem({ room: "dispatch", error: `the escalation failed: ${messageOf(error)}` })
        await dropAllBut(inHand.curtain)
        curtains.clear()
        return inHand
      }
      const curtain = calling.curtain()
      inHand = { served, held: shown ? [] : pieces, curtain }
      const verdict = await judge(parts, walk, served)
      const next = verdict.accepted || shown ? undefined : walk.nextRung(served.by.tier)
      if (verdict.accepted || next === undefined) {
        await dropAllBut(curtain)
        curtains.clear()
        return inHand
      }
      decision = { ...next.decision, because: verdict.reason }
      record.escalated(decision)
      candidates = next.candidates
    }
  } finally {
    await dropAllBut(undefined)
  }
}

function servedBy({ record }: Walk, pieces: readonly Piece[]): Served {
  const by = record.answeredBy()
  if (pieces.length === 0 || by === undefined) throw new TypeError("a model ended its call without an answer")
  return { answer: joinPieces(pieces), by }
}

async function judge(
  { validator }: RouterParts,
  { record, request, invocation }: Walk,
  { answer, by }: Served,
): Promise<Verdict> {
  const { within = here } = invocation
  const { signal } = invocation.config
  let verdict: Verdict = { accepted: true }
  try {
    const judged = await withSignal(
      within(async () => validator.validate(answer, request)),
      signal,
    )
    if (typeof (judged as Verdict | undefined)?.accepted !== "boolean")
      throw new TypeError("it gave no verdict")
    verdict = judged
  } catch (error) {
    if (signal?.aborted || isControlFlow(error)) throw error
    record.problem({ room: "validation", error: `${validator.name}: ${messageOf(error)}` })
  }
  record.judged({ ...by, verdict })
  return verdict
}

/** True for what an answer in hand may stand in for. */
function isFailure(error: unknown, { invocation }: Walk): boolean {
  const callerAborted = invocation.config.signal?.aborted ?? false
  const kind = classifyFailure(error, { callerAborted, timedOut: false, fromProvider: false })
  return kind !== "aborted" && kind !== "control-flow" && kind !== "defect"
}

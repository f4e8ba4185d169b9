import type { AIMessageChunk } from "@langchain/core/messages"
import { classifyFailure, isControlFlow } from "../dispatch/failures/classify-failure.ts"
import { withSignal } from "../dispatch/with-signal.ts"
import { announce } from "../langchain/announce.ts"
import type { Curtain } from "../langchain/curtain.ts"
import { forgetful, withoutRestarts } from "../langchain/is-restart.ts"
import type { Piece } from "../langchain/piece.ts"
import { messageOf, type StreamBrokenError } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"
import type { Answer, Verdict } from "../spec/validation.ts"
import { callInOrder, joinPieces } from "./call-in-order.ts"
import { brokenStream, goOn, stillBroken } from "./recover-stream.ts"
import type { RouterParts } from "./router-parts.ts"
import { here, type Rung, type Walk } from "./walk.ts"

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
  let rung: Rung = { decision: walk.planned.plan.decision, candidates: walk.planned.candidates }
  let asked = walk
  /** Words that the reader has of an answer that broke off, and what that was. */
  let before: Piece | undefined
  let broken: StreamBrokenError | undefined
  let inHand: InHand | undefined
  try {
    for (;;) {
      const calling = callInOrder(parts, asked, rung, (curtain) => curtains.add(curtain))
      const pieces: Piece[] = before === undefined ? [] : [before]
      const own = pieces.length
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
            const opening = pieces.slice(own)
            // Who joins chunks without a look at them is to have one answer all the same.
            const first = opening[0]?.message as AIMessageChunk | undefined
            if (parts.midStream === "restart" && first !== undefined) forgetful(first)
            yield opening
            yield piece.live
            const rest = piece.live.taken()
            if (rest !== undefined) pieces.push(rest)
          } else pieces.push(piece)
        }
        served = servedBy(walk, pieces)
      } catch (error) {
        if (!isFailure(error, walk)) throw error
        if (shown) {
          broken = brokenStream(asked, pieces, error)
          const next = walk.deadline?.isOver() === true ? undefined : goOn(parts, asked, rung, pieces, broken)
          if (next === undefined) throw broken
          const { deploymentId, failure, how } = next
          record.recovered({ deploymentId, failure, how })
          await announce(`tierwise.stream-${how}`, { deploymentId, failure }, walk.invocation.config)
          if (next.marker !== undefined) yield [next.marker]
          asked = next.walk
          rung = next.rung
          before = next.before
          continue
        }
        // The reader has words of an answer, and nobody goes on with it.
        if (broken !== undefined) throw stillBroken(walk, broken)
        // An answer in hand, even a poor one, beats an error; but nobody overrules an abort or an interrupt.
        if (inHand === undefined) throw error
        record.problem({ room: "dispatch", error: `the escalation failed: ${messageOf(error)}` })
        await dropAllBut(inHand.curtain)
        curtains.clear()
        return inHand
      }
      const curtain = calling.curtain()
      inHand = { served, held: shown ? [] : pieces.slice(own), curtain }
      const verdict = await judge(parts, walk, served)
      const next = verdict.accepted || shown ? undefined : walk.nextRung(served.by.tier)
      if (verdict.accepted || next === undefined) {
        await dropAllBut(curtain)
        curtains.clear()
        return inHand
      }
      rung = { ...next, decision: { ...next.decision, because: verdict.reason } }
      record.escalated(rung.decision)
    }
  } finally {
    await dropAllBut(undefined)
  }
}

function servedBy({ record }: Walk, pieces: readonly Piece[]): Served {
  const by = record.answeredBy()
  if (pieces.length === 0 || by === undefined) throw new TypeError("a model ended its call without an answer")
  const answer = joinPieces(pieces)
  return { answer: { ...answer, message: withoutRestarts(answer.message) }, by }
}

async function judge(
  { validator }: RouterParts,
  { record, request, invocation, callerAborted }: Walk,
  { answer, by }: Served,
): Promise<Verdict> {
  const { within = here } = invocation
  const { signal } = invocation
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
    if (callerAborted() || isControlFlow(error)) throw error
    record.problem({ room: "validation", error: `${validator.name}: ${messageOf(error)}` })
  }
  record.judged({ ...by, verdict })
  return verdict
}

/** True for what an answer in hand may stand in for. */
function isFailure(error: unknown, { callerAborted, deadline }: Walk): boolean {
  const timedOut = deadline?.isOver() === true
  const kind = classifyFailure(error, { callerAborted: callerAborted(), timedOut, fromProvider: false })
  return kind !== "aborted" && kind !== "control-flow" && kind !== "defect"
}

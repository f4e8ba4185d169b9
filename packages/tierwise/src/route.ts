import type { Invocation } from "./langchain/call-model.ts"
import { replyMetadata } from "./langchain/reply.ts"
import { checkRequest } from "./route/check-request.ts"
import { climb, type InHand, type Words } from "./route/climb.ts"
import { makePlan, type Planned } from "./route/make-plan.ts"
import { type CallQuote, predictCost } from "./route/predict-cost.ts"
import { recall, sayAgain, streamAgain } from "./route/recall.ts"
import type { Routed } from "./route/routed.ts"
import type { RouterParts } from "./route/router-parts.ts"
import type { RunningDeadline } from "./route/running-deadline.ts"
import { startWalk, takeSnapshot, type Walk } from "./route/walk.ts"
import { DeadlineExceededError, StreamBrokenError } from "./spec/errors.ts"
import type { Snapshot } from "./spec/policy.ts"
import type { RouteRequest } from "./spec/request.ts"
import type { Plan, RouteRecord } from "./spec/telemetry.ts"

/** The hall: it has no opinions, it walks a request from room to room and writes down what happened. */
export interface Hall {
  /** What would be done, without calling anybody. */
  plan(request: RouteRequest, snapshot?: Snapshot): Promise<Plan>
  /** What that may cost. */
  quote(request: RouteRequest): Promise<CallQuote>
  generate(request: RouteRequest, invocation: Invocation, deadline?: RunningDeadline): Promise<Routed>
  /** Yields the words as they come; returns them joined when the stream has closed. */
  stream(
    request: RouteRequest,
    invocation: Invocation,
    deadline?: RunningDeadline,
  ): AsyncGenerator<Words, Routed, undefined>
}

export function createHall(parts: RouterParts): Hall {
  return {
    async plan(request, snapshot) {
      return (await planned(parts, request, snapshot)).plan
    },

    async quote(request) {
      return predictCost(parts, await planned(parts, request))
    },

    async generate(request, invocation, deadline) {
      const known = await recall(parts, request, invocation)
      if (known.hit !== undefined) return sayAgain(known.hit, request, invocation)
      try {
        const walk = await startWalk(parts, request, invocation, { streamed: false, deadline })
        const walking = walkThrough(parts, walk, known.keep)
        let step = await walking.next()
        while (step.done !== true) step = await walking.next()
        return step.value
      } finally {
        known.abandon()
      }
    },

    async *stream(request, invocation, deadline) {
      const known = await recall(parts, request, invocation)
      if (known.hit !== undefined) return yield* streamAgain(known.hit, request, invocation)
      try {
        const walk = await startWalk(parts, request, invocation, { streamed: true, deadline })
        const walking = walkThrough(parts, walk, known.keep)
        let step = await walking.next()
        try {
          for (; step.done !== true; step = await walking.next()) {
            // From here on the answer takes as long as its reader does.
            known.release()
            yield step.value
          }
        } finally {
          await walking.return(undefined as never)
        }
        return step.value
      } finally {
        known.abandon()
      }
    },
  }
}

async function planned(parts: RouterParts, request: RouteRequest, snapshot?: Snapshot): Promise<Planned> {
  checkRequest(request, parts.tiers)
  return makePlan(parts, request, snapshot ?? (await takeSnapshot(parts, request)), { takesTurn: false })
}

/** What came too late is told as that, unless its reader has a part of it. */
function told({ deadline, record, callerAborted }: Walk, error: unknown): unknown {
  if (deadline?.isOver() !== true || callerAborted() || error instanceof StreamBrokenError) return error
  return new DeadlineExceededError(record.attempts(), deadline.ms, error)
}

/** Climbs until there is an answer, and closes the record on every way out. */
async function* walkThrough(
  parts: RouterParts,
  walk: Walk,
  keep: (routed: Routed) => Promise<void>,
): AsyncGenerator<Words, Routed, undefined> {
  const { signal } = walk.invocation
  let inHand: InHand | undefined
  let failure: unknown
  let record: RouteRecord
  try {
    inHand = yield* climb(parts, walk)
  } catch (error) {
    failure = told(walk, error ?? new Error("nothing was thrown, but thrown it was"))
    throw failure
  } finally {
    walk.deadline?.end()
    const left = () => signal?.reason ?? new Error("the reader stopped reading")
    record = walk.record.close(inHand?.served.by, inHand === undefined ? (failure ?? left()) : undefined)
  }
  const { served, held, curtain } = inHand
  const routed = { answer: served.answer, reply: replyMetadata(record) }
  await keep(routed)
  await curtain?.raise()
  if (held.length > 0) yield held
  return routed
}

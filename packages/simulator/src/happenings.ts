import type { Socket } from "node:net"
import { setImmediate } from "node:timers/promises"
import type { AnswerForm } from "./answer-form.ts"
import { callIn, type Happening, type ShownPiece } from "./breaking.ts"
import { bill, chunkOf, type Job } from "./job.ts"
import type { JsonObject } from "./protocol.ts"
import { errorInside } from "./refusals.ts"

/** An answer just before one of its chunks. */
export interface Moment extends Pick<Happening, "forMs" | "everyMs"> {
  readonly job: Job
  readonly form: AnswerForm
  /** Sent so far. */
  readonly chunks: number
  /** The last piece that was sent. */
  readonly last: ShownPiece | undefined
  /** What would be sent now. */
  readonly next: JsonObject
}

/** Resolves to false if the answer is over then. */
export type Happens<Where> = (where: Where) => Promise<boolean>

/** What needs nothing but the connection, and so can happen anywhere. */
export const TO_CONNECTION: ByHow<Pick<Moment, "job" | "forMs">> = {
  cut: async ({ job: { call } }) => {
    // What was written goes out, and the connection breaks instead of ending.
    onceWritten(call.response.socket, () => call.response.destroy())
    return false
  },
  reset: async ({ job: { call } }) => {
    const { socket } = call.response
    onceWritten(socket, () => socket?.resetAndDestroy())
    return false
  },
  ends: async ({ job: { call } }) => {
    call.response.end()
    return false
  },
  stalls: async ({ job: { call, settings }, forMs }) => {
    await (forMs === undefined ? untilAborted(call.signal) : settings.sleep(forMs, call.signal))
    return true
  },
}

/** What happens between two chunks. How an answer ends properly is settled before it begins. */
export const BETWEEN_CHUNKS: ByHow<Moment> = {
  ...TO_CONNECTION,
  ends: async ({ form, chunks }) => {
    await form.leave(chunks)
    return false
  },
  error: async ({ job, form }) => {
    await form.fail(errorInside(job.fault ?? {}))
    return false
  },
  truncated: async ({ form, next }) => {
    await form.halve(next)
    return false
  },
  garbled: ({ form }) => form.garble(),
  endless: async ({ job, form, last, everyMs = 10 }) => {
    const { settings, call } = job
    const piece = againAndAgain(last)
    for (;;) {
      await settings.sleep(everyMs, call.signal)
      // A sleep that takes no time must not keep the reader from being heard.
      await setImmediate()
      call.signal.throwIfAborted()
      bill(job, piece)
      await form.send(chunkOf(job, piece, null))
    }
  },
}

type ByHow<Where> = Readonly<Partial<Record<Happening["how"], Happens<Where>>>>

/** What a model says that does not find an end: its last word, or white space where it writes arguments. */
function againAndAgain(last: ShownPiece | undefined): ShownPiece {
  const { choice = 0, delta = { content: " and" } } = last ?? {}
  const call = callIn(delta)
  if (call === undefined) return { choice, delta, tokens: 1 }
  return { choice, delta: { tool_calls: [{ index: call.index, function: { arguments: " " } }] }, tokens: 1 }
}

function onceWritten(socket: Socket | null, then: () => void): void {
  if (socket === null || socket.writableLength === 0) then()
  else socket.write("", then)
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  })
}

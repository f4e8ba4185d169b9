import type { DispatchCandidate, DispatchOptions } from "./dispatch-options.ts"
import type { FailureContext } from "./failures/classify-failure.ts"
import { linkedAbort } from "./linked-abort.ts"
import { patientTimer } from "./patient-timer.ts"
import { type Relay, relay } from "./relay.ts"
import { type StallWatch, stallWatch } from "./stall-watch.ts"
import { withSignal } from "./with-signal.ts"

/** One call of one candidate, with its own clocks. */
export interface Try<P> {
  next(): Promise<IteratorResult<P>>
  /** The answer has begun, and may take its time from here on. Returns when that was, epoch ms. */
  open(): number
  /** The rest of it, for its reader to take directly. */
  handOver(join: (pieces: readonly P[]) => P): Relay<P>
  /** Whether the provider is at work, or its reader has read on since this was asked last. */
  goesOn(): boolean
  /** Which of our signals have fired. */
  fired(): FailureContext
  /** It is the whole request whose time is over, not the try's. */
  isOverdue(): boolean
  /** False while nothing has left this process: then nobody can bill it. */
  wasSent(): boolean
  close(): void
}

export function newTry<C extends DispatchCandidate, P>(
  options: DispatchOptions<C, P>,
  candidate: C,
  holdId: string | undefined,
): Try<P> {
  const { call, signal, settings, isProvider, deadline } = options
  const { attemptTimeoutMs, stallTimeoutMs, now } = settings
  const isTimed = attemptTimeoutMs !== undefined || stallTimeoutMs !== undefined
  const own = isTimed ? linkedAbort(signal) : undefined
  const both = own?.signal ?? signal
  let hasTimedOut = false
  const timeOut = (message: string) => {
    hasTimedOut = true
    own?.abort(tooLate(message))
  }
  const endTimer =
    attemptTimeoutMs === undefined
      ? undefined
      : patientTimer(attemptTimeoutMs, now, () => timeOut(`no answer began within ${attemptTimeoutMs} ms`))
  const isDeadlineOver = () => deadline?.isOver() === true
  let stall: StallWatch | undefined
  let pieces: AsyncIterator<P> | undefined
  let rest: Relay<P> | undefined
  let isAsked = false
  let moved = false
  const heard = () => {
    moved = true
    if (isAsked) stall?.asked()
  }
  return {
    async next() {
      both?.throwIfAborted()
      pieces ??= call(candidate, both, holdId, heard)[Symbol.asyncIterator]()
      isAsked = true
      moved = true
      stall?.asked()
      try {
        return await withSignal(pieces.next(), both)
      } finally {
        stall?.arrived()
        isAsked = false
      }
    },
    goesOn() {
      const since = moved || isAsked || rest?.goesOn() === true
      moved = false
      return since
    },
    handOver(join) {
      rest = relay(pieces as AsyncIterator<P>, join, both, stall)
      return rest
    },
    open() {
      endTimer?.()
      if (stallTimeoutMs !== undefined) {
        const stalled = () => timeOut(`no more of the answer came within ${stallTimeoutMs} ms`)
        stall = stallWatch(stallTimeoutMs, now, stalled)
      }
      return now()
    },
    fired: () => ({
      callerAborted: signal?.aborted === true && !isDeadlineOver(),
      timedOut: hasTimedOut || isDeadlineOver(),
      fromProvider: pieces !== undefined && isProvider?.(candidate) === true,
    }),
    isOverdue: () => isDeadlineOver() && !hasTimedOut,
    wasSent: () => pieces !== undefined,
    close() {
      endTimer?.()
      stall?.end()
      own?.unlink()
      // An aborted model closes its run only when it is asked for more.
      if (both?.aborted === true) void pieces?.next().catch(() => {})
      // A generator that is busy answers `return` only when it is done: the signal ends it, nobody waits for it.
      void Promise.resolve(pieces?.return?.()).catch(() => {})
    },
  }
}

function tooLate(message: string): Error {
  return Object.assign(new Error(message), { name: "TimeoutError" })
}

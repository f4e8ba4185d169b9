import type { LinkedAbort } from "../dispatch/linked-abort.ts"
import { RouterClosedError } from "../spec/errors.ts"

export interface CloseOptions {
  /**
   * How long calls under way have to come to their end, ms; 0: no time at all. What is longer is cancelled. Default 8,000: a
   * container is mostly killed 10 s after it was told to stop.
   */
  readonly deadlineMs?: number | undefined
}

/** What came of the calls that were under way when a router was closed. */
export interface CloseReport {
  /** Came to their own end, well or badly. */
  readonly ended: number
  /** Were cancelled at the deadline: told with a RouterClosedError, and paid for what they had made. */
  readonly cancelled: number
  /** Were cancelled, and had not ended 12 s later: something of their caller's, such as a handler, does not return. */
  readonly stuck: number
}

/** A call that whoever closes the router waits for. */
export interface CallUnderWay {
  /** Fires when the call is to end. */
  readonly signal: AbortSignal
  /** What a failure of the call is thrown as: if it was cancelled, as that. */
  told(failure: unknown): unknown
  /** Its money is settled, and its run is closed. Only the first time counts. */
  ended(hasAnswered: boolean): void
}

export interface CallsUnderWay {
  /**
   * A call begins.
   *
   * @param abortOf What ends it. It is unlinked when the call has ended.
   * @throws RouterClosedError once they are closed.
   */
  began(abortOf: () => LinkedAbort): CallUnderWay
  /**
   * Lets no more begin. Resolves when the last one has ended; never rejects. Called again, the deadline that is over first
   * counts, and without one the earlier ones.
   */
  close(deadlineMs: number | undefined): Promise<CloseReport>
}

export const DEFAULT_CLOSE_DEADLINE_MS = 8_000

/** What was cancelled has still its money to settle: longer than any step of a budget may take, ms. */
export const SETTLE_WITHIN_MS = 12_000

type Timer = ReturnType<typeof setTimeout>

/** A call, as whoever closes sees it. */
interface Cancellable {
  cancel(deadlineMs: number): void
}

/** The calls of a router and of all that were made of it. */
export function callsUnderWay(): CallsUnderWay {
  const open = new Set<Cancellable>()
  const timers = new Set<Timer>()
  let closing: PromiseWithResolvers<CloseReport> | undefined
  let ended = 0
  let cancelled = 0

  // These keep the process alive, unlike all others: whoever closes has asked for what comes at their end.
  function after(ms: number, then: () => void): void {
    timers.add(setTimeout(then, ms))
  }

  function cancelAll(deadlineMs: number): void {
    for (const call of open) call.cancel(deadlineMs)
    after(SETTLE_WITHIN_MS, report)
  }

  function report(): void {
    for (const timer of timers) clearTimeout(timer)
    closing?.resolve({ ended, cancelled, stuck: open.size })
  }

  function hasEnded(wasCancelled: boolean): void {
    if (closing === undefined) return
    if (wasCancelled) cancelled++
    else ended++
    if (open.size === 0) report()
  }

  return {
    began(abortOf) {
      if (closing !== undefined) throw new RouterClosedError()
      const { signal, abort, unlink } = abortOf()
      let closed: RouterClosedError | undefined
      const call: Cancellable = {
        cancel(deadlineMs) {
          // Its caller has ended it already.
          if (signal.aborted) return
          closed = new RouterClosedError(deadlineMs)
          abort(closed)
        },
      }
      open.add(call)
      return {
        signal,
        told: (failure) => closed ?? failure,
        ended(hasAnswered) {
          if (!open.delete(call)) return
          unlink()
          hasEnded(closed !== undefined && !hasAnswered)
        },
      }
    },
    close(deadlineMs) {
      const ms = deadlineMs ?? (closing === undefined ? DEFAULT_CLOSE_DEADLINE_MS : undefined)
      closing ??= Promise.withResolvers()
      if (open.size === 0) report()
      else if (ms !== undefined) after(ms, () => cancelAll(ms))
      return closing.promise
    },
  }
}

import type { Deadline } from "../dispatch/dispatch-options.ts"

/** A request's deadline while it runs. */
export interface RunningDeadline extends Deadline {
  /** How long it had in all, ms. */
  readonly ms: number
  /** Fires when it is over, and when the caller's own does. */
  readonly signal: AbortSignal
  /** The request is done: it is over no more. */
  end(): void
}

export function runningDeadline(
  ms: number,
  now: () => number,
  callerSignal: AbortSignal | undefined,
): RunningDeadline {
  const over = new AbortController()
  const reason = Object.assign(new Error(`the request took more than ${ms} ms`), { name: "TimeoutError" })
  const timer = setTimeout(() => over.abort(reason), ms)
  return {
    ms,
    at: now() + ms,
    isOver: () => over.signal.aborted,
    signal: callerSignal === undefined ? over.signal : AbortSignal.any([callerSignal, over.signal]),
    end: () => clearTimeout(timer),
  }
}

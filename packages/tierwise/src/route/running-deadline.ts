import type { Deadline } from "../dispatch/dispatch-options.ts"
import { type LinkedAbort, linkedAbort } from "../dispatch/linked-abort.ts"

/** A request's deadline while it runs, with a signal that fires when it is over, and when the caller's own does. */
export interface RunningDeadline extends Deadline, LinkedAbort {
  /** How long it had in all, ms. */
  readonly ms: number
  /** The request is done: it will not be over any more. */
  end(): void
}

/** @param usualMs The deadline of calls that name none; undefined: they have none. */
export function runningDeadline(
  ms: number,
  usualMs: number | undefined,
  now: () => number,
  callerSignal: AbortSignal | undefined,
): RunningDeadline {
  const either = linkedAbort(callerSignal)
  let isOver = false
  const timer = setTimeout(() => {
    isOver = true
    const message = `the request took more than ${ms} ms`
    either.abort(Object.assign(new Error(message), { name: "TimeoutError" }))
  }, ms)
  const end = () => {
    clearTimeout(timer)
    either.unlink()
  }
  return {
    ms,
    at: now() + ms,
    fairMs: usualMs !== undefined && ms >= usualMs ? usualMs : undefined,
    isOver: () => isOver,
    signal: either.signal,
    abort: either.abort,
    unlink: end,
    end,
  }
}

import type { Deadline } from "../dispatch/dispatch-options.ts"
import { linkedAbort } from "../dispatch/linked-abort.ts"

/** A request's deadline while it runs. */
export interface RunningDeadline extends Deadline {
  /** How long it had in all, ms. */
  readonly ms: number
  /** Fires when it is over, and when the caller's own does. */
  readonly signal: AbortSignal
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
  return {
    ms,
    at: now() + ms,
    fairMs: usualMs !== undefined && ms >= usualMs ? usualMs : undefined,
    isOver: () => isOver,
    signal: either.signal,
    end() {
      clearTimeout(timer)
      either.unlink()
    },
  }
}

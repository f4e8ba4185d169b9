import { ConfigError, InvalidRequestError } from "../../spec/errors.ts"

/**
 * How waiting ended.
 * - `turn`: there is a place. Whoever does not use it calls `free` for the next.
 * - `timeout`: none came in time.
 * - `full`: the line was full, or somebody more urgent took this place in it.
 */
export type Waited = "turn" | "timeout" | "full"

/** Where calls wait when everybody who could answer them is saturated. */
export interface WaitingLine {
  /**
   * Waits until it is this call's turn: by priority, among equals in the order in which they came. A caller who has not
   * waited yet lets those in the line go first, see `waiting`.
   *
   * @param priority 0 or more, 0 the most urgent. Need not be whole.
   * @throws the signal's reason, the moment it aborts; InvalidRequestError for a priority that is none.
   */
  wait(signal: AbortSignal | undefined, priority: number): Promise<Waited>
  /**
   * Says that there are so many places, and gives them to the first in the line. Returns how many took one. What nobody takes
   * is not kept.
   *
   * @param places Default 1. `Infinity`: everybody may try again.
   */
  free(places?: number): number
  /** How many wait. */
  waiting(): number
}

export interface WaitingLineOptions {
  /** The most that wait at the same time. 0: nobody waits. */
  readonly longest: number
  /** How long each waits at most, ms, from 1 to 2,147,483,647 (24 days). */
  readonly timeoutMs: number
  /** Epoch ms. */
  readonly now: () => number
}

interface Waiter {
  readonly priority: number
  /** Epoch ms. */
  readonly until: number
  /** Takes the timer and the listener away and tells how it ended. The line no longer has it. */
  leave(how: Waited): void
}

/**
 * A bounded line. When it is full, a newcomer takes the place of the last of the least urgent if it is more urgent itself;
 * otherwise the newcomer is refused.
 *
 * Its timers do not keep a process alive: it is for whoever calls `free` by the clock to do so, as long as somebody waits.
 *
 * Not p-queue (10): that runs functions under a concurrency of its own, while places come and go here with the limits of
 * many keys; it has priorities and signals, but its time-out is for the run, not for the wait, and it has no longest length
 * that a newcomer could displace somebody from.
 *
 * @throws ConfigError for an option that is out of range.
 */
export function waitingLine({ longest, timeoutMs, now }: WaitingLineOptions): WaitingLine {
  check("longest", longest, 0, Number.MAX_SAFE_INTEGER)
  check("timeoutMs", timeoutMs, 1, MOST_TIMEOUT_MS)
  /** The most urgent first. */
  const line: Waiter[] = []

  /** False: there is no room for it. */
  function makeRoom(priority: number): boolean {
    if (line.length < longest) return true
    const last = line.at(-1)
    if (last === undefined || last.priority <= priority) return false
    line.pop()
    last.leave("full")
    return true
  }

  function newWaiter(
    signal: AbortSignal | undefined,
    priority: number,
    resolve: (how: Waited) => void,
    reject: (reason: unknown) => void,
  ): Waiter {
    const letGo = () => {
      clearTimeout(timer)
      signal?.removeEventListener("abort", onAbort)
    }
    const onAbort = () => {
      takeOut(waiter)
      letGo()
      reject(signal?.reason)
    }
    const waiter: Waiter = {
      priority,
      until: now() + timeoutMs,
      leave(how) {
        letGo()
        resolve(how)
      },
    }
    const timer = setTimeout(() => {
      takeOut(waiter)
      waiter.leave("timeout")
    }, timeoutMs)
    ;(timer as { unref?: () => void }).unref?.()
    signal?.addEventListener("abort", onAbort, { once: true })
    return waiter
  }

  function putIn(waiter: Waiter): void {
    const behind = line.findLastIndex(({ priority }) => priority <= waiter.priority)
    line.splice(behind + 1, 0, waiter)
  }

  function takeOut(waiter: Waiter): void {
    const index = line.indexOf(waiter)
    if (index >= 0) line.splice(index, 1)
  }

  return {
    // Not async: that would take a few turns more to tell, and who was called first could hear of it last.
    wait: (signal, priority) =>
      new Promise((resolve, reject) => {
        checkPriority(priority)
        signal?.throwIfAborted()
        if (makeRoom(priority)) putIn(newWaiter(signal, priority, resolve, reject))
        else resolve("full")
      }),
    free(places = 1) {
      let taken = 0
      const at = now()
      while (taken < places) {
        const first = line.shift()
        if (first === undefined) break
        // Its timer is late: it must not use up a place that it no longer wants.
        const isLate = at >= first.until
        first.leave(isLate ? "timeout" : "turn")
        if (!isLate) taken++
      }
      return taken
    },
    waiting: () => line.length,
  }
}

/** What `setTimeout` can count to. */
const MOST_TIMEOUT_MS = 2_147_483_647

function checkPriority(priority: number): void {
  if (priority >= 0) return
  throw new InvalidRequestError("priority", `${priority} is no priority`, "give 0 (most urgent) or more")
}

function check(name: keyof WaitingLineOptions, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return
  throw new ConfigError(
    name,
    `${value} is not between ${least} and ${most}`,
    `give a whole number of at least ${least}`,
  )
}

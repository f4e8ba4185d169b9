import { ConfigError, InvalidRequestError } from "../../spec/errors.ts"

/**
 * How waiting ended.
 * - `turn`: there may be room, and nobody in the line is to have it first.
 * - `timeout`: none came in time.
 * - `full`: the line was full, or somebody more urgent took this place in it.
 */
export type Waited = "turn" | "timeout" | "full"

/** Where calls wait when everybody who could answer them is saturated. */
export interface WaitingLine {
  /**
   * A call that may have to wait. It stands in the line from its first wait until it leaves, also while it tries to enter;
   * where, is decided by its priority, and among equals by when this was called.
   *
   * @param priority 0 or more, 0 the most urgent. Need not be whole.
   * @throws InvalidRequestError for a priority that is none.
   */
  comer(priority: number): Comer
  /** There may be room at this key: the first who waits for it has its turn. */
  free(key: string): void
  /** How many stand in it. */
  standing(): number
}

/** One call before a line. Keys are what it may be let into: deployments. */
export interface Comer {
  /**
   * False while somebody before it in the line waits for this key, or tries it. To be asked right before each try: room that
   * comes between a try and the wait after it is not missed.
   */
  mayTry(key: string): boolean
  /** It could not enter here, and would. */
  refused(key: string): void
  /**
   * Waits until it has its turn at one of the keys that refused it since it waited last, all its waits together for as long
   * as the line lets each wait.
   *
   * @param until Epoch ms, when its turn comes in any case; undefined: with the room alone.
   * @throws the signal's reason, the moment it aborts; it has left the line then.
   */
  wait(until: number | undefined, signal: AbortSignal | undefined): Promise<Waited>
  /** It has entered somewhere, or gives up, and does not wait: whoever is next for what it waited for has its turn. */
  leave(): void
}

export interface WaitingLineOptions {
  /** The most that stand in it at the same time. 0: nobody waits. */
  readonly longest: number
  /** How long each waits at most, ms, from 1 to 2,147,483,647 (24 days). */
  readonly timeoutMs: number
  /** Epoch ms. */
  readonly now: () => number
}

interface Standing {
  readonly priority: number
  readonly number: number
  /** What it waits for. */
  keys: ReadonlySet<string>
  /** Ends its wait; undefined: it has its turn, and tries. */
  end: ((how: Waited) => void) | undefined
}

/**
 * A bounded line for rooms with doors of their own: who waits for one key lets pass who waits for another. Room is for the
 * first who waits for it; once that one has entered, the next looks whether there is more. When the line is full, a newcomer
 * takes the place of the last of the least urgent if it is more urgent itself; otherwise the newcomer is refused.
 *
 * Not p-queue (10): that runs functions under a concurrency of its own, while room comes and goes here with the limits of
 * many keys; it has priorities and signals, but its time-out is for the run, not for the wait, and it has no longest length
 * that a newcomer could displace somebody from.
 *
 * @throws ConfigError for an option that is out of range.
 */
export function waitingLine({ longest, timeoutMs, now }: WaitingLineOptions): WaitingLine {
  check("longest", longest, 0, Number.MAX_SAFE_INTEGER)
  check("timeoutMs", timeoutMs, 1, MOST_TIMEOUT_MS)
  /** The first first. */
  const line: Standing[] = []
  /** Turns so far, also those that nobody was there to have. */
  let given = 0
  let comers = 0

  function give(key: string): void {
    given++
    const first = line.find(({ keys }) => keys.has(key))
    first?.end?.("turn")
  }

  function takeOut(one: Standing): void {
    const index = line.indexOf(one)
    if (index < 0) return
    line.splice(index, 1)
    const before = line.slice(0, index)
    for (const key of one.keys) if (!before.some(({ keys }) => keys.has(key))) give(key)
  }

  /** False: there is no room for it. */
  function putIn(one: Standing): boolean {
    if (line.length >= longest && !displace(one.priority)) return false
    const behind = line.findLastIndex((other) => isBefore(other, one))
    line.splice(behind + 1, 0, one)
    return true
  }

  function displace(priority: number): boolean {
    const last = line.findLast((one) => one.end !== undefined && one.priority > priority)
    if (last === undefined) return false
    const { end } = last
    takeOut(last)
    end?.("full")
    return true
  }

  function comer(priority: number): Comer {
    checkPriority(priority)
    const own: Standing = { priority, number: comers++, keys: NOWHERE, end: undefined }
    let refusedBy = new Set<string>()
    /** Turns that had been given when it first tried after its last wait. */
    let givenBefore: number | undefined
    let giveUpAt: number | undefined

    function lookFor(keys: ReadonlySet<string>): void {
      const before = own.keys
      own.keys = keys
      // If it was not the first, who is has its turn once too often, and finds out.
      for (const key of before) if (!keys.has(key)) give(key)
    }

    return {
      mayTry(key) {
        givenBefore ??= given
        return !line.some((one) => one !== own && isBefore(one, own) && one.keys.has(key))
      },
      refused(key) {
        refusedBy.add(key)
      },
      async wait(until, signal) {
        signal?.throwIfAborted()
        const at = now()
        giveUpAt ??= at + timeoutMs
        const hasMissed = givenBefore !== given
        lookFor(refusedBy)
        refusedBy = new Set()
        givenBefore = undefined
        if (at >= giveUpAt) {
          takeOut(own)
          return "timeout"
        }
        if (!line.includes(own) && !putIn(own) && !hasMissed) return "full"
        // What came since then may have been for nobody else.
        if (hasMissed) return "turn"
        const how = await turnOf(own, { until, giveUpAt, signal, at })
        if (how === "timeout") takeOut(own)
        return how
      },
      leave() {
        takeOut(own)
      },
    }
  }

  function turnOf(one: Standing, { until = Infinity, giveUpAt, signal, at }: Wait): Promise<Waited> {
    return new Promise((resolve, reject) => {
      const letGo = () => {
        one.end = undefined
        clearTimeout(timer)
        signal?.removeEventListener("abort", onAbort)
      }
      const onAbort = () => {
        letGo()
        takeOut(one)
        reject(signal?.reason)
      }
      one.end = (how) => {
        letGo()
        // Its timer is late: it must not use up room that it no longer wants.
        resolve(how === "turn" && now() >= giveUpAt ? "timeout" : how)
      }
      const isLast = giveUpAt <= until
      const ms = Math.max(1, (isLast ? giveUpAt : until) - at)
      const timer = setTimeout(() => one.end?.(isLast ? "timeout" : "turn"), ms)
      signal?.addEventListener("abort", onAbort, { once: true })
    })
  }

  return {
    comer,
    free: give,
    standing: () => line.length,
  }
}

interface Wait {
  readonly until: number | undefined
  readonly giveUpAt: number
  readonly signal: AbortSignal | undefined
  readonly at: number
}

const NOWHERE: ReadonlySet<string> = new Set()

/** What `setTimeout` can count to. */
const MOST_TIMEOUT_MS = 2_147_483_647

function isBefore(one: Standing, other: Standing): boolean {
  return one.priority < other.priority || (one.priority === other.priority && one.number < other.number)
}

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

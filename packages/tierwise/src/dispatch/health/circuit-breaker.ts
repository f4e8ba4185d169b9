import { ConfigError } from "../../spec/errors.ts"
import type {
  BreakerCall,
  BreakerChange,
  BreakerChangeReason,
  BreakerState,
  CallEnding,
} from "../../spec/health.ts"
import {
  type CallTally,
  type CallWindow,
  inARow,
  ofLastCalls,
  ofLastTime,
  type TimeWindow,
} from "./call-tally.ts"
import { listeners } from "./listeners.ts"
import { endOf, lasting } from "./time-left.ts"

export interface BreakerOptions {
  /** Bad calls in a row that open the circuit, a positive whole number. Default 5. Not beside `window`. */
  readonly failures?: number | undefined
  /** Opens by the share of bad calls instead: of the last so many, or of the last time. */
  readonly window?: CallWindow | TimeWindow | undefined
  /** How long it stays open, ms, > 0, give or take a tenth. Doubles with each probe that fails. Default 15,000. */
  readonly openMs?: number | undefined
  /** The longest it stays open, ms, ≥ `openMs`. Default 120,000, or `openMs` if that is more. */
  readonly longestOpenMs?: number | undefined
  /** After how long a probe that has not ended counts as lost, and another one may be sent, ms, > 0. Default 60,000. */
  readonly probeLeaseMs?: number | undefined
}

export interface CircuitBreakerOptions extends BreakerOptions {
  /** What it watches over: a deployment, or one API key of it. It is shown and stored: never a secret. */
  readonly key: string
  /** Epoch ms. */
  readonly now: () => number
  /** In [0, 1). Default `Math.random`. */
  readonly random?: (() => number) | undefined
}

export type BreakerEntry =
  | { readonly allowed: true; readonly call: BreakerCall }
  | {
      readonly allowed: false
      /** Epoch ms: until then it is open, or a probe that is under way has its place. */
      readonly until: number
    }

/** What somebody else knows of the same target. */
export type ToldCircuit =
  | { readonly state: "closed" }
  | {
      readonly state: "open"
      /** Epoch ms. */
      readonly until: number
      readonly failedProbes: number
      /** Epoch ms, until when somebody else has the place of the probe; in the past: nobody has. */
      readonly probeUntil: number
    }

/** Stops calling what keeps failing, and finds out when it is well again. */
export interface CircuitBreaker {
  readonly key: string
  /** Never waits: whoever is not let in can ask somebody else at once. */
  enter(): BreakerEntry
  /** `half-open` as soon as a probe may be sent, though nobody has come yet. `at` is epoch ms; default now. */
  state(at?: number): BreakerState
  /** Epoch ms until when nobody is let in; undefined: the next one is. */
  readonly until: number | undefined
  /** Probes in a row that ended badly. 0 when closed. */
  readonly failedProbes: number
  /** Takes over what others know. What began before says nothing any more. */
  learn(told: ToldCircuit): void
  /** Returns what ends it. A listener that throws changes nothing. */
  onChange(listener: (change: BreakerChange) => void): () => void
}

/**
 * A breaker for one key. Closed, it lets everybody in and counts how their calls end. Opened, it lets nobody in for a
 * while; then exactly one, the probe, and all others are refused until that one has ended: well, and it closes; badly, and
 * it opens for twice as long.
 *
 * A clock that is set back makes no opening longer; one that is set ahead ends it.
 *
 * A call that ends `neither` counts neither way, and such a probe leaves its place to the next caller. A call that began
 * before the last opening or closing says nothing any more. A probe that never ends loses its place when its lease is over.
 *
 * @throws ConfigError naming the option that is wrong.
 */
export function circuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const { key, now, random = Math.random } = options
  const { openMs, longestOpenMs, probeLeaseMs, tally } = settingsOf(options)
  const watchers = listeners<BreakerChange>()
  // Half-open only from when a probe was sent.
  let state: BreakerState = "closed"
  // Grows with each opening and closing. Calls of an earlier turn are not counted.
  let turn = 0
  let opening = lasting(0, 0)
  let failedProbes = 0
  let probe: Admission | "elsewhere" | undefined
  let lease = lasting(0, 0)

  function enter(): BreakerEntry {
    if (state === "closed") return new Admission(callEnded, turn)
    const at = now()
    const until = refusedUntil(at)
    if (until !== undefined) return { allowed: false, until }
    const call = new Admission(probeEnded, turn, true)
    probe = call
    lease = lasting(at + probeLeaseMs, at)
    become("half-open", "probe-sent", at)
    return call
  }

  function refusedUntil(at: number): number | undefined {
    if (state === "closed") return undefined
    return endOf(opening, at) ?? (probe && endOf(lease, at))
  }

  function callEnded(call: Admission, how: CallEnding): void {
    if (how === "neither" || call.turn !== turn) return
    if (tally.isTooMuch(how === "badly", now())) open("tripped")
  }

  function probeEnded(call: Admission, how: CallEnding): void {
    // It came after its lease, and somebody else has taken its place, or has ended this opening.
    if (probe !== call) return
    probe = undefined
    if (how === "well") close("probe-answered")
    if (how !== "badly") return
    failedProbes++
    open("probe-failed")
  }

  function open(because: BreakerChangeReason): void {
    const at = now()
    begin()
    opening = lasting(at + openTime(), at)
    become("open", because, at)
  }

  function openTime(): number {
    const doubled = Math.min(openMs * 2 ** failedProbes, longestOpenMs)
    return Math.min(doubled * (0.9 + 0.2 * random()), longestOpenMs)
  }

  function close(because: BreakerChangeReason): void {
    begin()
    failedProbes = 0
    become("closed", because, now())
  }

  function begin(): void {
    turn++
    probe = undefined
    tally.clear()
  }

  function become(to: BreakerState, because: BreakerChangeReason, at: number): void {
    const from = state
    state = to
    if (from !== to) watchers.tell({ key, from, to, because, at })
  }

  function stateAt(at?: number): BreakerState {
    if (state !== "open") return state
    const isOver = at === undefined ? endOf(opening, now()) === undefined : at >= opening.until
    return isOver ? "half-open" : "open"
  }

  function learn(told: ToldCircuit): void {
    if (told.state === "closed") {
      if (state !== "closed") close("told")
      return
    }
    const at = now()
    begin()
    opening = lasting(told.until, at)
    failedProbes = told.failedProbes
    lease = lasting(told.probeUntil, at)
    if (at < told.probeUntil) probe = "elsewhere"
    // A probe was sent in this opening, here or elsewhere: it goes on being half-open.
    if (at < told.until || state === "closed") become("open", "told", at)
  }

  return {
    key,
    enter,
    learn,
    state: stateAt,
    get until() {
      return refusedUntil(now())
    },
    get failedProbes() {
      return failedProbes
    },
    onChange: watchers.add,
  }
}

/** The entry and the call in one: most of them end at once, and each would be made for every request. */
class Admission implements BreakerCall {
  readonly allowed = true
  readonly turn: number
  readonly isProbe: boolean
  #end: ((call: Admission, how: CallEnding) => void) | undefined

  constructor(end: (call: Admission, how: CallEnding) => void, turn: number, isProbe = false) {
    this.#end = end
    this.turn = turn
    this.isProbe = isProbe
  }

  get call(): BreakerCall {
    return this
  }

  ended(how: CallEnding): void {
    const end = this.#end
    this.#end = undefined
    end?.(this, how)
  }
}

const DEFAULT_FAILURES = 5
const DEFAULT_OPEN_MS = 15_000
const DEFAULT_LONGEST_OPEN_MS = 120_000
const DEFAULT_PROBE_LEASE_MS = 60_000
const MOST_CALLS = 10_000

interface Settings {
  readonly openMs: number
  readonly longestOpenMs: number
  readonly probeLeaseMs: number
  readonly tally: CallTally
}

/** @throws ConfigError naming the first option that is wrong, below `breaker`. */
export function settingsOf(options: BreakerOptions): Settings {
  const openMs = duration("openMs", options.openMs ?? DEFAULT_OPEN_MS)
  const longestOpenMs = duration(
    "longestOpenMs",
    options.longestOpenMs ?? Math.max(DEFAULT_LONGEST_OPEN_MS, openMs),
  )
  if (longestOpenMs < openMs) {
    const fix = `give at least openMs, ${openMs}`
    throw new ConfigError("breaker.longestOpenMs", `${longestOpenMs} is shorter than openMs`, fix)
  }
  const probeLeaseMs = duration("probeLeaseMs", options.probeLeaseMs ?? DEFAULT_PROBE_LEASE_MS)
  return { openMs, longestOpenMs, probeLeaseMs, tally: tallyOf(options) }
}

function tallyOf({ failures, window }: BreakerOptions): CallTally {
  if (window === undefined) return inARow(count("failures", failures ?? DEFAULT_FAILURES))
  if (failures !== undefined) {
    throw new ConfigError("breaker.failures", "it is given beside a window", "give one of the two")
  }
  const { share } = window
  if (!(share > 0 && share <= 1)) {
    throw new ConfigError("breaker.window.share", `${share} is no share`, "give more than 0 and at most 1")
  }
  if ("ms" in window) {
    duration("window.ms", window.ms)
    count("window.least", window.least ?? 1)
    return ofLastTime(window)
  }
  count("window.calls", window.calls, MOST_CALLS)
  return ofLastCalls(window)
}

function duration(name: string, ms: number): number {
  if (Number.isFinite(ms) && ms > 0) return ms
  throw new ConfigError(
    `breaker.${name}`,
    `${ms} is not a duration`,
    "give a positive number of milliseconds",
  )
}

function count(name: string, calls: number, most: number = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(calls) && calls > 0 && calls <= most) return calls
  const fix = `give a positive whole number${most < Number.MAX_SAFE_INTEGER ? ` up to ${most}` : ""}`
  throw new ConfigError(`breaker.${name}`, `${calls} is not a number of calls`, fix)
}

import { LRUCache } from "lru-cache"
import { ConfigError } from "../../spec/errors.ts"
import type { BreakerChange, HealthEntry, HealthReport, HealthStore } from "../../spec/health.ts"
import { type BreakerOptions, type CircuitBreaker, circuitBreaker, settingsOf } from "./circuit-breaker.ts"
import { cooldowns as newCooldowns } from "./cooldowns.ts"
import { healthSharing } from "./health-sharing.ts"
import { listeners } from "./listeners.ts"
import { type SharedTarget, sharedTarget } from "./shared-target.ts"

export interface HealthBookOptions {
  /** How each target's breaker is set. */
  readonly breaker?: BreakerOptions | undefined
  /** Shares what is found out with other processes. Undefined: it stays in this one. */
  readonly store?: HealthStore | undefined
  /** How often the store is asked what is new while calls are made, ms, > 0. Default 250. */
  readonly pollMs?: number | undefined
  /**
   * How long a caller who could be the probe waits until the store gives him leave, ms, > 0; then he is refused, and asks
   * somebody else. The next one waits for as long as the store takes. Default 100.
   */
  readonly probeLeaveMs?: number | undefined
  /**
   * Told when the store went away, once until it is back. Everything goes on with what this process knows. Default: nobody
   * is told.
   */
  readonly onProblem?: ((error: Error) => void) | undefined
  /** Epoch ms. Default `Date.now`. */
  readonly now?: (() => number) | undefined
  /** In [0, 1). Default `Math.random`. */
  readonly random?: (() => number) | undefined
  /** Names of probes, no two the same in any process. Default: random UUIDs. */
  readonly newId?: (() => string) | undefined
}

/** What one process knows of the targets it calls: which are broken, and which asked for a pause. */
export interface HealthBook {
  /**
   * Whether this target may be called. Answers at once, but for a probe where there is a store: then the store is asked
   * whether it is the only one, for `probeLeaveMs`. That never waits for the probe itself, and never rejects.
   *
   * @param evenIfCooling For whoever has waited as long as the target asked him to. Default false.
   */
  enter(key: string, evenIfCooling?: boolean): HealthEntry | Promise<HealthEntry>
  /** To look at; calls enter through the book. */
  breakerOf(key: string): Pick<CircuitBreaker, "key" | "state" | "until" | "failedProbes">
  /**
   * Nobody calls it until then. The longest wins.
   *
   * @param until Epoch ms.
   * @throws ConfigError for a time that is none.
   */
  cool(key: string, until: number, because: string): void
  /** Ends its cooldown, for all processes. Its breaker stays as it is. */
  warm(key: string): void
  /** Epoch ms from when the first of these might be called; undefined: one may be now, or there are none. */
  soonest(keys: Iterable<string>): number | undefined
  report(key: string): HealthReport
  /** Returns what ends it. A listener that throws changes nothing. */
  onChange(listener: (change: BreakerChange) => void): () => void
  /** Asks the store what is new, for whoever makes no calls and wants to know. Never rejects. */
  refresh(): Promise<void>
  /**
   * Stops asking the store, and telling it anything but the end of a probe that is under way. What it knows by itself it
   * goes on with.
   */
  end(): void
}

/** Beyond it those that were called longest ago are forgotten, and begin anew, closed. */
const MOST_TARGETS = 10_000

const DEFAULT_POLL_MS = 250
const DEFAULT_PROBE_LEAVE_MS = 100

/** The longest that a timer of JavaScript can wait, ms. */
const LONGEST_TIMER_MS = 2_147_483_647

/**
 * Breakers and cooldowns of all targets, by key. With a store they are shared between processes: each counts its own
 * failures, and what it finds out the others learn within `pollMs`; of all processes one sends the probe.
 *
 * @throws ConfigError naming the option that is wrong.
 */
export function healthBook(options: HealthBookOptions = {}): HealthBook {
  const {
    breaker: settings = {},
    store,
    onProblem = () => {},
    now = Date.now,
    random = Math.random,
  } = options
  const newId = options.newId ?? (() => crypto.randomUUID())
  const { probeLeaseMs } = settingsOf(settings)
  const pollMs = duration("pollMs", options.pollMs ?? DEFAULT_POLL_MS)
  const leaveMs = duration("probeLeaveMs", options.probeLeaveMs ?? DEFAULT_PROBE_LEAVE_MS)
  const cooldowns = newCooldowns({ now, most: MOST_TARGETS })
  const targets = new LRUCache<string, SharedTarget>({ max: MOST_TARGETS })
  const watchers = listeners<BreakerChange>()
  const problems = listeners<Error>()
  problems.add(onProblem)
  const findTarget = (key: string) => targets.get(key)
  const sharing =
    store &&
    healthSharing({
      store,
      cooldowns,
      targetOf,
      findTarget,
      pollMs,
      probeLeaseMs,
      leaveMs,
      now,
      newId,
      onProblem: problems.tell,
    })

  function targetOf(key: string): SharedTarget {
    return targets.get(key) ?? newTarget(key)
  }

  function newTarget(key: string): SharedTarget {
    const breaker = circuitBreaker({ ...settings, key, now, random })
    const target = sharedTarget(breaker)
    breaker.onChange((change) => {
      if (change.because === "tripped") sharing?.tripped(target)
      watchers.tell(change)
    })
    targets.set(key, target)
    return target
  }

  function enter(key: string, evenIfCooling = false): HealthEntry | Promise<HealthEntry> {
    const coolingUntil = evenIfCooling ? undefined : cooldowns.until(key)
    if (coolingUntil !== undefined) return refused("cooling-down", coolingUntil)
    const target = targetOf(key)
    const entry = target.breaker.enter()
    if (!entry.allowed) return refused("circuit-open", entry.until)
    return sharing === undefined ? entry : sharing.admit(target, entry.call)
  }

  function refused(because: Refusal["because"], until: number): Refusal {
    sharing?.refused()
    return { allowed: false, because, until }
  }

  function refusedUntil(key: string): number | undefined {
    const until = Math.max(cooldowns.until(key) ?? 0, targets.peek(key)?.breaker.until ?? 0)
    return until === 0 ? undefined : until
  }

  return {
    enter,
    breakerOf: (key) => targetOf(key).breaker,
    cool(key, until, because) {
      if (cooldowns.cool(key, until, because)) sharing?.cooled(targetOf(key), until, because)
    },
    warm(key) {
      cooldowns.clear(key)
      sharing?.warmed(targetOf(key))
    },
    soonest(keys) {
      let soonest: number | undefined
      for (const key of keys) {
        const until = refusedUntil(key)
        if (until === undefined) return undefined
        soonest = Math.min(soonest ?? until, until)
      }
      return soonest
    },
    report(key) {
      const breaker = targets.peek(key)?.breaker
      const cooling = cooldowns.of(key)
      return {
        breaker: breaker?.state() ?? "closed",
        ...(breaker?.until !== undefined && { until: breaker.until }),
        ...(cooling !== undefined && { coolingUntil: cooling.until, because: cooling.because }),
      }
    },
    onChange: watchers.add,
    refresh: async () => sharing?.refresh(),
    end: () => sharing?.end(),
  }
}

type Refusal = Exclude<HealthEntry, { allowed: true }>

function duration(name: string, ms: number): number {
  if (ms > 0 && ms <= LONGEST_TIMER_MS) return ms
  throw new ConfigError(`health.${name}`, `${ms} is not a duration`, "give a positive number of milliseconds")
}

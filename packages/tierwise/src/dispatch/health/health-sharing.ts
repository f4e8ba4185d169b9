import { messageOf } from "../../spec/errors.ts"
import type {
  BreakerCall,
  CallEnding,
  HealthChanges,
  HealthEntry,
  HealthStore,
  SharedCircuit,
  SharedCooldown,
  SharedStep,
} from "../../spec/health.ts"
import type { CircuitBreaker, ToldCircuit } from "./circuit-breaker.ts"
import type { Cooldowns } from "./cooldowns.ts"

/** A target that this process knows, and what it has heard of it. */
export interface SharedTarget {
  readonly breaker: CircuitBreaker
  /** Of the circuit: the version seen last. 0: none. */
  known: number
  /** Of the cooldown: until when the store knows of it, epoch ms. */
  coolingTold: number
  /** Steps that the store has not answered yet. */
  waiting: number
  /** The latest news that came meanwhile: older than what they find, or newer. */
  news: { readonly version: number; readonly told: ToldCircuit } | undefined
  /** Settles with the last of them. They are taken in turn: each rests on the version that the one before it made. */
  turn: Promise<unknown>
}

export function sharedTarget(breaker: CircuitBreaker): SharedTarget {
  return { breaker, known: 0, coolingTold: 0, waiting: 0, news: undefined, turn: Promise.resolve() }
}

export interface HealthSharingOptions {
  readonly store: HealthStore
  readonly cooldowns: Cooldowns
  readonly targetOf: (key: string) => SharedTarget
  /** The target if this process has met it. */
  readonly findTarget: (key: string) => SharedTarget | undefined
  readonly pollMs: number
  readonly probeLeaseMs: number
  readonly now: () => number
  /** Names of probes. */
  readonly newId: () => string
  readonly onProblem: (error: Error) => void
}

/** Tells other processes what this one finds out, and learns what they have. */
export interface HealthSharing {
  /** Lets a call in. For a probe the store is asked whether it is the only one. */
  admit(target: SharedTarget, call: BreakerCall): HealthEntry | Promise<HealthEntry>
  tripped(target: SharedTarget): void
  cooled(target: SharedTarget, until: number, because: string): void
  warmed(target: SharedTarget): void
  /** Asks what is new, and takes it over. Never rejects. */
  refresh(): Promise<void>
  /** Nothing is asked any more. */
  end(): void
}

/** After the last call it goes on asking for so long, ms. */
const QUIET_AFTER_MS = 5_000

/** Others learn of a cooldown that grew by less with the next one that does not, ms. */
const SMALL_COOLDOWN_STEP_MS = 1_000

export function healthSharing(options: HealthSharingOptions): HealthSharing {
  const { store, cooldowns, targetOf, findTarget, pollMs, probeLeaseMs, now, newId, onProblem } = options
  let isAway = false
  let hasEnded = false
  /** Up to where the changes were read. */
  let since = 0
  let underWay = 0
  let lastUsedAt = Number.NEGATIVE_INFINITY
  let isPolling = false
  let timer: unknown
  let refreshing: Promise<void> | undefined

  function admit(target: SharedTarget, call: BreakerCall): HealthEntry | Promise<HealthEntry> {
    if (hasEnded) return { allowed: true, call }
    underWay++
    used()
    return call.isProbe ? claim(target, call) : new SharedCall(call, callEnded)
  }

  function callEnded(call: BreakerCall, how: CallEnding): void {
    underWay--
    used()
    call.ended(how)
  }

  /** Its place is taken in this process already: of all who come here, one asks the store. */
  async function claim(target: SharedTarget, call: BreakerCall, isFirst = true): Promise<HealthEntry> {
    const { breaker } = target
    const probe = newId()
    const wish = () => ({
      known: seenOf(target),
      probe,
      leaseMs: probeLeaseMs,
      failedProbes: breaker.failedProbes,
    })
    const isGiven = await ask(
      target,
      () => store.claimProbe(breaker.key, wish()),
      ({ done, circuit }) => {
        target.known = circuit.version
        if (!done) breaker.learn(told(circuit))
        return done
      },
    )
    if (isGiven === false) return enterAsTold(target, isFirst)
    // Where the store is away, each process sends a probe of its own.
    return new SharedCall(call, (call, how) => {
      callEnded(call, how)
      endProbe(target, probe, how)
    })
  }

  /** Somebody else has found out, or is about to, or has left the place to us. */
  function enterAsTold(target: SharedTarget, mayClaim: boolean): HealthEntry | Promise<HealthEntry> {
    const entry = target.breaker.enter()
    if (entry.allowed && !entry.call.isProbe) return new SharedCall(entry.call, callEnded)
    if (entry.allowed && mayClaim) return claim(target, entry.call, false)
    underWay--
    if (!entry.allowed) return { allowed: false, because: "circuit-open", until: entry.until }
    // Two changes since this process asked: the next caller tries again.
    entry.call.ended("neither")
    return { allowed: false, because: "circuit-open", until: now() }
  }

  /** Also after the end of sharing: the others would wait for it in vain. */
  function endProbe(target: SharedTarget, probe: string, how: CallEnding): void {
    const { breaker } = target
    const { key, failedProbes } = breaker
    const ended = { probe, how, openForMs: openFor(breaker), failedProbes }
    void tell(target, () => store.probeEnded(key, { ...ended, known: seenOf(target) }))
  }

  function tripped(target: SharedTarget): void {
    if (hasEnded) return
    const { breaker } = target
    const openForMs = openFor(breaker)
    void tell(target, () => store.tripped(breaker.key, { known: seenOf(target), openForMs }))
  }

  /** All up to where the changes were read has been taken over, or has nothing to say to this process. */
  function seenOf({ known, news }: SharedTarget): number {
    return news === undefined ? Math.max(known, since) : known
  }

  function openFor({ until }: CircuitBreaker): number {
    return Math.max(1, (until ?? 0) - now())
  }

  function tell(target: SharedTarget, step: () => Promise<SharedStep>): Promise<unknown> {
    return ask(target, step, ({ done, circuit }) => {
      const isLast = target.waiting === 1
      if (done || isLast) target.known = circuit.version
      if (isLast) target.breaker.learn(told(circuit))
      // What this process has found out since is on its way.
      else if (!done) hear(target, circuit)
    })
  }

  /**
   * In turn. The answer is taken over while the step still counts as waiting: nothing that others tell comes between.
   * Undefined: the store is away.
   */
  async function ask<Answer, Taken>(
    target: SharedTarget,
    step: () => Promise<Answer>,
    takeOver: (answer: Answer) => Taken,
  ): Promise<Taken | undefined> {
    target.waiting++
    const asked = target.turn.then(step)
    target.turn = asked.catch(() => {})
    try {
      const answer = await asked
      isAway = false
      return takeOver(answer)
    } catch (error) {
      away(error)
      return undefined
    } finally {
      target.waiting--
      if (target.waiting === 0) takeOverNews(target)
    }
  }

  function hear(target: SharedTarget, circuit: SharedCircuit): void {
    if (circuit.version > (target.news?.version ?? 0)) {
      target.news = { version: circuit.version, told: told(circuit) }
    }
    if (target.waiting === 0) takeOverNews(target)
  }

  function takeOverNews(target: SharedTarget): void {
    const { news, known } = target
    target.news = undefined
    if (news === undefined || news.version <= known) return
    target.known = news.version
    target.breaker.learn(news.told)
  }

  /** By this process's clock. */
  function told({ state, openForMs, failedProbes, probeForMs }: SharedCircuit): ToldCircuit {
    if (state === "closed") return { state }
    const at = now()
    return { state, until: at + openForMs, failedProbes, probeUntil: at + probeForMs }
  }

  function cooled(target: SharedTarget, until: number, because: string): void {
    if (hasEnded || until - target.coolingTold < SMALL_COOLDOWN_STEP_MS) return
    target.coolingTold = until
    void tellCooldown(target, until, because)
  }

  async function tellCooldown(target: SharedTarget, until: number, because: string): Promise<void> {
    const step = () => store.cool(target.breaker.key, Math.max(1, until - now()), because)
    const isTold = await ask(target, step, () => true)
    if (isTold === undefined) target.coolingTold = 0
  }

  function warmed(target: SharedTarget): void {
    if (hasEnded) return
    target.coolingTold = 0
    void ask(
      target,
      () => store.warm(target.breaker.key),
      () => true,
    )
  }

  function refresh(): Promise<void> {
    refreshing ??= readChanges().finally(() => {
      refreshing = undefined
    })
    return refreshing
  }

  async function readChanges(): Promise<void> {
    try {
      takeOver(await store.changesSince(since))
      isAway = false
    } catch (error) {
      away(error)
    }
  }

  function takeOver({ version, circuits, cooldowns: pauses }: HealthChanges): void {
    if (hasEnded) return
    since = version
    for (const circuit of circuits) {
      const target = circuit.state === "closed" ? findTarget(circuit.key) : targetOf(circuit.key)
      if (target !== undefined) hear(target, circuit)
    }
    for (const pause of pauses) coolAsTold(pause)
  }

  function coolAsTold({ key, forMs, because }: SharedCooldown): void {
    const target = forMs > 0 ? targetOf(key) : findTarget(key)
    if (target === undefined) return
    if (forMs <= 0) {
      cooldowns.clear(key)
      target.coolingTold = 0
      return
    }
    const until = now() + forMs
    target.coolingTold = Math.max(target.coolingTold, until)
    cooldowns.cool(key, until, because)
  }

  function used(): void {
    lastUsedAt = now()
    if (isPolling || hasEnded) return
    isPolling = true
    void poll()
  }

  async function poll(): Promise<void> {
    await refresh()
    if (hasEnded || !isInUse()) {
      isPolling = false
      return
    }
    timer = setTimeout(() => void poll(), pollMs)
    ;(timer as { unref?: () => void }).unref?.()
  }

  /** Calls that never end are no reason to ask for ever. */
  function isInUse(): boolean {
    return now() - lastUsedAt < (underWay > 0 ? Math.max(probeLeaseMs, QUIET_AFTER_MS) : QUIET_AFTER_MS)
  }

  function away(error: unknown): void {
    if (isAway || hasEnded) return
    isAway = true
    const problem = `The shared health "${store.name}" is not available: ${messageOf(error)}. This process goes on with what it knows.`
    onProblem(new Error(problem, { cause: error }))
  }

  function end(): void {
    hasEnded = true
    isPolling = false
    clearTimeout(timer as Parameters<typeof clearTimeout>[0])
  }

  return { admit, tripped, cooled, warmed, refresh, end }
}

/** A call whose end is told to more than its breaker. The entry and the call in one. */
class SharedCall implements BreakerCall {
  readonly allowed = true
  readonly isProbe: boolean
  readonly #call: BreakerCall
  #end: ((call: BreakerCall, how: CallEnding) => void) | undefined

  constructor(call: BreakerCall, end: (call: BreakerCall, how: CallEnding) => void) {
    this.isProbe = call.isProbe
    this.#call = call
    this.#end = end
  }

  get call(): BreakerCall {
    return this
  }

  ended(how: CallEnding): void {
    const end = this.#end
    this.#end = undefined
    end?.(this.#call, how)
  }
}

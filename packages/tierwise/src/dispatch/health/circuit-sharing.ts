import type {
  BreakerCall,
  CallEnding,
  HealthEntry,
  HealthStore,
  SharedCircuit,
  SharedStep,
} from "../../spec/health.ts"
import type { CircuitBreaker, ToldCircuit } from "./circuit-breaker.ts"
import type { Polling } from "./polling.ts"
import { SharedCall } from "./shared-call.ts"
import type { KnownCircuit, SharedTarget } from "./shared-target.ts"
import type { StoreLine } from "./store-line.ts"
import { lasting, leftOf } from "./time-left.ts"

export interface CircuitSharingOptions {
  readonly store: HealthStore
  readonly line: StoreLine
  readonly use: Polling
  /** Up to which version the changes were read. */
  readonly readUpTo: () => number
  readonly probeLeaseMs: number
  /** How long a caller waits for leave to be the probe, ms. */
  readonly leaveMs: number
  readonly now: () => number
  /** Names of probes. */
  readonly newId: () => string
}

/** Tells other processes which circuits this one opened and what its probes found, and takes over what they have. */
export interface CircuitSharing {
  /** Lets a call in. For a probe the store is asked whether it is the only one. */
  admit(target: SharedTarget, call: BreakerCall): HealthEntry | Promise<HealthEntry>
  tripped(target: SharedTarget): void
  hear(target: SharedTarget, circuit: SharedCircuit): void
  /** How probes ended that the store did not hear of: the others would wait for them until their leases are over. */
  tellAgain(): Promise<unknown>
  readonly hasUntold: boolean
}

export function circuitSharing(options: CircuitSharingOptions): CircuitSharing {
  const { store, line, use, readUpTo, probeLeaseMs, leaveMs, now, newId } = options
  const untold = new Set<SharedTarget>()

  function admit(target: SharedTarget, call: BreakerCall): HealthEntry | Promise<HealthEntry> {
    use.callBegan()
    return call.isProbe ? leave(target, call) : new SharedCall(call, callEnded)
  }

  function callEnded(call: BreakerCall, how: CallEnding): void {
    use.callEnded()
    call.ended(how)
  }

  /**
   * A store that is slow holds nobody up for long: he asks somebody else. The next one waits for its answer, as long as it
   * takes: else nobody would ever find out.
   */
  async function leave(target: SharedTarget, call: BreakerCall): Promise<HealthEntry> {
    const { circuit } = target
    const claimed = claim(target, call)
    const { wasLate } = circuit
    circuit.wasLate = false
    const entry = wasLate ? await claimed : await within(leaveMs, claimed)
    if (entry !== undefined) return entry
    circuit.wasLate = true
    // Until then its place is taken in this process, and nobody else asks.
    void claimed.then((late) => late.allowed && late.call.ended("neither"))
    return { allowed: false, because: "circuit-open", until: now() + leaveMs }
  }

  /** Its place is taken in this process already: of all who come here, one asks the store. */
  async function claim(target: SharedTarget, call: BreakerCall, isFirst = true): Promise<HealthEntry> {
    const { breaker, circuit: known } = target
    const probe = newId()
    known.probe = probe
    const isGiven = await take(
      target,
      () => {
        const { failedProbes } = breaker
        return store.claimProbe(breaker.key, {
          known: seenOf(known),
          probe,
          leaseMs: probeLeaseMs,
          failedProbes,
        })
      },
      ({ done, circuit }) => {
        known.known = circuit.version
        if (!done) learn(target, told(circuit))
        return done
      },
    )
    if (isGiven === false) return enterAsTold(target, isFirst)
    // Where the store is away, each process sends a probe of its own: in the place that it may still have there.
    return probeCall(target, call, isGiven === undefined ? (known.untold?.probe ?? probe) : probe)
  }

  function probeCall(target: SharedTarget, call: BreakerCall, probe: string): SharedCall {
    target.circuit.probe = probe
    return new SharedCall(call, (call, how) => {
      callEnded(call, how)
      probeEnded(target, probe, how)
    })
  }

  /** Somebody else has found out, or is about to, or has left the place to us. */
  function enterAsTold(target: SharedTarget, mayClaim: boolean): HealthEntry | Promise<HealthEntry> {
    const entry = target.breaker.enter()
    if (entry.allowed && !entry.call.isProbe) return new SharedCall(entry.call, callEnded)
    if (entry.allowed && mayClaim) return claim(target, entry.call, false)
    use.callEnded()
    if (!entry.allowed) return { allowed: false, because: "circuit-open", until: entry.until }
    // Two changes since this process asked: the next caller tries again.
    entry.call.ended("neither")
    return { allowed: false, because: "circuit-open", until: now() }
  }

  /** Also after the end of sharing: the others would wait for it in vain. */
  function probeEnded(target: SharedTarget, probe: string, how: CallEnding): void {
    const { breaker, circuit } = target
    // It has lost its place, and what it found says nothing any more.
    if (circuit.probe !== probe) return
    circuit.probe = undefined
    const at = now()
    const opening = lasting(breaker.until ?? at, at)
    circuit.untold = { probe, how, opening, failedProbes: breaker.failedProbes }
    untold.add(target)
    use.used()
    void tell(target)
  }

  /** One that is lost is not told again: it is a short one, and who ends it, the probe, asks for leave and tells. */
  function tripped(target: SharedTarget): void {
    const { breaker, circuit } = target
    const openForMs = openFor(breaker)
    const step = () => store.tripped(breaker.key, { known: seenOf(circuit), openForMs })
    void take(target, step, (found) => takeOver(target, found))
  }

  async function tell(target: SharedTarget): Promise<void> {
    await line.inTurn(
      target.circuit.steps,
      () => tellUntold(target),
      (found) => found && takeOver(target, found),
    )
    takeOverNews(target)
  }

  /** A step, after what the store has to know before it: while it takes a probe to be under way, nothing else is done. */
  async function take<Taken>(
    target: SharedTarget,
    step: () => Promise<SharedStep>,
    takeOver: (found: SharedStep) => Taken,
  ): Promise<Taken | undefined> {
    const { circuit } = target
    const inOrder = async () => {
      await tellUntold(target)
      return step()
    }
    const taken = await line.inTurn(circuit.steps, circuit.untold ? inOrder : step, takeOver)
    takeOverNews(target)
    return taken
  }

  async function tellUntold(target: SharedTarget): Promise<SharedStep | undefined> {
    const { breaker, circuit } = target
    const end = circuit.untold
    if (end === undefined) return undefined
    const { opening, ...found } = end
    const openForMs = leftOf(opening, now())
    const answer = await store.probeEnded(breaker.key, { ...found, openForMs, known: seenOf(circuit) })
    if (answer.done) circuit.known = answer.circuit.version
    if (circuit.untold === end) {
      circuit.untold = undefined
      untold.delete(target)
    }
    return answer
  }

  function takeOver(target: SharedTarget, { done, circuit }: SharedStep): void {
    const known = target.circuit
    // What this process has found out since is on its way.
    const isLast = known.steps.waiting === 1 && known.untold === undefined
    if (done || isLast) known.known = circuit.version
    if (done) return
    if (isLast) learn(target, told(circuit))
    else hear(target, circuit)
  }

  function hear(target: SharedTarget, circuit: SharedCircuit): void {
    const known = target.circuit
    if (circuit.version > (known.news?.circuit.version ?? 0)) known.news = { circuit, told: told(circuit) }
    takeOverNews(target)
  }

  function takeOverNews(target: SharedTarget): void {
    const known = target.circuit
    const { news, steps } = known
    if (news === undefined || steps.waiting > 0 || known.untold !== undefined) return
    known.news = undefined
    if (news.circuit.version <= known.known) return
    known.known = news.circuit.version
    // Leave for its own probe, whose answer was lost.
    if (news.circuit.probe === known.probe && news.circuit.probeForMs > 0) return
    learn(target, news.told)
  }

  /** A probe of its own loses its place. */
  function learn({ breaker, circuit }: SharedTarget, told: ToldCircuit): void {
    circuit.probe = undefined
    breaker.learn(told)
  }

  /** All up to where the changes were read has been taken over, or has nothing to say to this process. */
  function seenOf({ known, news }: KnownCircuit): number {
    return news === undefined ? Math.max(known, readUpTo()) : known
  }

  function openFor({ until }: CircuitBreaker): number {
    return Math.max(1, (until ?? 0) - now())
  }

  /** By this process's clock. */
  function told({ state, openForMs, failedProbes, probeForMs }: SharedCircuit): ToldCircuit {
    if (state === "closed") return { state }
    const at = now()
    return { state, until: at + openForMs, failedProbes, probeUntil: at + probeForMs }
  }

  return {
    admit,
    tripped,
    hear,
    // A step that waits already tells it when its turn has come.
    tellAgain: () =>
      Promise.all(
        [...untold].map((target) => {
          const { steps } = target.circuit
          return steps.waiting > 0 ? steps.last : tell(target)
        }),
      ),
    get hasUntold() {
      return untold.size > 0
    },
  }
}

/** Undefined: there is no answer yet. */
async function within<Answer>(ms: number, asked: Promise<Answer>): Promise<Answer | undefined> {
  let timer: unknown
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
    ;(timer as { unref?: () => void }).unref?.()
  })
  try {
    return await Promise.race([asked, late])
  } finally {
    clearTimeout(timer as Parameters<typeof clearTimeout>[0])
  }
}

import type { BreakerCall, HealthChanges, HealthEntry, HealthStore } from "../../spec/health.ts"
import { circuitSharing } from "./circuit-sharing.ts"
import { cooldownSharing } from "./cooldown-sharing.ts"
import type { Cooldowns } from "./cooldowns.ts"
import { polling } from "./polling.ts"
import type { SharedTarget } from "./shared-target.ts"
import { storeLine } from "./store-line.ts"

export interface HealthSharingOptions {
  readonly store: HealthStore
  readonly cooldowns: Cooldowns
  readonly targetOf: (key: string) => SharedTarget
  /** The target if this process has met it. */
  readonly findTarget: (key: string) => SharedTarget | undefined
  readonly pollMs: number
  readonly probeLeaseMs: number
  /** How long a caller waits for leave to be the probe, ms. */
  readonly leaveMs: number
  readonly now: () => number
  /** Names of probes. */
  readonly newId: () => string
  readonly onProblem: (error: Error) => void
}

/** Tells other processes what this one finds out, and learns what they have. */
export interface HealthSharing {
  /** Lets a call in. For a probe the store is asked whether it is the only one. */
  admit(target: SharedTarget, call: BreakerCall): HealthEntry | Promise<HealthEntry>
  /** Somebody was refused: others may find out that he need not be. */
  refused(): void
  tripped(target: SharedTarget): void
  cooled(target: SharedTarget, until: number, because: string): void
  warmed(target: SharedTarget): void
  /** Tells what is untold, asks what is new, and takes it over. Never rejects. */
  refresh(): Promise<void>
  /** Nothing is asked any more, and nothing told but how probes ended that are under way. */
  end(): void
}

export function healthSharing(options: HealthSharingOptions): HealthSharing {
  const { store, findTarget, targetOf, now, onProblem } = options
  let hasEnded = false
  /** Up to where the changes were read. */
  let since = 0
  let refreshing: Promise<void> | undefined
  const line = storeLine(store.name, (problem) => {
    if (!hasEnded) onProblem(problem)
  })
  const use = polling({
    ask: () => refresh(),
    pollMs: options.pollMs,
    longestCallMs: options.probeLeaseMs,
    hasUntold: () => circuits.hasUntold || (cooldowns.hasUntold && !hasEnded),
    now,
  })
  const circuits = circuitSharing({ ...options, line, use, readUpTo: () => since })
  const cooldowns = cooldownSharing({ ...options, line })

  function refresh(): Promise<void> {
    refreshing ??= (hasEnded ? tellEnds() : readChanges()).finally(() => {
      refreshing = undefined
    })
    return refreshing
  }

  async function readChanges(): Promise<void> {
    const changes = await line.ask(() => store.changesSince(since))
    if (changes === undefined) return
    // What others say of the same targets waits for it.
    const told = [circuits.tellAgain(), cooldowns.tellAgain()]
    takeOver(changes)
    await Promise.all(told)
  }

  async function tellEnds(): Promise<void> {
    await circuits.tellAgain()
  }

  function takeOver(changes: HealthChanges): void {
    if (hasEnded) return
    since = changes.version
    for (const circuit of changes.circuits) {
      const target = circuit.state === "closed" ? findTarget(circuit.key) : targetOf(circuit.key)
      if (target !== undefined) circuits.hear(target, circuit)
    }
    for (const pause of changes.cooldowns) {
      const target = pause.forMs > 0 ? targetOf(pause.key) : findTarget(pause.key)
      if (target !== undefined) cooldowns.hear(target, pause)
    }
  }

  return {
    admit: (target, call) => (hasEnded ? { allowed: true, call } : circuits.admit(target, call)),
    refused: () => use.used(),
    tripped(target) {
      if (!hasEnded) circuits.tripped(target)
    },
    cooled(target, until, because) {
      if (!hasEnded) cooldowns.cooled(target, until, because)
    },
    warmed(target) {
      if (!hasEnded) cooldowns.warmed(target)
    },
    refresh,
    end() {
      hasEnded = true
      use.end()
    },
  }
}

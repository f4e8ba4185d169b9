import { Redis } from "ioredis"
import {
  type BreakerOptions,
  type HealthBook,
  type HealthEntry,
  type HealthStore,
  healthBook,
} from "tierwise"
import { redisHealth } from "tierwise/redis"

/** What one process was let in for, and what the processes agreed on. */
export interface HealthSeen {
  /** Calls that were let in. */
  readonly entries: readonly { readonly key: string; readonly at: number; readonly isProbe: boolean }[]
  /** Steps that were done, each by one process. */
  readonly steps: readonly HealthStep[]
  readonly problems: readonly string[]
}

export interface HealthStep {
  readonly key: string
  readonly did: "opened" | "sent-probe" | "closed" | "left-probe"
  /** Puts the steps of all processes in order. */
  readonly version: number
  /** Epoch ms. */
  readonly at: number
}

export const NOTHING_SEEN: HealthSeen = { entries: [], steps: [], problems: [] }

export interface WatchedHealth {
  readonly health: HealthBook
  seen(): HealthSeen
  close(): Promise<void>
}

/** A health book over Redis that writes down what happens in it. */
export function watchedHealth({
  redisUrl,
  name,
  breaker,
  pollMs,
}: {
  readonly redisUrl: string
  readonly name: string
  readonly breaker: BreakerOptions
  readonly pollMs: number
}): WatchedHealth {
  const client = new Redis(redisUrl).on("error", () => {})
  const entries: { key: string; at: number; isProbe: boolean }[] = []
  const steps: HealthStep[] = []
  const problems: string[] = []
  const store = watchedStore(redisHealth({ client, name }), (step) => steps.push(step))
  const health = healthBook({ store, breaker, pollMs, onProblem: ({ message }) => problems.push(message) })
  const enter: HealthBook["enter"] = (key, evenIfCooling) => {
    const noted = (entry: HealthEntry) => {
      if (entry.allowed) entries.push({ key, at: Date.now(), isProbe: entry.call.isProbe })
      return entry
    }
    const entry = health.enter(key, evenIfCooling)
    return entry instanceof Promise ? entry.then(noted) : noted(entry)
  }
  return {
    health: { ...health, enter },
    seen: () => ({ entries, steps, problems }),
    async close() {
      health.end()
      client.disconnect()
    },
  }
}

type Step = Awaited<ReturnType<HealthStore["tripped"]>>

const DID = { well: "closed", badly: "opened", neither: "left-probe" } as const

function watchedStore(store: HealthStore, note: (step: HealthStep) => void): HealthStore {
  async function noted(key: string, did: HealthStep["did"], step: Promise<Step>): Promise<Step> {
    const answer = await step
    if (answer.done) note({ key, did, version: answer.circuit.version, at: Date.now() })
    return answer
  }
  return {
    ...store,
    tripped: (key, trip) => noted(key, "opened", store.tripped(key, trip)),
    claimProbe: (key, wish) => noted(key, "sent-probe", store.claimProbe(key, wish)),
    probeEnded: (key, end) => noted(key, DID[end.how], store.probeEnded(key, end)),
  }
}

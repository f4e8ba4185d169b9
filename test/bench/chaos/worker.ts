import { monitorEventLoopDelay } from "node:perf_hooks"
import { type Attempt, TierwiseError } from "tierwise"
import { DEADLINE_MS, until } from "./schedule.ts"
import { OPEN, type System, type SystemName, type SystemOptions } from "./systems.ts"
import type { HealthSeen } from "./watched-health.ts"

/** What a process is told to do. */
export interface Order extends SystemOptions {
  readonly system: SystemName
  /** Tells processes apart. */
  readonly worker: number
  readonly callers: number
  /** Each caller begins a call so often, whatever became of the one before, ms. */
  readonly everyMs: number
  /** Epoch ms. */
  readonly startAt: number
  readonly seconds: number
}

/** One call, as its caller saw it. */
export interface CallSeen {
  /** Epoch ms. */
  readonly at: number
  readonly ms: number
  /** `right`: the words it should be, within the deadline. Else what was wrong with it, or the name of its error. */
  readonly outcome: string
  /** How much later than it should the process began it, ms: a busy machine's doing. */
  readonly lateMs: number
}

export interface Report {
  readonly calls: readonly CallSeen[]
  readonly health: HealthSeen
  /** The 99th percentile of the event loop's delay, ms. */
  readonly loopDelayMs: number
  /** Processor time, ms per call. */
  readonly cpuMs: number
}

const WORDS = ["harbour", "lantern", "meadow", "orchard", "pebble", "thunder", "willow", "copper"]

process.on("message", (order: Order) => void carryOut(order))
process.send?.("ready")

async function carryOut(order: Order): Promise<void> {
  const { system: name, callers, everyMs, startAt, seconds, worker } = order
  const system = OPEN[name](order)
  const delay = monitorEventLoopDelay({ resolution: 5 })
  await until(startAt)
  const cpu = process.cpuUsage()
  delay.enable()
  const rounds = Math.floor((seconds * 1_000) / everyMs)
  const calls = await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      const begun: Promise<CallSeen>[] = []
      for (let round = 0; round < rounds; round++) {
        const due = startAt + (round + caller / callers) * everyMs
        await until(due)
        const question = `${worker}${caller} ${WORDS[round % WORDS.length]} ${round}`
        begun.push(oneCall(system, question, caller, due))
      }
      return Promise.all(begun)
    }),
  )
  delay.disable()
  const used = process.cpuUsage(cpu)
  process.send?.({
    calls: calls.flat(),
    health: system.seen(),
    loopDelayMs: delay.percentile(99) / 1e6,
    cpuMs: (used.user + used.system) / 1e3 / (callers * rounds),
  } satisfies Report)
  await system.close()
}

async function oneCall(system: System, question: string, caller: number, due: number): Promise<CallSeen> {
  const at = Date.now()
  const from = performance.now()
  const ended = (outcome: string): CallSeen => {
    const ms = performance.now() - from
    return { at, ms, outcome: outcome === "right" && ms > DEADLINE_MS ? "late" : outcome, lateMs: at - due }
  }
  try {
    return ended((await system.ask(question, caller)) === question ? "right" : "wrong")
  } catch (error) {
    return ended(nameOf(error))
  }
}

/** With what was wrong with all who could have answered. */
function nameOf(error: unknown): string {
  const known = TierwiseError.find(error)
  if (known === undefined) return (error as Error).name
  const { attempts = [] } = known as { readonly attempts?: readonly Attempt[] }
  const reasons = new Set(attempts.map(reasonOf))
  return [known.code, [...reasons].toSorted().join(", ")].filter((part) => part !== "").join(": ")
}

function reasonOf(attempt: Attempt): string {
  if (attempt.outcome === "failed") return attempt.failure
  return attempt.outcome === "skipped" ? attempt.because : attempt.outcome
}

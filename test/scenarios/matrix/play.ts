import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import { type SimulatorOptions, startSimulator } from "@tierwise/simulator"
import { type BudgetStore, memoryBudget, type RouteRecord } from "tierwise"
import { chatModel, openWorld, usageOf, type World } from "../world.ts"
import type { Entry } from "./entries.ts"
import type { Situation } from "./situations.ts"

/** Everything that anybody saw of one cell. */
export interface Played {
  readonly world: World
  readonly budget: BudgetStore
  readonly runs: Runs
  readonly outcome: Outcome
  /** The words that reached the reader, in order. */
  readonly shown: string
  readonly records: readonly RouteRecord[]
  /** Why the caller aborted, if it did. */
  readonly reason: Error
  /** Turns of a 1 ms timer between the caller's abort and the error. */
  readonly abortTicks: number | undefined
}

export type Outcome = { readonly result: unknown } | { readonly error: unknown }

/** What the entry gives over a plain chat model, when nothing goes wrong. */
export interface Reference {
  readonly result: unknown
  readonly shown: string
}

export async function askPlainModel(entry: Entry): Promise<Reference> {
  await using simulator = await startSimulator({ timeScale: 0 })
  let shown = ""
  const show = (text: string) => {
    shown += text
  }
  const result = await entry.drive(chatModel(simulator, "sim-small"), { callbacks: [], show })
  return { result, shown }
}

/** Opens a world in which the situation comes about, and sends the entry through it. */
export async function play(entry: Entry, situation: Situation): Promise<Played & AsyncDisposable> {
  const budget =
    situation.options?.budget ?? memoryBudget({ limits: [{ scope: "tenant", window: "total", usd: 1 }] })
  const hanging = Promise.withResolvers<void>()
  const world = await openWorld(
    { maxRetries: 0, ...situation.options, budget },
    simulatorThat(situation.hangs, hanging.resolve),
  )
  world.simulator.script(situation.faults?.(entry) ?? [])
  if (situation.hangs === "light") world.simulator.script([{ model: "sim-small", delayMs: HANGS }])

  const runs = new Runs()
  const leaving = new AbortController()
  const reason = new Error("the caller has seen enough")
  let shown = ""
  let abortTicks: number | undefined
  const driving = entry
    .drive(world.router, {
      callbacks: [runs],
      show: (text) => {
        shown += text
      },
      ...(situation.aborts === true && { signal: leaving.signal }),
    })
    .then(
      (result): Outcome => ({ result }),
      (error: unknown): Outcome => ({ error }),
    )
  if (situation.aborts === true) {
    await hanging.promise
    // What has been sent is still on its way to the reader.
    await new Promise((resolve) => setTimeout(resolve, 30))
    leaving.abort(reason)
    abortTicks = await ticksUntil(driving)
  }
  const outcome = await driving
  const { records } = world
  const dispose = () => world[Symbol.asyncDispose]()
  return { world, budget, runs, outcome, shown, records, reason, abortTicks, [Symbol.asyncDispose]: dispose }
}

/** Scripted in place of a delay: nobody waits this long, the sleep below ends with its caller. */
const HANGS = 3_600_000

/** Waits in the middle of an answer before the simulator hangs. */
const WAITS_BEFORE_HANGING = 5

/** Sleeps never end by time, only when the client goes away; so a cell that is done has really cancelled its calls. */
function simulatorThat(hangs: Situation["hangs"], onHang: () => void): SimulatorOptions {
  if (hangs === undefined) return {}
  let waits = 0
  return {
    timeScale: hangs === "middle" ? 1 : 0,
    sleep: (_ms, signal) => {
      waits += 1
      if (hangs === "middle" && waits <= WAITS_BEFORE_HANGING) return Promise.resolve()
      onHang()
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error))
      })
    },
  }
}

/** A machine that is busy elsewhere misses turns as well, so that the count does not depend on its load. */
async function ticksUntil(done: Promise<unknown>): Promise<number> {
  let ticks = 0
  const ticking = setInterval(() => (ticks += 1), 1)
  try {
    await done
    return ticks
  } finally {
    clearInterval(ticking)
  }
}

/** Counts runs and tokens as a tracer would, and sees to it that every run that began has ended. */
export class Runs extends BaseCallbackHandler {
  override readonly name = "runs"
  readonly open = new Set<string>()
  llmRuns = 0
  tokens = 0

  constructor() {
    super({ _awaitHandler: true })
  }

  override handleChainStart(_chain: unknown, _inputs: unknown, runId: string): void {
    this.open.add(runId)
  }

  override handleChatModelStart(_llm: unknown, _messages: unknown, runId: string): void {
    this.llmRuns += 1
    this.open.add(runId)
  }

  override handleChainEnd(_output: unknown, runId: string): void {
    this.open.delete(runId)
  }

  override handleChainError(_error: unknown, runId: string): void {
    this.open.delete(runId)
  }

  override handleLLMError(_error: unknown, runId: string): void {
    this.open.delete(runId)
  }

  override handleLLMEnd(
    { generations }: { readonly generations: readonly (readonly object[])[] },
    runId: string,
  ): void {
    const generation = generations[0]?.[0] as { readonly message: object } | undefined
    this.tokens += usageOf(generation?.message ?? {})?.total_tokens ?? 0
    this.open.delete(runId)
  }
}

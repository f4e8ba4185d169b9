import { grade } from "@tierwise/simulator"
import { nanoToUsd, type RouteRecord, type RouterCallOptions } from "tierwise"
import type { Models } from "../models.ts"
import { assist, type Step, type Visit } from "./assistant.ts"

/** What a whole morning came to. */
export interface Totals {
  readonly name: string
  readonly steps: number
  readonly right: number
  readonly calls: number
  readonly costUsd: number
  /** Mean over the model calls, in the models' own time. */
  readonly meanMs: number
  readonly fallbacks: number
  readonly escalations: number
}

export interface RunOptions {
  readonly name: string
  readonly visits: readonly Visit[]
  /** Every record so far, in the order in which they ended; this run's come behind those it finds. */
  readonly records: readonly RouteRecord[]
  /** Added to every call. */
  readonly options: Partial<RouterCallOptions>
  readonly onStep?: (step: Step, right: boolean) => void
}

/** Takes the assistant through the visits and grades every step by its own key. */
export async function runMorning({ router, timeScale }: Models, run: RunOptions): Promise<Totals> {
  const from = run.records.length
  let steps = 0
  let right = 0
  for await (const step of assist(router, run.visits, run.options)) {
    const { correct } = grade(step.task, { content: step.reply.text, toolCalls: step.reply.tool_calls ?? [] })
    steps++
    if (correct) right++
    run.onStep?.(step, correct)
  }
  return { name: run.name, steps, right, ...totalsOf(run.records.slice(from), timeScale) }
}

function totalsOf(records: readonly RouteRecord[], timeScale: number) {
  const failed = ({ attempts }: RouteRecord) => attempts.some(({ outcome }) => outcome === "failed")
  const escalated = ({ decisions }: RouteRecord) => decisions.some(({ reason }) => reason === "escalated")
  const ms = records.reduce((sum, { durationMs }) => sum + durationMs, 0)
  return {
    calls: records.length,
    costUsd: records.reduce((sum, { cost }) => sum + nanoToUsd(cost), 0),
    meanMs: ms / records.length / timeScale,
    fallbacks: records.filter(failed).length,
    escalations: records.filter(escalated).length,
  }
}

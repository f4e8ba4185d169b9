import { grade } from "./grade.ts"
import { DEFAULT_MODELS, type SimulatedModel } from "./models.ts"
import { FAMILIES } from "./skills/families.ts"
import type { Level, TaskFamily } from "./skills/family.ts"
import { generateTasks, requestFor, type SyntheticTask } from "./tasks.ts"
import { think } from "./think.ts"

export interface SkillRow {
  readonly family: TaskFamily
  readonly level: Level
  /** Share of right answers by model id, 0 … 1. */
  readonly correct: Readonly<Record<string, number>>
}

export interface SkillTableOptions {
  /** Of the tasks and of the models. Default 1. */
  readonly seed?: number | undefined
  /** Tasks for each family and level. Default 20. */
  readonly tasks?: number | undefined
  /** Default: the default models that can think. */
  readonly models?: readonly SimulatedModel[] | undefined
}

/** What each model can do, measured: every family at every level, answered and graded without a server. */
export function skillTable({
  seed = 1,
  tasks = 20,
  models = DEFAULT_MODELS.filter((model) => model.skill !== "echo"),
}: SkillTableOptions = {}): readonly SkillRow[] {
  return Object.values(FAMILIES).flatMap(({ family, levels }) =>
    levels.map((level) => {
      const cell = generateTasks({ seed, count: tasks, families: [family], levels: [level] })
      const correct = models.map((model) => [model.id, shareCorrect(cell, model, seed)] as const)
      return { family, level, correct: Object.fromEntries(correct) }
    }),
  )
}

function shareCorrect(tasks: readonly SyntheticTask[], model: SimulatedModel, seed: number): number {
  const right = tasks.filter((task) => {
    const reply = think(requestFor(task, model.id), model, { seed })
    return grade(task, reply.kind === "calls" ? { toolCalls: reply.calls } : { content: reply.text }).correct
  })
  return right.length / tasks.length
}

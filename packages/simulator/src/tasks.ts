import { SimulatorConfigError } from "./errors.ts"
import type { ChatRequest } from "./protocol.ts"
import { randomOf } from "./random.ts"
import { FAMILIES } from "./skills/families.ts"
import { ALL_LEVELS, type Level, type TaskDraft, type TaskFamily } from "./skills/family.ts"

/** A synthetic prompt with its key. Send `messages`, `tools` and `responseFormat`; keep the rest. */
export interface SyntheticTask extends TaskDraft {
  /** Unique among tasks of one seed, and the same in every run. */
  readonly id: string
  readonly family: TaskFamily
  readonly level: Level
}

export interface GenerateTasksOptions {
  /** An integer. The same options give the same tasks. Default 1. */
  readonly seed?: number | undefined
  /** 1 … 100,000. */
  readonly count: number
  /** Default: all. */
  readonly families?: readonly TaskFamily[] | undefined
  /** Default: 1 to 5. A family without any of these levels is left out. */
  readonly levels?: readonly Level[] | undefined
}

/**
 * Synthetic prompts across task families and difficulty levels, every pair as often as the others.
 * @throws SimulatorConfigError for a count or seed that is no such integer, an unknown name, or a choice that leaves no task.
 */
export function generateTasks({
  seed = 1,
  count,
  families = Object.keys(FAMILIES) as TaskFamily[],
  levels = ALL_LEVELS,
}: GenerateTasksOptions): readonly SyntheticTask[] {
  if (!Number.isSafeInteger(seed))
    throw new SimulatorConfigError("seed", `${seed} is not an integer`, "give an integer")
  if (!Number.isInteger(count) || count < 1 || count > 100_000)
    throw new SimulatorConfigError(
      "count",
      `${count} is not a number of tasks`,
      "give an integer from 1 to 100000",
    )
  const unknown = families.find((family) => !(family in FAMILIES))
  if (unknown !== undefined)
    throw new SimulatorConfigError(
      "families",
      `there is no ${unknown}`,
      `choose from ${Object.keys(FAMILIES).join(", ")}`,
    )
  const cells = levels.flatMap((level) =>
    families.filter((family) => FAMILIES[family].levels.includes(level)).map((family) => ({ family, level })),
  )
  if (cells.length === 0)
    throw new SimulatorConfigError(
      "levels",
      "no chosen family has a chosen level",
      "choose levels from 1 to 5",
    )
  const order = randomOf("order", seed)
  let round: typeof cells = []
  return Array.from({ length: count }, (_, index) => {
    if (round.length === 0) round = order.sample(cells, cells.length)
    const cell = round.pop()
    if (cell === undefined) throw new RangeError("a round of tasks was empty")
    return taskOf(seed, cell.family, cell.level, index)
  })
}

function taskOf(seed: number, family: TaskFamily, level: Level, index: number): SyntheticTask {
  const random = randomOf("task", seed, family, level, index)
  return { id: `${family}-${level}-${index}`, family, level, ...FAMILIES[family].generate(random, level) }
}

/** The request that puts a task to a model. */
export function requestFor(task: SyntheticTask, model: string): ChatRequest {
  return { model, messages: task.messages, tools: task.tools, response_format: task.responseFormat }
}

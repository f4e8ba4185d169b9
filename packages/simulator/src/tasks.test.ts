import { describe, expect, it } from "vitest"
import { SimulatorConfigError } from "./errors.ts"
import { grade } from "./grade.ts"
import { DEFAULT_MODELS, type SimulatedModel, type Skill } from "./models.ts"
import { textOf } from "./protocol.ts"
import { generateTasks, requestFor, type SyntheticTask } from "./tasks.ts"
import { think } from "./think.ts"

describe("generateTasks", () => {
  it("gives prompts across all families and difficulty levels, every pair as often [C8.synthetic-prompts]", () => {
    const tasks = generateTasks({ seed: 5, count: 380 })
    const cells = new Map<string, number>()
    for (const task of tasks) {
      const cell = `${task.family} ${task.level}`
      cells.set(cell, (cells.get(cell) ?? 0) + 1)
    }
    expect(cells.size).toBe(38)
    expect(new Set(cells.values())).toEqual(new Set([10]))
    expect(new Set(tasks.map((task) => task.id)).size).toBe(tasks.length)
    expect(new Set(tasks.map(promptText)).size).toBeGreaterThan(0.9 * tasks.length)
  })

  it("gives the same tasks for the same options [C8.synthetic-prompts]", () => {
    expect(generateTasks({ seed: 5, count: 40 })).toEqual(generateTasks({ seed: 5, count: 40 }))
    expect(generateTasks({ seed: 6, count: 40 })).not.toEqual(generateTasks({ seed: 5, count: 40 }))
  })

  it("can be solved from the text alone: a mind without limits is right every time [C8.synthetic-prompts]", () => {
    const genius = unlimited()
    for (const task of generateTasks({ seed: 11, count: 456 }))
      expect(gradeOf(task, genius), `${task.id}: ${promptText(task)}`).toMatchObject({ correct: true })
  })

  it("does not give the difficulty away by the length of the prompt", () => {
    const tasks = generateTasks({ count: 760 })
    const rho = rankCorrelation(
      tasks.map((task) => promptText(task).length),
      tasks.map((task) => task.level),
    )
    expect(Math.abs(rho)).toBeLessThan(0.5)
  })

  it("has short tasks that only the large model solves and long ones that the small model solves", () => {
    const [small, , large] = DEFAULT_MODELS as [SimulatedModel, SimulatedModel, SimulatedModel]
    const tasks = generateTasks({ count: 380 })
    const shortAndHard = tasks.filter(
      (task) =>
        promptText(task).length < 220 && !gradeOf(task, small).correct && gradeOf(task, large).correct,
    )
    const longAndEasy = tasks.filter(
      (task) => promptText(task).length > 3_000 && gradeOf(task, small).correct,
    )
    expect(shortAndHard.length).toBeGreaterThan(20)
    expect(longAndEasy.length).toBeGreaterThan(20)
  })

  it("never puts the key into the prompt", () => {
    const tasks = generateTasks({ count: 60, families: ["arithmetic"], levels: [4, 5] })
    const told = tasks.flatMap((task) => {
      const { reference } = task
      // A small number may stand in the story by chance.
      if (reference.kind !== "number" || reference.value < 100) return []
      return [new RegExp(`\\b${reference.value}\\b`).test(promptText(task))]
    })
    expect(told.length).toBeGreaterThan(10)
    expect(told).not.toContain(true)
  })

  it("names the option that cannot work", () => {
    expect(() => generateTasks({ count: 0 })).toThrow(SimulatorConfigError)
    expect(() => generateTasks({ count: 1, families: ["poetry" as "prose"] })).toThrow(
      /families: there is no poetry/,
    )
    expect(() => generateTasks({ count: 1, families: ["chat"], levels: [5] })).toThrow(/levels/)
  })
})

function promptText(task: SyntheticTask): string {
  return task.messages.map(textOf).join("\n")
}

function gradeOf(task: SyntheticTask, model: SimulatedModel): { correct: boolean; reason: string } {
  const reply = think(requestFor(task, model.id), model, { seed: 1 })
  return grade(task, reply.kind === "calls" ? { toolCalls: reply.calls } : { content: reply.text })
}

function unlimited(): SimulatedModel {
  const [model] = DEFAULT_MODELS as [SimulatedModel]
  const skill = Object.fromEntries(
    Object.keys(model.skill).map((faculty) => [faculty, 1e6]),
  ) as unknown as Skill
  return { ...model, skill: { ...skill, slip: 0 } }
}

/** Spearman's rho, equal values sharing their rank. */
function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [ranks(a), ranks(b)]
  const mean = (a.length + 1) / 2
  const cov = x.reduce((sum, rank, index) => sum + (rank - mean) * ((y[index] ?? 0) - mean), 0)
  const spread = (ranksOf: readonly number[]): number =>
    Math.sqrt(ranksOf.reduce((sum, r) => sum + (r - mean) ** 2, 0))
  return cov / (spread(x) * spread(y))
}

function ranks(values: readonly number[]): readonly number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length
    const equal = values.filter((other) => other === value).length
    return below + (equal + 1) / 2
  })
}

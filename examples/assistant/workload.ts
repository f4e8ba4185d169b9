import { generateTasks, type Level, type SyntheticTask, type TaskFamily } from "@tierwise/simulator"
import type { Visit } from "./assistant.ts"

/**
 * A morning at the desk: four visits, each with something to classify, something to do, something to think through and
 * two questions in passing. Generated from a seed, so every run and every baseline meets the same work.
 */
export function morning(seed = 2): readonly Visit[] {
  const draw = (families: readonly TaskFamily[], levels: readonly Level[], count: number) =>
    generateTasks({ seed, count, families, levels })
  const intents = draw(["intent"], [1, 2], 4)
  const skills = draw(["tools"], [1, 2, 3], 4)
  const thoughts = draw(["arithmetic", "multi-hop"], [4, 5], 4)
  const questions = draw(["chat", "lookup", "arithmetic", "multi-hop", "extraction"], [1, 2, 3, 4], 8)
  return intents.map((intent, index) => ({
    intent,
    skill: at(skills, index),
    thinking: at(thoughts, index),
    questions: [at(questions, 2 * index), at(questions, 2 * index + 1)],
  }))
}

function at(tasks: readonly SyntheticTask[], index: number): SyntheticTask {
  const task = tasks[index]
  if (task === undefined) throw new RangeError(`there are only ${tasks.length} tasks`)
  return task
}

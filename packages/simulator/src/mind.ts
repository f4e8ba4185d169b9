import type { Faculty, Skill } from "./models.ts"
import { type Random, randomOf } from "./random.ts"

/** What a model thinks with while it answers one request. */
export interface Mind {
  readonly skill: Skill
  /**
   * Whether the piece of work number `load` is still carried. The same question always has the same answer, and a
   * model with more capacity never loses what one with less carries: what is unlucky belongs to the task.
   */
  carries(faculty: Faculty, load: number, what?: string): boolean
  /**
   * Whether the model notices that this was much for it and says so. It is an imperfect signal on purpose: about six
   * in ten overloads are noticed, and one in ten tasks close to the limit is doubted although it went well.
   */
  doubts(faculty: Faculty, load: number): boolean
  /** Numbers for free choices, such as a wording or the kind of a mistake. */
  luck(what: string): Random
}

export interface MindOptions {
  readonly skill: Skill
  /** Names the server's seed, the request and the sample. */
  readonly key: string
  /** 0 … 2, default 1. The hotter, the wider the edge on which luck decides. */
  readonly temperature?: number | undefined
}

export function mindOf({ skill, key, temperature = 1 }: MindOptions): Mind {
  const luck = (what: string): Random => randomOf(key, what)
  return {
    skill,
    luck,
    carries: (faculty, load, what = "") =>
      luck(`${faculty}:${load}:${what}`).next() >= chanceOfLoss(skill, faculty, load, temperature),
    doubts: (faculty, load) => luck(`doubt:${faculty}`).chance(doubtAt(load - skill[faculty])),
  }
}

/**
 * A logistic step half a unit above the capacity, on top of the careless slip. Its width is 0.3 units, or 6 % of a
 * capacity above 5: someone who keeps forty fields is not undone by the forty-first.
 */
function chanceOfLoss(skill: Skill, faculty: Faculty, load: number, temperature: number): number {
  const capacity = skill[faculty]
  const width = Math.max(0.3, 0.06 * capacity) * (0.5 + 0.5 * temperature)
  const beyond = 1 / (1 + Math.exp(-(load - capacity - 0.5) / width))
  return skill.slip + (1 - skill.slip) * beyond
}

function doubtAt(beyond: number): number {
  if (beyond > 0) return 0.6
  return beyond > -1 ? 0.1 : 0
}

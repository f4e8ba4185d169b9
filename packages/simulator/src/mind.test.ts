import { describe, expect, it } from "vitest"
import { type Mind, mindOf } from "./mind.ts"
import { DEFAULT_MODELS, type Skill } from "./models.ts"

const [SMALL, MEDIUM, LARGE] = DEFAULT_MODELS.map((model) => model.skill) as [Skill, Skill, Skill]

describe("mind", () => {
  it("carries work below its capacity, seldom what is above it and never what is far beyond", () => {
    expect(shareCarried(SMALL, SMALL.steps - 1)).toBeGreaterThan(0.97)
    expect(shareCarried(SMALL, SMALL.steps)).toBeGreaterThan(0.7)
    expect(shareCarried(SMALL, SMALL.steps + 1)).toBeLessThan(0.3)
    expect(shareCarried(SMALL, SMALL.steps + 3)).toBe(0)
  })

  it("slips more at the edge the hotter it is", () => {
    const [cold, warm, hot] = [0, 1, 2].map((temperature) => shareCarried(MEDIUM, MEDIUM.steps, temperature))
    expect(cold).toBeGreaterThan((warm ?? 0) + 0.05)
    expect(warm).toBeGreaterThan((hot ?? 0) + 0.05)
  })

  it("never loses what a smaller one carries", () => {
    for (const key of keys()) {
      const minds = [SMALL, MEDIUM, LARGE].map((skill) => mindOf({ skill, key }))
      for (let load = 1; load <= 12; load += 1) {
        const [small = 0, medium = 0, large = 0] = minds.map((mind) => Number(mind.carries("steps", load)))
        expect(small <= medium && medium <= large, `${key} ${load}`).toBe(true)
      }
    }
  })

  it("notices most of its overloads, and doubts some work that it can do", () => {
    const doubts = (load: number): number => share((mind) => mind.doubts("hops", load), MEDIUM)
    expect(doubts(MEDIUM.hops + 2)).toBeGreaterThan(0.45)
    expect(doubts(MEDIUM.hops + 2)).toBeLessThan(0.75)
    expect(doubts(MEDIUM.hops)).toBeGreaterThan(0.03)
    expect(doubts(MEDIUM.hops)).toBeLessThan(0.2)
    expect(doubts(1)).toBe(0)
  })
})

function keys(): readonly string[] {
  return Array.from({ length: 300 }, (_, index) => `request ${index}`)
}

function shareCarried(skill: Skill, load: number, temperature = 1): number {
  return share((mind) => mind.carries("steps", load), skill, temperature)
}

function share(holds: (mind: Mind) => boolean, skill: Skill, temperature = 1): number {
  const held = keys().filter((key) => holds(mindOf({ skill, key, temperature })))
  return held.length / keys().length
}

import { beforeAll, describe, expect, it } from "vitest"
import { type SoakStory, soakStory } from "../bench/soak/soak-story.ts"
import { shiftOf, trendOf } from "../bench/soak/trend.ts"

/** A short one of the soak that `npm run bench -- soak` makes for half an hour. */
const SECONDS = 60
const LIMIT_MS = 75_000

describe("a router under steady load, among failures", () => {
  let story: SoakStory
  beforeAll(async () => {
    story = await soakStory({
      seconds: SECONDS,
      callsPerSecond: 40,
      sampleEveryMs: 3_000,
      progress: () => {},
    })
  }, LIMIT_MS)

  it("keeps nothing of a call that is over", () => {
    expect(story.heapMb.riseBeyondNoise, JSON.stringify(story.heapMb)).toBeLessThan(1)
    expect(story.handlesShift, JSON.stringify(story.kindsAtEnd)).toBeLessThanOrEqual(0)
    expect(story.socketsShift).toBeLessThan(20)
  })

  it("holds no money at the end", () => {
    expect(story.heldAtEnd).toBe(0)
  })

  it("answers, though a tenth of the provider's calls fail, and some callers leave", () => {
    expect(story.answeredShare).toBeGreaterThan(0.97)
    expect(story.faults).toBeGreaterThan(SECONDS)
    expect(story.outcomes["left"]).toBeGreaterThan(SECONDS / 2)
    expect(story.outcomes["TimeoutError"]).toBeGreaterThan(SECONDS / 2)
  })
})

describe("what is read from a soak's samples", () => {
  const noise = [0.2, -0.1, 0.3, -0.3, 0.1, -0.2, 0.3, 0, -0.3, 0.1, -0.1, 0.2]

  it("is a rise where there is one, and none in noise", () => {
    expect(trendOf(noise).riseBeyondNoise).toBe(0)
    const rising = trendOf(noise.map((value, index) => value + index))
    expect(rising.rise).toBeCloseTo(11, 0)
    expect(rising.riseBeyondNoise).toBeGreaterThan(9)
    expect(trendOf(noise.map((value, index) => value - index)).riseBeyondNoise).toBe(0)
  })

  it("is a shift where the last third is above the first", () => {
    expect(shiftOf([0, 1, 0, 5, 0, 1, 3, 3, 2])).toBe(3)
    expect(shiftOf([2, 2, 2, 9, 2, 2])).toBe(0)
  })
})

import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LEARNT_FOR_MS, learntLimits, type ResponseHeaders, readLimits } from "./learnt-limits.ts"

const NOW = Date.UTC(2025, 7, 21, 12, 40)

const empty = (reset: string) =>
  readLimits({ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": reset }, NOW)[0]?.emptyUntil

describe("readLimits", () => {
  it("reads OpenAI's headers", () => {
    const headers = new Headers({
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-limit-tokens": "150000",
      "x-ratelimit-limit-tokens_usage_based": "1",
      "x-ratelimit-remaining-requests": "0",
      "x-ratelimit-remaining-tokens": "149984",
      "x-ratelimit-reset-requests": "1s",
      "x-ratelimit-reset-tokens": "6m0s",
    })
    expect(readLimits(headers, NOW)).toEqual([
      { unit: "requests", limit: 60, emptyUntil: NOW + 1_000 / 60 },
      { unit: "tokens", limit: 150_000, emptyUntil: undefined },
    ])
  })

  it("waits for a hundredth of what grows all the time, or for one, and for all where nobody says how much it is", () => {
    const emptyUntil = (limit: string | undefined) =>
      readLimits(
        {
          "x-ratelimit-remaining-requests": "0",
          "x-ratelimit-reset-requests": "1m0s",
          ...(limit !== undefined && { "x-ratelimit-limit-requests": limit }),
        },
        NOW,
      )[0]?.emptyUntil
    expect(["10000", "100", "3", "1", undefined].map(emptyUntil)).toEqual(
      [600, 600, 20_000, 60_000, 60_000].map((ms) => NOW + ms),
    )
  })

  it("reads durations as Go writes them, and plain seconds", () => {
    expect(empty("6m0s")).toBe(NOW + 360_000)
    expect(empty("12ms")).toBe(NOW + 12)
    expect(empty("2m59.56s")).toBe(NOW + 179_560)
    expect(empty("1h2m3s")).toBe(NOW + 3_723_000)
    expect(empty("250µs")).toBe(NOW + 0.25)
    expect(empty("0s")).toBe(NOW)
    expect(empty("7.5")).toBe(NOW + 7_500)
    expect(empty("17")).toBe(NOW + 17_000)
  })

  it("reads Anthropic's headers, and takes input or output that is used up as no tokens left", () => {
    const headers = {
      "anthropic-ratelimit-input-tokens-limit": "80000",
      "anthropic-ratelimit-input-tokens-remaining": "80000",
      "anthropic-ratelimit-input-tokens-reset": "2025-08-21T12:40:59Z",
      "anthropic-ratelimit-output-tokens-limit": "16000",
      "anthropic-ratelimit-output-tokens-remaining": "0",
      "anthropic-ratelimit-output-tokens-reset": "2025-08-21T12:41:00Z",
      "anthropic-ratelimit-requests-limit": "1000",
      "anthropic-ratelimit-requests-remaining": "999",
      "anthropic-ratelimit-requests-reset": "2025-08-21T12:40:59Z",
      "anthropic-ratelimit-tokens-limit": "96000",
      "anthropic-ratelimit-tokens-remaining": "80000",
      "anthropic-ratelimit-tokens-reset": "2025-08-21T12:40:59Z",
    }
    expect(readLimits(headers, NOW)).toEqual([
      { unit: "requests", limit: 1_000, emptyUntil: undefined },
      { unit: "tokens", limit: 96_000, emptyUntil: undefined },
      { unit: "tokens", limit: undefined, emptyUntil: NOW + 600 },
    ])
  })

  it("reads the standard's policies by their windows, and their state by name", () => {
    const headers = {
      "RateLimit-Policy":
        '"burst";q=100;w=10, "daily";q=5000;w=86400;pk=:c2VjcmV0:, "size";q=9;qu="content-bytes", "t";q=70;qu="tokens"',
      RateLimit: '"burst";r=0;t=5, "daily";r=4999;t=80000, "size";r=0;t=9, "t";r=0;t=3',
    }
    expect(readLimits(headers, NOW)).toEqual([
      { unit: "requests", limit: 600 },
      { unit: "requests", limit: 5_000 },
      { unit: "tokens", limit: 70 },
      { unit: "requests", emptyUntil: NOW + 5_000 },
      { unit: "tokens", emptyUntil: NOW + 3_000 },
    ])
  })

  it("reads a state without a policy, and the three headers of the older drafts", () => {
    expect(readLimits({ ratelimit: '"default";r=0;t=30' }, NOW)).toEqual([
      { unit: "requests", emptyUntil: NOW + 30_000 },
    ])
    const older = { "ratelimit-limit": "50", "ratelimit-remaining": "0", "ratelimit-reset": "30" }
    expect(readLimits(older, NOW)).toEqual([{ unit: "requests", emptyUntil: NOW + 30_000 }])
  })

  it("believes a limit of the older drafts only with its window, which may be a second", () => {
    const older = { "ratelimit-limit": "10", "ratelimit-remaining": "9", "ratelimit-reset": "1" }
    expect(readLimits(older, NOW)).toEqual([])
    const withWindow = { ...older, "ratelimit-policy": "10;w=1, 5000;w=3600" }
    expect(readLimits(withWindow, NOW)).toEqual([
      { unit: "requests", limit: 600 },
      { unit: "requests", limit: 5_000 },
    ])
  })

  it("learns nothing from what says nothing", () => {
    const headers: ResponseHeaders[] = [
      {},
      {
        "x-ratelimit-limit-tokens": "-1",
        "x-ratelimit-remaining-tokens": "-1",
        "x-ratelimit-reset-tokens": "0",
      },
      { "x-ratelimit-limit-requests": "0" },
      { "x-ratelimit-limit-requests": "many" },
      { "x-ratelimit-limit-requests": 60 },
      { "x-ratelimit-remaining-requests": "0" },
      { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon" },
      { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "5 parsecs" },
      { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "5parsecs" },
      { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2025-99-99T00:00:00Z" },
      {
        "ratelimit-policy": '"a";q=5;w=0, "b";q=0, "c", ;;;,,,=',
        ratelimit: "limit=100, remaining=0, reset=50",
      },
    ]
    for (const said of headers) expect(readLimits(said, NOW)).toEqual([])
  })

  it("never throws and never takes a limit below 1, whatever a header says", () => {
    const names = [
      "x-ratelimit-limit-requests",
      "x-ratelimit-remaining-requests",
      "x-ratelimit-reset-requests",
      "anthropic-ratelimit-tokens-limit",
      "anthropic-ratelimit-tokens-remaining",
      "anthropic-ratelimit-tokens-reset",
      "ratelimit-policy",
      "ratelimit",
    ]
    const pieces = [
      "0",
      "7",
      "-1",
      "1e9",
      "s",
      "ms",
      "m",
      ".",
      ";",
      ",",
      "=",
      '"a"',
      "q",
      "w",
      "r",
      "t",
      "T",
      " ",
    ]
    const value = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((all) => all.join("")),
    )
    const headers = fc.dictionary(fc.constantFrom(...names), value)
    fc.assert(
      fc.property(headers, (said) => {
        for (const { limit, emptyUntil } of readLimits(said, NOW)) {
          expect(limit ?? 1).toBeGreaterThanOrEqual(1)
          expect(Number.isSafeInteger(limit ?? 1)).toBe(true)
          expect(emptyUntil ?? NOW).not.toBeNaN()
        }
      }),
      { numRuns: 1_000 },
    )
  })
})

describe("learntLimits", () => {
  it("keeps the lowest of what one response says, replaces it by the next, and believes it for ten minutes", () => {
    let at = NOW
    const learnt = learntLimits({ now: () => at })
    expect(learnt.limitOf("requests", at)).toBe(Infinity)
    learnt.learn({
      "x-ratelimit-limit-requests": "60",
      "ratelimit-policy": '"a";q=40;w=60, "b";q=9000;w=3600',
    })
    expect(learnt.limitOf("requests", at)).toBe(40)
    expect(learnt.limitOf("tokens", at)).toBe(Infinity)
    learnt.learn({ "x-ratelimit-limit-requests": "90" })
    expect(learnt.limitOf("requests", at)).toBe(90)
    at += LEARNT_FOR_MS - 1
    learnt.learn({ "x-ratelimit-limit-tokens": "5" })
    expect(learnt.limitOf("requests", at)).toBe(90)
    at += 1
    expect(learnt.limitOf("requests", at)).toBe(Infinity)
    expect(learnt.limitOf("tokens", at)).toBe(5)
  })
})

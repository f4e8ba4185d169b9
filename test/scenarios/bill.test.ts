import { beforeAll, describe, expect, it } from "vitest"
import { type Account, differencesOf, figuresOf, type Known } from "../bench/bill/judge.ts"
import { type Played, playBill } from "../bench/bill/play.ts"

/** A small one of the bill that `npm run bench -- bill` plays with 10,000 calls. */
const CALLS = 400
const SEED = 3

let played: Played
beforeAll(async () => {
  played = await playBill(CALLS, SEED, () => {})
}, 30_000)

function accounts(known: Known, ...kinds: readonly string[]): readonly Account[] {
  return played.accounts.filter(
    (account) => account.known === known && (kinds.length === 0 || kinds.includes(account.kind)),
  )
}

describe("what is booked, beside what the provider bills", () => {
  it.each([
    ["plain answers [N2.exact-plain]", ["whole", "tools", "structured", "several answers", "escalated"]],
    ["streamed and gated ones [N2.exact-streamed]", ["streamed", "gated"]],
    ["cached prompts, and what is written to the cache [N2.exact-cached]", ["cached"]],
    ["hidden thoughts [N2.exact-reasoning]", ["reasoning"]],
    [
      "answers of those who were asked when others had failed",
      ["fallback after a refusal", "fallback from an answer unread"],
    ],
  ])("is the same to the nano-dollar for %s", (_, kinds) => {
    for (const kind of kinds) {
      const { calls, different, billedUsd } = figuresOf(accounts("reported", kind))
      expect({ kind, different }).toEqual({ kind, different: 0 })
      expect(calls).toBeGreaterThan(5)
      expect(billedUsd).toBeGreaterThan(0)
    }
  })

  it("is the same for every other call with usage, too", () => {
    expect(figuresOf(accounts("reported"))).toMatchObject({ different: 0, ratio: 1 })
  })

  it("is near it where usage was not reported but words were seen", () => {
    const kinds = ["no usage, any tongue", "no usage, tasks", "no usage, tools", "no usage, several answers"]
    for (const kind of kinds) expect(figuresOf(accounts("seen", kind)).calls).toBeGreaterThan(0)
    expect(figuresOf(accounts("seen", ...kinds)).ratio).toBeCloseTo(1, 1)
  })

  it("is near it, and called an estimate, where a stream broke off or its reader left [N2.estimate-broken-off]", () => {
    const kinds = ["stream cut", "broken off by the reader", "aborted after some words"]
    for (const kind of kinds) expect(figuresOf(accounts("seen", kind)).calls).toBeGreaterThan(5)
    expect(Math.abs((figuresOf(accounts("seen", ...kinds)).ratio ?? 0) - 1)).toBeLessThan(0.1)
  })

  it("is never less, and called an estimate, where nothing was seen of the answer [N2.estimate-aborted]", () => {
    const kinds = [
      "aborted before a word",
      "aborted, whole, half made",
      "fallback after a time-out",
      "fallback from an answer unread",
      "form unreadable",
    ]
    for (const kind of kinds) expect(figuresOf(accounts("unseen", kind)).billedUsd).toBeGreaterThan(0)
    expect(figuresOf(accounts("unseen")).below).toBe(0)
  })

  it("is nothing where nothing is billed, and leaves no line without a booking", () => {
    expect(figuresOf(accounts("unbilled", "fallback after a refusal")).calls).toBeGreaterThan(5)
    expect(played.tried.filter(({ attempt }) => attempt.outcome === "skipped").length).toBeGreaterThan(5)
    expect(differencesOf(played)).toEqual({
      linesWithoutBooking: 0,
      billedButNotBooked: 0,
      ledgerMinusAttempts: 0,
      holdsAstray: 0,
    })
  })
})

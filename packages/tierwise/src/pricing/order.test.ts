import { FakeListChatModel } from "@langchain/core/utils/testing"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Candidate } from "../spec/catalog.ts"
import { nanoUsd } from "../spec/money.ts"
import { orderCandidates } from "./order.ts"

const tiers = ["light", "standard", "heavy"]
const model = new FakeListChatModel({ responses: ["ok"] })
const candidate = (id: string, tier: string, money: number, weight = 1): Candidate => ({
  deployment: { id, tier, model, price: "free", profile: {}, labels: {}, weight },
  quote: { money: nanoUsd(money), tokens: 1 },
  maxOutputTokens: 1,
})
const ids = (candidates: readonly Candidate[]) => candidates.map(({ deployment }) => deployment.id)
const priceOf = ({ quote }: Candidate) => quote.money
const options = { order: "cheapest", priceOf, decided: "standard", tiers, draw: 0.5 } as const

describe("orderCandidates", () => {
  it("asks the cheapest that is strong enough, also from a tier above [C2.cheapest-capable] [A1.most-cost-effective]", () => {
    const gpt4 = candidate("gpt-4", "standard", 30)
    const gpt4Turbo = candidate("gpt-4-turbo", "heavy", 10)
    expect(ids(orderCandidates([gpt4, gpt4Turbo], options))).toEqual(["gpt-4-turbo", "gpt-4"])
  })

  it("asks weaker tiers only after everybody else, nearest first", () => {
    const candidates = [candidate("l", "light", 1), candidate("s", "standard", 5), candidate("h", "heavy", 9)]
    expect(ids(orderCandidates(candidates, { ...options, decided: "heavy" }))).toEqual(["h", "s", "l"])
    expect(ids(orderCandidates(candidates, options))).toEqual(["s", "h", "l"])
  })

  it("takes the lower tier where quotes are equal", () => {
    const candidates = [candidate("h", "heavy", 0), candidate("s", "standard", 0)]
    expect(ids(orderCandidates(candidates, options))).toEqual(["s", "h"])
  })

  it("spreads calls over equals by their weights", () => {
    const equals = [
      candidate("a", "standard", 5, 3),
      candidate("b", "standard", 5, 1),
      candidate("c", "standard", 5, 0),
    ]
    const draws = Array.from({ length: 1_000 }, (_, index) => index / 1_000)
    const first = draws.map((draw) => ids(orderCandidates(equals, { ...options, draw }))[0])
    expect(first.filter((id) => id === "a")).toHaveLength(750)
    expect(first.filter((id) => id === "c")).toHaveLength(0)
  })

  it("spreads the second and third place as evenly as the first", () => {
    const equals = ["a", "b", "c"].map((id) => candidate(id, "standard", 5))
    const draws = Array.from({ length: 600 }, (_, index) => (index + 0.5) / 600)
    const orders = draws.map((draw) => ids(orderCandidates(equals, { ...options, draw })).join(""))
    for (const order of ["abc", "acb", "bac", "bca", "cab", "cba"])
      expect(orders.filter((seen) => seen === order)).toHaveLength(100)
  })

  it("by weight, ignores price inside a tier but keeps tiers in order", () => {
    const candidates = [
      candidate("h", "heavy", 1),
      candidate("dear", "standard", 9, 1e6),
      candidate("cheap", "standard", 1, 1e-6),
    ]
    expect(ids(orderCandidates(candidates, { ...options, order: "weighted" }))).toEqual([
      "dear",
      "cheap",
      "h",
    ])
  })

  it("loses nobody and invents nobody, whatever the draw", () => {
    const entry = fc.tuple(fc.constantFrom(...tiers), fc.nat(100), fc.double({ min: 0, max: 5, noNaN: true }))
    const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    const order = fc.constantFrom("cheapest" as const, "weighted" as const)
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), draw, order, (entries, u, by) => {
        const all = entries.map(([tier, money, weight], index) => candidate(`${index}`, tier, money, weight))
        const ordered = orderCandidates(all, { ...options, draw: u, order: by })
        expect(ids(ordered).sort()).toEqual(ids(all).sort())
      }),
    )
  })
})

import { HumanMessage } from "@langchain/core/messages"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readFeatures } from "../features/read-features.ts"
import type { RoutingDecision } from "../spec/policy.ts"
import { downgrade } from "./downgrade.ts"

const TIERS = ["light", "standard", "heavy"]
const { features } = readFeatures({ messages: [new HumanMessage("Hello")] }, new WeakMap())
const heavy: RoutingDecision = {
  tier: "heavy",
  reason: "estimated",
  because: "score 0.90",
  floor: "light",
  ceiling: "heavy",
}
const pressure = (tiersDown: number) => ({ tiersDown, because: "90 % is used" })

describe("downgrade", () => {
  it("takes as many tiers as the budget presses, and says both reasons", () => {
    expect(downgrade(heavy, { pressure: pressure(1), features, tiers: TIERS })).toEqual({
      tier: "standard",
      reason: "downgraded",
      because: "90 % is used; score 0.90",
      floor: "light",
      ceiling: "heavy",
    })
    expect(downgrade(heavy, { pressure: pressure(9), features, tiers: TIERS }).tier).toBe("light")
  })

  it("leaves a decision that nothing presses on, or that is the lowest, as it is", () => {
    expect(downgrade(heavy, { pressure: undefined, features, tiers: TIERS })).toBe(heavy)
    const light = { ...heavy, tier: "light" }
    expect(downgrade(light, { pressure: pressure(1), features, tiers: TIERS })).toBe(light)
  })

  it("makes no decision stronger, also where its own floor is above it", () => {
    const odd = { ...heavy, tier: "light", floor: "heavy" }
    expect(downgrade(odd, { pressure: pressure(1), features, tiers: TIERS })).toBe(odd)
  })

  it("changes nothing where the budget could not be asked", () => {
    expect(downgrade(heavy, { pressure: pressure(0), features, tiers: TIERS })).toBe(heavy)
  })

  it("never changes the tier in the middle of a tool loop", () => {
    const inLoop = { ...features, toolResultsPending: true }
    expect(downgrade(heavy, { pressure: pressure(2), features: inLoop, tiers: TIERS })).toBe(heavy)
  })

  it("never goes below the floor, nor above what was decided", () => {
    fc.assert(
      fc.property(fc.nat(2), fc.nat(2), fc.integer({ min: 1, max: 5 }), (a, b, tiersDown) => {
        const [floor, rung] = [Math.min(a, b), Math.max(a, b)]
        const decision = { ...heavy, tier: TIERS[rung] as string, floor: TIERS[floor] as string }
        const lower = downgrade(decision, { pressure: pressure(tiersDown), features, tiers: TIERS })
        expect(TIERS.indexOf(lower.tier)).toBe(Math.max(floor, rung - tiersDown))
        expect(TIERS.indexOf(lower.ceiling)).toBe(lower === decision ? 2 : rung)
      }),
    )
  })
})

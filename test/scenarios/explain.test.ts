import { AIMessage, type BaseMessage, HumanMessage, SystemMessage } from "@langchain/core/messages"
import fc from "fast-check"
import { fiveFactor, type RouterCallOptions, threeFactor } from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld } from "./world.ts"

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 })
const messages: fc.Arbitrary<BaseMessage[]> = fc
  .tuple(fc.option(text), fc.array(fc.tuple(text, text), { maxLength: 3 }), text)
  .map(([system, turns, last]) => [
    ...(system === null ? [] : [new SystemMessage(system)]),
    ...turns.flatMap(([asked, said]) => [new HumanMessage(asked), new AIMessage(said)]),
    new HumanMessage(last),
  ])
const tier = fc.constantFrom("light", "standard", "heavy")
const hints: fc.Arbitrary<Partial<RouterCallOptions>> = fc.record(
  {
    tier,
    taskType: fc.constantFrom("simple_qa", "skill_invocation", "thinking", "something_else"),
    agentSpec: fc.constantFrom({ minTier: "standard" }, { maxTier: "standard" }, { tier: "light" }),
    preference: fc.double({ min: 0, max: 1, noNaN: true }),
    capabilities: fc.constantFrom([], ["security_analysis"], ["chat"]),
    contextLength: fc.nat(100_000),
    maxOutputTokens: fc.integer({ min: 1, max: 2_000 }),
    scopes: fc.constantFrom({}, { tenant: "acme" }),
  },
  { requiredKeys: [] },
)

describe("explain", () => {
  it("is what the live call does: the plan of every record equals explain for its request and snapshot [N6.one-pure-function]", async () => {
    for (const options of [
      { estimator: fiveFactor() },
      { estimator: threeFactor(), order: "weighted" as const, quoteInput: "estimated" as const },
    ]) {
      await using world = await openWorld(options)
      await fc.assert(
        fc.asyncProperty(messages, hints, async (input, given) => {
          await world.router.invoke(input, given)
          const record = world.records.at(-1)
          const explained = await world.router.explain(input, { ...given, snapshot: record?.snapshot })
          expect(record?.plan).toEqual(explained)
          // Plain JSON: nothing is lost when it is stored.
          expect(JSON.parse(JSON.stringify(explained))).toEqual(explained)
          const [first] = explained.candidates
          const answered = record?.attempts.find(({ outcome }) => outcome === "answered")
          expect(answered?.deploymentId).toBe(first?.deploymentId)
        }),
        { numRuns: 150 },
      )
    }
  })

  it("calls nobody and holds nothing", async () => {
    await using world = await openWorld()
    const plan = await world.router.explain("Hello")
    expect(plan.candidates.map(({ deploymentId }) => deploymentId)).toEqual([
      "sim-small",
      "sim-medium",
      "sim-large",
    ])
    expect(world.bodies()).toEqual([])
    expect(world.records).toEqual([])
  })

  it("explains a request nobody can take, instead of throwing", async () => {
    await using world = await openWorld()
    const plan = await world.router.explain("Hello", { labels: { region: "eu" } })
    expect(plan.candidates).toEqual([])
    expect(plan.excluded).toHaveLength(3)
  })

  it("respects the options bound to a clone, and leaves the original alone", async () => {
    await using world = await openWorld()
    const pinned = world.router.withConfig({ tier: "heavy" })
    expect((await pinned.explain("Hello")).decision.tier).toBe("heavy")
    expect((await world.router.explain("Hello")).decision.tier).toBe("light")
  })
})

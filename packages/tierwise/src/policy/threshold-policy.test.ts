import { HumanMessage } from "@langchain/core/messages"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readFeatures } from "../features/read-features.ts"
import { ConfigError } from "../spec/errors.ts"
import type { RouteHints } from "../spec/request.ts"
import { policyContract } from "../testing/policy-contract.ts"
import { thresholdPolicy } from "./threshold-policy.ts"

const tiers = ["light", "standard", "heavy"]
const policy = thresholdPolicy({ tiers })

function decide(score: number | undefined, hints: RouteHints = {}, using = policy) {
  const request = { messages: [new HumanMessage("…")], ...hints }
  const { features } = readFeatures(request)
  const estimate = score === undefined ? undefined : { score, confidence: 1, factors: {} }
  return using.decide({ features, estimate, request, snapshot: { at: 0, draw: 0 }, tiers })
}

describe("thresholdPolicy keeps the contract of a policy", () => {
  for (const { name, run } of policyContract(policy, tiers))
    it(name, () => expect(run()).resolves.toBeUndefined())
})

describe("thresholdPolicy", () => {
  it("splits scores at 0.3 and 0.7, a threshold belonging to the tier above [E2.thresholds] [C2.easy-cheap] [C2.medium-mid] [C2.hard-high]", () => {
    const scores = [0, 0.29, 0.3, 0.69, 0.7, 1]
    expect(scores.map((score) => decide(score).tier)).toEqual([
      "light",
      "light",
      "standard",
      "standard",
      "heavy",
      "heavy",
    ])
  })

  it.each([
    ["intent_classification", "light", "E3.intent-classification-light"],
    ["pii_detection", "light", "E3.pii-detection-light"],
    ["simple_qa", "light", "E3.simple-qa-light"],
    ["agent_execution", "standard", "E3.agent-execution-standard"],
    ["skill_invocation", "standard", "E3.skill-invocation-standard"],
    ["thinking", "heavy", "E3.thinking-tools-heavy"],
    ["security_analysis", "heavy", "E3.security-analysis-heavy"],
    ["architecture_design", "heavy", "E3.architecture-design-heavy"],
  ])("sends %s to %s whatever the score [%s]", (taskType, tier) => {
    for (const score of [0, 0.5, 1]) {
      expect(decide(score, { taskType })).toMatchObject({ tier, reason: "task-type", floor: tier })
    }
  })

  it("lets an agent's spec pin the tier [E3.agent-spec-pin]", () => {
    const pinned = decide(0.9, { agentSpec: { tier: "light" }, taskType: "security_analysis" })
    expect(pinned).toMatchObject({ tier: "light", reason: "pinned", ceiling: "light" })
  })

  it("lets an agent's spec bound the tier [E3.agent-spec-bound]", () => {
    expect(decide(0.9, { agentSpec: { maxTier: "standard" } })).toMatchObject({
      tier: "standard",
      reason: "bounded",
    })
    expect(decide(0.1, { agentSpec: { minTier: "standard" } })).toMatchObject({
      tier: "standard",
      floor: "standard",
    })
    expect(decide(0.5, { agentSpec: { minTier: "light", maxTier: "heavy" } }).reason).toBe("estimated")
  })

  it("obeys a pin on the call before anything else [C8.model-override]", () => {
    const decision = decide(0.9, { tier: "light", taskType: "thinking", agentSpec: { minTier: "heavy" } })
    expect(decision).toMatchObject({ tier: "light", reason: "pinned", floor: "light", ceiling: "light" })
  })

  it("keeps the estimate inside a task's floor and ceiling", () => {
    const using = thresholdPolicy({
      tiers,
      taskTypes: { chat: { ceiling: "standard" }, legal: { floor: "standard" } },
    })
    expect(decide(0.9, { taskType: "chat" }, using)).toMatchObject({ tier: "standard", reason: "task-type" })
    expect(decide(0.1, { taskType: "legal" }, using)).toMatchObject({ tier: "standard", floor: "standard" })
    expect(decide(0.1, { taskType: "chat" }, using)).toMatchObject({ tier: "light", reason: "estimated" })
  })

  it("lets the agent's spec win over a task's bounds that contradict it", () => {
    const taskTypes = { chat: { ceiling: "light" }, legal: { floor: "heavy" } }
    const using = thresholdPolicy({ tiers, taskTypes })
    const [low, high] = [{ maxTier: "standard" }, { minTier: "standard" }]
    const standard = { tier: "standard", floor: "standard", ceiling: "standard" }
    expect(decide(0.1, { taskType: "legal", agentSpec: low }, using)).toMatchObject(standard)
    expect(decide(0.9, { taskType: "chat", agentSpec: high }, using)).toMatchObject(standard)
    expect(decide(0.9, { taskType: "security_analysis", agentSpec: low })).toMatchObject({
      tier: "standard",
      floor: "standard",
    })
  })

  it("takes a task's bounds that leave one tier, or name one end only", () => {
    const taskTypes = {
      one: { floor: "standard", ceiling: "standard" },
      open: { floor: undefined, ceiling: "standard" },
    }
    const using = thresholdPolicy({ tiers, taskTypes })
    expect(decide(0.9, { taskType: "one" }, using).tier).toBe("standard")
    expect(decide(0.1, { taskType: "open" }, using)).toMatchObject({ tier: "light", floor: "light" })
  })

  it("leaves the default task rules out where their tiers do not exist", () => {
    const two = ["small", "large"]
    const { features } = readFeatures({ messages: [new HumanMessage("x")], taskType: "simple_qa" })
    const decision = thresholdPolicy({ tiers: two }).decide({
      features,
      tiers: two,
      estimate: { score: 0.9, confidence: 1, factors: {} },
      request: { messages: [] },
      snapshot: { at: 0, draw: 0 },
    })
    expect(decision).toMatchObject({ tier: "large", reason: "estimated" })
  })

  it("says in which range the score lies", () => {
    expect(decide(0.1).because).toBe("score 0.10 is in 0.00–0.30, which is light")
    expect(decide(0.5).because).toBe("score 0.50 is in 0.30–0.70, which is standard")
    expect(decide(0.9).because).toBe("score 0.90 is in 0.70–1.00, which is heavy")
  })

  it("shifts the thresholds with the preference, all the way at its ends [C8.cost-quality-preference]", () => {
    expect(decide(1, { preference: 0 }).tier).toBe("light")
    expect(decide(0, { preference: 1 }).tier).toBe("heavy")
    expect(decide(0.5, { preference: 0.5 }).tier).toBe("standard")
    expect(decide(0.6, { preference: 0.7 }).tier).toBe("heavy")
    expect(decide(0.35, { preference: 0.4 }).tier).toBe("light")
    expect(decide(0.35, { preference: 0.45 }).tier).toBe("light")
  })

  it("never answers weaker when more quality is preferred", () => {
    const unit = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(unit, unit, unit, (score, a, b) => {
        const [less, more] = [Math.min(a, b), Math.max(a, b)]
        const rung = (preference: number) => tiers.indexOf(decide(score, { preference }).tier)
        expect(rung(more)).toBeGreaterThanOrEqual(rung(less))
      }),
    )
  })

  it("throws without an estimate only where it needs one", () => {
    expect(() => decide(undefined)).toThrow("no estimate")
    expect(decide(undefined, { taskType: "thinking" }).tier).toBe("heavy")
  })

  it.each([
    ["thresholds that overlap", { thresholds: [0.7, 0.3] }, "thresholds[1]"],
    ["thresholds that leave a tier nothing", { thresholds: [0.5, 0.5] }, "thresholds[1]"],
    ["a threshold of 1", { thresholds: [0.5, 1] }, "thresholds[1]"],
    ["a threshold outside (0, 1)", { thresholds: [0, 0.5] }, "thresholds[0]"],
    ["too few thresholds", { thresholds: [0.5] }, "thresholds"],
    ["a rule for an unknown tier", { taskTypes: { chat: "huge" } }, "taskTypes.chat"],
    ["a rule upside down", { taskTypes: { chat: { floor: "heavy", ceiling: "light" } } }, "taskTypes.chat"],
    ["a preference of 2", { preference: 2 }, "preference"],
    ["a preference of -1", { preference: -1 }, "preference"],
  ])("refuses %s", (_, options, path) => {
    expect(() => thresholdPolicy({ tiers, ...options })).toThrow(
      expect.objectContaining({ constructor: ConfigError, path }),
    )
  })

  it("spreads default thresholds evenly over any other number of tiers", () => {
    const four = ["a", "b", "c", "d"]
    const using = thresholdPolicy({ tiers: four })
    const input = { features: readFeatures({ messages: [new HumanMessage("x")] }).features, tiers: four }
    const tierAt = (score: number) =>
      using.decide({
        ...input,
        estimate: { score, confidence: 1, factors: {} },
        request: { messages: [] },
        snapshot: { at: 0, draw: 0 },
      }).tier
    expect([0.2, 0.25, 0.6, 0.99].map(tierAt)).toEqual(["a", "b", "c", "d"])
  })
})

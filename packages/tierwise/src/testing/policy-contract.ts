import { readFeatures } from "../features/read-features.ts"
import type { PolicyInput, RoutingPolicy } from "../spec/policy.ts"
import type { Tier } from "../spec/request.ts"
import { type ContractCase, must } from "./contract.ts"
import { SAMPLE_REQUESTS } from "./sample-requests.ts"

/**
 * What every `RoutingPolicy` must do, for tiers given cheapest first.
 *
 * @example for (const { name, run } of policyContract(myPolicy(), ["light", "standard", "heavy"])) it(name, run)
 */
export function policyContract(policy: RoutingPolicy, tiers: readonly Tier[]): readonly ContractCase[] {
  return [
    {
      name: "always chooses a known tier between its own floor and ceiling",
      run: async () => {
        for (const input of inputs(tiers)) {
          const { tier, floor, ceiling } = policy.decide(input)
          const [at, from, to] = [tier, floor, ceiling].map((name) => tiers.indexOf(name)) as [
            number,
            number,
            number,
          ]
          must(at !== -1 && from !== -1 && to !== -1, `one of ${tier}, ${floor}, ${ceiling} is not a tier`)
          must(from <= at && at <= to, `${tier} is not between ${floor} and ${ceiling}`)
        }
      },
    },
    {
      name: "is pure: the same input gives the same decision",
      run: async () => {
        for (const input of inputs(tiers)) {
          const [first, second] = [policy.decide(input), policy.decide(input)]
          must(JSON.stringify(first) === JSON.stringify(second), `${first.tier} became ${second.tier}`)
        }
      },
    },
    {
      name: "obeys a pin",
      run: async () => {
        for (const tier of tiers) {
          for (const input of inputs(tiers)) {
            const decision = policy.decide({ ...input, request: { ...input.request, tier } })
            must(decision.tier === tier, `a call pinned to ${tier} was sent to ${decision.tier}`)
          }
        }
      },
    },
  ]
}

function inputs(tiers: readonly Tier[]): readonly PolicyInput[] {
  const scores = [0, 0.25, 0.5, 0.75, 1]
  const requests = SAMPLE_REQUESTS.filter(
    ({ agentSpec }) => agentSpec === undefined || tiers.includes("standard"),
  )
  return requests.flatMap((request) =>
    scores.map((score) => ({
      features: readFeatures(request).features,
      estimate: { score, confidence: 0.5, factors: {} },
      request,
      snapshot: { at: 0, draw: 0.5 },
      tiers,
    })),
  )
}

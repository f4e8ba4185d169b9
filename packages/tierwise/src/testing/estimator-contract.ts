import { readFeatures } from "../features/read-features.ts"
import type { Estimator, EstimatorInput } from "../spec/complexity.ts"
import { type ContractCase, must } from "./contract.ts"
import { SAMPLE_REQUESTS } from "./sample-requests.ts"

/**
 * What every `Estimator` must do.
 *
 * @example for (const { name, run } of estimatorContract(myEstimator())) it(name, run)
 */
export function estimatorContract(estimator: Estimator): readonly ContractCase[] {
  return [
    {
      name: "gives a score and a confidence in 0…1, and finite factors, for requests of every shape",
      run: async () => {
        for (const input of inputs()) {
          const { score, confidence, factors } = await estimator.estimate(input)
          must(score >= 0 && score <= 1, `${estimator.name} gave a score of ${score}`)
          must(confidence >= 0 && confidence <= 1, `${estimator.name} gave a confidence of ${confidence}`)
          const odd = Object.entries(factors).find(([, value]) => !Number.isFinite(value))
          must(odd === undefined, `the factor ${odd?.[0]} is ${odd?.[1]}`)
        }
      },
    },
    {
      name: "is pure: the same input gives the same estimate",
      run: async () => {
        for (const input of inputs()) {
          const [first, second] = [await estimator.estimate(input), await estimator.estimate(input)]
          must(JSON.stringify(first) === JSON.stringify(second), `${first.score} became ${second.score}`)
        }
      },
    },
  ]
}

function inputs(): readonly EstimatorInput[] {
  return SAMPLE_REQUESTS.map((request) => ({ ...readFeatures(request), request }))
}

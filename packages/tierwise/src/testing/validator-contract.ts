import { AIMessage } from "@langchain/core/messages"
import type { Answer, ResponseValidator } from "../spec/validation.ts"
import { type ContractCase, must } from "./contract.ts"
import { SAMPLE_REQUESTS } from "./sample-requests.ts"

const ANSWERS: readonly Answer[] = [
  { message: new AIMessage("") },
  { message: new AIMessage("Rome is the capital of Italy.") },
  { message: new AIMessage("word ".repeat(100_000)) },
  { message: new AIMessage('{"what":"a cat"}'), parsed: { what: "a cat" } },
  { message: new AIMessage("{"), parseError: "the answer does not parse" },
  { message: new AIMessage({ content: "", tool_calls: [{ id: "1", name: "weather", args: {} }] }) },
  { message: new AIMessage({ content: [{ type: "text", text: "in parts" }] }) },
]

/**
 * What every `ResponseValidator` must do.
 *
 * @example for (const { name, run } of validatorContract(myValidator())) it(name, run)
 */
export function validatorContract(validator: ResponseValidator): readonly ContractCase[] {
  return [
    {
      name: "judges every kind of answer, and says why it rejects one",
      run: async () => {
        for (const request of SAMPLE_REQUESTS) {
          for (const answer of ANSWERS) {
            const verdict = await validator.validate(answer, request)
            must(verdict.accepted || verdict.reason !== "", `${validator.name} rejected without a reason`)
            const { score } = verdict
            must(
              score === undefined || (score >= 0 && score <= 1),
              `${validator.name} gave a score of ${score}`,
            )
          }
        }
      },
    },
    {
      name: "leaves the answer as it is",
      run: async () => {
        for (const answer of ANSWERS) {
          const before = JSON.stringify(answer)
          for (const request of SAMPLE_REQUESTS) await validator.validate(answer, request)
          must(JSON.stringify(answer) === before, `${validator.name} changed the answer`)
        }
      },
    },
  ]
}

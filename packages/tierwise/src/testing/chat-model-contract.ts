import { answerCases } from "./chat-model-contract-answers.ts"
import { eventCases } from "./chat-model-contract-events.ts"
import { lookCases } from "./chat-model-contract-looks.ts"
import { mannerCases } from "./chat-model-contract-manners.ts"
import { schemaCases } from "./chat-model-contract-schemas.ts"
import { type ChatModelUnderTest, readUnderTest } from "./chat-model-contract-subject.ts"
import { toolCases } from "./chat-model-contract-tools.ts"
import type { ContractCase } from "./contract.ts"

/**
 * What every chat model must do, whoever made it: what LangChain's own standard tests ask for, sound and files aside, and
 * what agents, graphs and tracers rely on beyond it. The model is really called, about a hundred times.
 * Run the cases one after another.
 *
 * @example for (const { name, run } of chatModelContract({ make: () => new ChatOpenAI({ model }) })) it(name, run)
 */
export function chatModelContract(under: ChatModelUnderTest): readonly ContractCase[] {
  const model = readUnderTest(under)
  const kinds = [lookCases, answerCases, toolCases, schemaCases, eventCases, mannerCases]
  return kinds.flatMap((casesOf) => casesOf(model))
}

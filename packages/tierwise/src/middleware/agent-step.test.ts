import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages"
import { expect, it } from "vitest"
import { stepKindOf } from "./agent-step.ts"

const human = new HumanMessage("Hello")
const result = new ToolMessage({ content: "21 °C", tool_call_id: "c" })
const tools = [{}]

it.each([
  ["ask", { messages: [human], tools }],
  ["ask", { messages: [human, new AIMessage("Hi"), human], tools }],
  ["tool-results", { messages: [human, result], tools }],
  ["final-answer", { messages: [human, result], tools: [] }],
  ["final-answer", { messages: [human] }],
  ["final-answer", { messages: [human], tools, toolChoice: "none" }],
])("knows %s by what is offered and what came last", (kind, signs) => {
  expect(stepKindOf(signs)).toBe(kind)
})

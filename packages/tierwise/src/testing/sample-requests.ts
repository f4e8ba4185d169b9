import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages"
import type { RouteRequest } from "../spec/request.ts"

/** Requests of every shape an extension must survive. */
export const SAMPLE_REQUESTS: readonly RouteRequest[] = [
  { messages: [new HumanMessage("Hello")] },
  { messages: [new HumanMessage(" \n\t ")] },
  { messages: [new SystemMessage("You are terse. ".repeat(500)), new HumanMessage("2 + 2?")] },
  {
    messages: [new HumanMessage("Design a zero-trust architecture with mTLS and analyze its threats.")],
    taskType: "security_analysis",
    capabilities: ["security_analysis"],
    contextLength: 2_048,
  },
  { messages: [new HumanMessage("Übersetze: „Grüße“ 🌍 ".repeat(200))], agentSpec: { minTier: "standard" } },
  {
    messages: [
      new HumanMessage("What is the weather in Rome?"),
      new AIMessage({ content: "", tool_calls: [{ id: "1", name: "weather", args: { city: "Rome" } }] }),
      new ToolMessage({ content: "21 °C", tool_call_id: "1" }),
    ],
    tools: [
      { type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } },
    ],
  },
  {
    messages: [
      new HumanMessage({
        content: [
          { type: "text", text: "What is in this picture?" },
          { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } },
        ],
      }),
    ],
    responseFormat: { name: "picture", schema: { type: "object", properties: { what: { type: "string" } } } },
  },
]

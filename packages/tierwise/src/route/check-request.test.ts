import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { InvalidRequestError } from "../spec/errors.ts"
import type { RouteRequest } from "../spec/request.ts"
import { checkRequest } from "./check-request.ts"

const tiers = ["light", "standard", "heavy"]
const messages = [new HumanMessage("Hello")]

describe("checkRequest [C8.request-validation]", () => {
  it.each<[string, RouteRequest, string]>([
    ["an empty conversation", { messages: [] }, "messages"],
    [
      "an empty human message",
      { messages: [new SystemMessage("x"), new HumanMessage("")] },
      "messages[1].content",
    ],
    [
      "a human message without parts",
      { messages: [new HumanMessage({ content: [] })] },
      "messages[0].content",
    ],
    ["half a surrogate pair", { messages: [new HumanMessage("a\ud83d")] }, "messages[0].content"],
    [
      "half a surrogate pair in a part",
      { messages: [new HumanMessage({ content: [{ type: "text", text: "\udc00" }] })] },
      "messages[0].content[0].text",
    ],
    ["a pin to an unknown tier", { messages, tier: "huge" }, "tier"],
    ["an agent pinned to an unknown tier", { messages, agentSpec: { tier: "huge" } }, "agentSpec.tier"],
    ["an agent's spec that is a word", { messages, agentSpec: "light" as never }, "agentSpec"],
    ["one capability instead of a list", { messages, capabilities: "tools" as never }, "capabilities"],
    ["an unknown bound", { messages, agentSpec: { minTier: "huge" } }, "agentSpec.minTier"],
    ["an unknown upper bound", { messages, agentSpec: { maxTier: "huge" } }, "agentSpec.maxTier"],
    ["bounds upside down", { messages, agentSpec: { minTier: "heavy", maxTier: "light" } }, "agentSpec"],
    ["a preference beyond 1", { messages, preference: 1.5 }, "preference"],
    ["a preference below 0", { messages, preference: -0.1 }, "preference"],
    ["a preference that is no number", { messages, preference: "high" as never }, "preference"],
    ["a negative context", { messages, contextLength: -1 }, "contextLength"],
    ["a context without end", { messages, contextLength: Number.POSITIVE_INFINITY }, "contextLength"],
    ["no output token", { messages, maxOutputTokens: 0 }, "maxOutputTokens"],
    ["half an output token", { messages, maxOutputTokens: 0.5 }, "maxOutputTokens"],
    ["a tenant without a name", { messages, scopes: { tenant: "" } }, "scopes.tenant"],
    ["a label that is no string", { messages, labels: { region: 1 as never } }, "labels.region"],
  ])("refuses %s, naming the field and the fix", (_, request, path) => {
    expect(() => checkRequest(request, tiers)).toThrow(
      expect.objectContaining({ constructor: InvalidRequestError, path, fix: expect.stringMatching(/\w/) }),
    )
  })

  it("lets pass what providers take: empty AI messages with tool calls, empty tool results, emoji", () => {
    const conversation = [
      new HumanMessage("Grüße 🌍"),
      new AIMessage({ content: "", tool_calls: [{ id: "1", name: "f", args: {} }] }),
      new ToolMessage({ content: "", tool_call_id: "1" }),
    ]
    const request = {
      messages: conversation,
      agentSpec: { minTier: "light", maxTier: "heavy" },
      preference: 0,
    }
    expect(() => checkRequest(request, tiers)).not.toThrow()
    const one = { ...request, agentSpec: { minTier: "heavy", maxTier: "heavy" } }
    expect(() => checkRequest(one, tiers)).not.toThrow()
  })
})

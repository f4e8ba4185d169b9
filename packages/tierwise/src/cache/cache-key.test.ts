import {
  AIMessage,
  type BaseMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
} from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import type { RouteRequest } from "../spec/request.ts"
import { type CacheableCall, type CacheRules, cacheKey } from "./cache-key.ts"

describe("the key of a call", () => {
  it("is the same for the same question, however it is spaced [D8.cache-key-normalised]", () => {
    expect(keyOf(asked("  What  is VAT?\r\n"))).toBe(keyOf(asked("What is VAT?")))
    expect(keyOf(asked("What is VAT?"))).not.toBe(keyOf(asked("What was VAT?")))
    expect(keyOf(asked("gro\u0308ße"))).toBe(keyOf(asked("größe")))
  })

  it("keeps spaces where they may mean something", () => {
    expect(keyOf(asked("def f():\n  x\ny"))).not.toBe(keyOf(asked("def f():\nx\ny")))
  })

  it("is a digest that tells nothing of the words", () => {
    expect(keyOf(asked("What is VAT?"))).toMatch(/^[0-9a-f]{64}$/)
  })

  it("never crosses tenants [N10.cache]", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (one, other) => {
        fc.pre(one !== other)
        expect(keyOf(asked("Hello", { scopes: { tenant: one } }))).not.toBe(
          keyOf(asked("Hello", { scopes: { tenant: other } })),
        )
      }),
    )
  })

  it("gives calls that name no tenant one place of their own, whoever the user is", () => {
    expect(keyOf(asked("Hello"))).toBe(keyOf(asked("Hello", { scopes: { user: "u-1" } })))
    expect(keyOf(asked("Hello"))).toBe(keyOf(asked("Hello", { scopes: { tenant: "default" } })))
    expect(keyOf(asked("Hello"))).not.toBe(keyOf(asked("Hello", { scopes: { tenant: "" } })))
  })

  it("is blind to how long a call may take, how urgent it is, and whom its session keeps it at", () => {
    const hints = { deadlineMs: 5_000, priority: 2, session: "s-1" }
    expect(keyOf(asked("Hello", hints))).toBe(keyOf(asked("Hello")))
    expect(keyOf(asked("Hello", { tier: "heavy" }))).not.toBe(keyOf(asked("Hello")))
  })

  it("is another one for another conversation", () => {
    const conversations = fc.array(message, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(conversations, conversations, (one, other) => {
        fc.pre(JSON.stringify(one) !== JSON.stringify(other))
        expect(keyOf(conversation(one))).not.toBe(keyOf(conversation(other)))
      }),
    )
  })

  it("does not mix up where one message ends and the next begins, nor who says it", () => {
    const keys = [
      [new HumanMessage("a"), new HumanMessage("b")],
      [new HumanMessage("a\nb")],
      [new HumanMessage("a"), new AIMessage("b")],
      [new SystemMessage("a"), new HumanMessage("b")],
      [new HumanMessage({ content: "a", name: "x" }), new HumanMessage("b")],
    ].map((messages) => keyOf({ request: { messages }, callOptions: {} }))
    expect(new Set(keys).size).toBe(keys.length)
  })

  it("takes a text alone in a list for that text, and pictures for what they are", () => {
    const picture = (url: string) => [
      { type: "text", text: "What is this?" },
      { type: "image_url", image_url: { url } },
    ]
    const human = (content: HumanMessage["content"]) =>
      keyOf({ request: { messages: [new HumanMessage(content)] }, callOptions: {} })
    expect(human([{ type: "text", text: "Hello " }])).toBe(human("Hello"))
    expect(
      human([
        { type: "text", text: "a" },
        { type: "text", text: "b" },
      ]),
    ).not.toBe(human("a"))
    const marked = [{ type: "text", text: "Hello", cache_control: { type: "ephemeral" } }]
    expect(human(marked)).not.toBe(human("Hello"))
    expect(human(picture("https://x/1.png"))).not.toBe(human(picture("https://x/2.png")))
    const bytes = (byte: number) => [{ type: "image", mimeType: "image/png", data: new Uint8Array([byte]) }]
    expect(human(bytes(1))).not.toBe(human(bytes(2)))
    expect(human(bytes(1))).toBeDefined()
  })

  it("tells tool calls and their results apart, and ignores ids and usage of earlier answers", () => {
    const loop = (args: object, result: string, more: object = {}) =>
      keyOf({
        request: {
          messages: [
            new HumanMessage("Weather?"),
            new AIMessage({
              content: "",
              tool_calls: [{ name: "weather", args: args as never, id: "c1" }],
              ...more,
            }),
            new ToolMessage({ content: result, tool_call_id: "c1" }),
          ],
        },
        callOptions: {},
      })
    const key = loop({ city: "Bonn" }, "12 °C")
    expect(loop({ city: "Berlin" }, "12 °C")).not.toBe(key)
    expect(loop({ city: "Bonn" }, "13 °C")).not.toBe(key)
    expect(loop({ city: "Bonn" }, "12 °C", { id: "msg-7", response_metadata: { tierwise: { id: 1 } } })).toBe(
      key,
    )
    const usage_metadata = { input_tokens: 1, output_tokens: 1, total_tokens: 2 }
    expect(loop({ city: "Bonn" }, "12 °C", { usage_metadata })).toBe(key)
    // Some packages keep the calls a second time, as they came.
    const raw = [{ id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Bonn"}' } }]
    expect(loop({ city: "Bonn" }, "12 °C", { additional_kwargs: { tool_calls: raw } })).toBe(key)
  })

  it("knows which call a result belongs to, and whether it is an error", () => {
    const calls = ["c1", "c2"].map((id) => ({ name: "weather", args: {}, id }))
    const results = (first: string, second: string, status: "success" | "error" = "success") =>
      keyOf({
        request: {
          messages: [
            new AIMessage({ content: "", tool_calls: calls }),
            new ToolMessage({ content: "12 °C", tool_call_id: first, status }),
            new ToolMessage({ content: "13 °C", tool_call_id: second }),
          ],
        },
        callOptions: {},
      })
    expect(results("c1", "c2")).not.toBe(results("c2", "c1"))
    expect(results("c1", "c2")).not.toBe(results("c1", "c2", "error"))
  })

  it.each<[string, Partial<RouteRequest>]>([
    ["tier", { tier: "heavy" }],
    ["taskType", { taskType: "simple_qa" }],
    ["agentSpec", { agentSpec: { minTier: "standard" } }],
    ["preference", { preference: 1 }],
    ["labels", { labels: { region: "eu" } }],
    ["maxOutputTokens", { maxOutputTokens: 7 }],
    ["capabilities", { capabilities: ["security"] }],
    ["contextLength", { contextLength: 4_000 }],
    ["attributes", { attributes: { queryType: "metric" } }],
    ["responseFormat", { responseFormat: { name: "x", schema: { type: "object" } } }],
  ])("holds the hint %s", (_, hint) => {
    expect(keyOf(asked("Hello", hint))).not.toBe(keyOf(asked("Hello")))
  })

  it("holds the deployments, the schema and every other option of the provider", () => {
    const plain = keyOf(asked("Hello"))
    const keys = [
      keyOf(asked("Hello"), {}, "other deployments"),
      keyOf({ ...asked("Hello"), structured: { schema: { type: "object" }, config: {} } }),
      keyOf({ ...asked("Hello"), structured: { schema: { type: "array" }, config: {} } }),
      keyOf({ ...asked("Hello"), structured: { schema: { type: "array" }, config: { strict: true } } }),
      ...[
        { stop: ["x"] },
        { stop: ["y"] },
        { tool_choice: "any" },
        { seed: 1 },
        { reasoning: { effort: "low" } },
      ].map((callOptions) => keyOf({ ...asked("Hello"), callOptions })),
    ]
    expect(new Set([plain, ...keys]).size).toBe(keys.length + 1)
  })

  it("is blind to what LangChain and LangGraph hand down for the run", () => {
    const loop: Record<string, unknown> = {}
    loop["self"] = loop
    const callOptions = {
      context: { user: "u-1" },
      writer: () => {},
      interrupt: () => {},
      control: new AbortController(),
      store: loop,
      executionInfo: { taskId: crypto.randomUUID() },
      serverInfo: {},
      heartbeat: 1,
      durability: "sync",
      configurable: { thread_id: "1" },
      signal: AbortSignal.timeout(1),
      callbacks: [() => {}],
      tags: ["a"],
      metadata: { a: 1 },
      runId: "r",
      runName: "n",
      recursionLimit: 5,
      maxConcurrency: 2,
      timeout: 9,
      maxRetries: 0,
      version: "v2",
      promptIndex: 0,
      ls_structured_output_format: { schema: z.object({}) },
    }
    expect(keyOf({ ...asked("Hello"), callOptions })).toBe(keyOf(asked("Hello")))
  })

  it("does not depend on the order of keys", () => {
    const attributes = fc.dictionary(fc.string(), fc.jsonValue())
    fc.assert(
      fc.property(attributes, (value) => {
        const turned = Object.fromEntries(Object.entries(value).reverse())
        expect(keyOf(asked("Hello", { attributes: turned }))).toBe(
          keyOf(asked("Hello", { attributes: value })),
        )
        expect(keyOf({ ...asked("Hello"), callOptions: { extra: turned } })).toBe(
          keyOf({ ...asked("Hello"), callOptions: { extra: value } }),
        )
      }),
    )
  })

  it("is the same for a schema object and for its JSON Schema's equal", () => {
    const format = (schema: unknown) => ({ ...asked("Hello"), callOptions: { response_format: { schema } } })
    expect(keyOf(format(z.object({ a: z.string() })))).toBe(keyOf(format(z.object({ a: z.string() }))))
    expect(keyOf(format(z.object({ a: z.string() })))).not.toBe(keyOf(format(z.object({ a: z.number() }))))
  })
})

describe("tools", () => {
  const rules = { tools: true }

  it("keep a call out of the cache unless the user says otherwise", () => {
    expect(keyOf(offering(search("Finds pages")))).toBeUndefined()
    expect(keyOf(offering(search("Finds pages")), rules)).toBeDefined()
    expect(keyOf({ ...asked("Hello"), callOptions: { functions: [{ name: "old" }] } })).toBeUndefined()
    expect(keyOf(asked("Hello", { tools: [] }))).toBe(keyOf(asked("Hello")))
  })

  it("that differ in name, description, schema or extras never share a key", () => {
    const keys = [
      search("Finds pages"),
      search("Finds books"),
      search("Finds pages", "find"),
      search("Finds pages", "search", z.object({ term: z.string() })),
      search("Finds pages", "search", z.object({ q: z.string().describe("words") })),
      Object.assign(search("Finds pages"), { extras: { defer_loading: true } }),
      { type: "web_search" },
      { type: "web_search", filters: { allowed_domains: ["x"] } },
    ].map((one) => keyOf(offering(one), rules))
    expect(new Set(keys).size).toBe(keys.length)
    expect(keys).not.toContain(undefined)
  })

  it("that say the same share one, also between a tool object and its OpenAI form", () => {
    expect(keyOf(offering(search("Finds pages")), rules)).toBe(keyOf(offering(search("Finds pages")), rules))
  })

  function search(description: string, name = "search", schema = z.object({ q: z.string() }) as z.ZodObject) {
    return tool(() => "", { name, description, schema })
  }

  function offering(...tools: unknown[]): CacheableCall {
    return asked("Hello", { tools })
  }
})

describe("calls that ask for variety", () => {
  it.each([{ temperature: 0.7 }, { temperature: "hot" }, { n: 2 }])("are not cached: %j", (callOptions) => {
    expect(keyOf({ ...asked("Hello"), callOptions })).toBeUndefined()
    expect(keyOf({ ...asked("Hello"), callOptions }, { nonDeterministic: true })).toBeDefined()
  })

  it.each([{}, { temperature: 0 }, { temperature: undefined }, { n: 1 }])(
    "are not these: %j",
    (callOptions) => {
      expect(keyOf({ ...asked("Hello"), callOptions })).toBeDefined()
    },
  )

  it("are all calls of a router with a deployment of stated temperature", () => {
    const options = { identity: "x", sampled: true }
    expect(cacheKey(asked("Hello"), options)).toBeUndefined()
    expect(cacheKey(asked("Hello"), { ...options, rules: { nonDeterministic: true } })).toBeDefined()
  })
})

describe("what cannot be compared", () => {
  const loop: Record<string, unknown> = {}
  loop["self"] = loop

  it.each([
    ["a function", () => 1],
    ["a function inside", { deep: [() => 1] }],
    ["an instance of a class", new URL("http://127.0.0.1")],
    ["a cycle", loop],
    ["a bigint", 1n],
  ])("is not cached: %s", (_, value) => {
    expect(keyOf({ ...asked("Hello"), callOptions: { extra: value } })).toBeUndefined()
  })
})

describe("the user's own way to normalise", () => {
  const lower = (text: string) => text.toLowerCase()

  it("is used in place of ours", () => {
    expect(keyOf(asked("HELLO"), { normalize: lower })).toBe(keyOf(asked("hello"), { normalize: lower }))
    expect(keyOf(asked("a  b"), { normalize: lower })).not.toBe(keyOf(asked("a b"), { normalize: lower }))
  })

  it("never shares a key with ours: the same text may come of another question", () => {
    expect(keyOf(asked("us"), { normalize: lower })).not.toBe(keyOf(asked("us")))
  })
})

/** A message as type, text and name; texts that no normalisation changes. */
const message = fc.tuple(
  fc.constantFrom("human", "ai", "system"),
  fc.constantFrom("a", "b", "a b", "B", "a\nb", ""),
)

function conversation(parts: readonly (readonly [string, string])[]): CacheableCall {
  const types = { human: HumanMessage, ai: AIMessage, system: SystemMessage }
  const messages: BaseMessage[] = parts.map(([type, text]) => new types[type as keyof typeof types](text))
  return { request: { messages }, callOptions: {} }
}

function asked(text: string, more: Partial<RouteRequest> = {}): CacheableCall {
  return { request: { messages: [new HumanMessage(text)], ...more }, callOptions: {} }
}

function keyOf(call: CacheableCall, rules: CacheRules = {}, identity = "deployments"): string | undefined {
  return cacheKey(call, { identity, sampled: false, rules })?.id
}

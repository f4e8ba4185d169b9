import { ChatAnthropic } from "@langchain/anthropic"
import { load } from "@langchain/core/load"
import { AIMessage, HumanMessage, SystemMessage } from "@langchain/core/messages"
import { ChatOpenAI } from "@langchain/openai"
import { memoryBudget, RouterChatModel, type RouterChatModelFields } from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld, RunCounter } from "./world.ts"

const SECRET = "sk-very-secret"

function router(fields: Partial<RouterChatModelFields> = {}) {
  return new RouterChatModel({
    tiers: ["small", "large"],
    deployments: [
      {
        id: "mini",
        tier: "small",
        model: new ChatOpenAI({ model: "gpt-4o-mini", apiKey: SECRET }),
        price: { inputPerMTok: 0.15, outputPerMTok: 0.6 },
      },
      {
        id: "sonnet",
        tier: "large",
        model: new ChatAnthropic({ model: "claude-sonnet-4-5", apiKey: SECRET }),
        price: { inputPerMTok: 3, outputPerMTok: 15 },
      },
    ],
    ...fields,
  })
}

describe("a router as a chat model", () => {
  it("is written down without secrets, and loaded again", async () => {
    const first = router({ thresholds: [0.4], taskTypes: { simple_qa: "small" }, tags: ["t"], gate: "full" })
    const text = JSON.stringify(first)
    expect(text).not.toContain(SECRET)
    const second = await load<RouterChatModel>(text, {
      secretsMap: { OPENAI_API_KEY: SECRET, ANTHROPIC_API_KEY: SECRET },
      importMap: {
        chat_models__tierwise: { RouterChatModel },
        chat_models__openai: { ChatOpenAI },
        chat_models__anthropic: { ChatAnthropic },
      },
    })
    expect(second).toBeInstanceOf(RouterChatModel)
    expect(JSON.parse(JSON.stringify(second))).toEqual(JSON.parse(text))
    const asked = [new HumanMessage("Hello")]
    const options = { snapshot: { at: 0, draw: 0 } }
    expect(await second.explain(asked, options)).toEqual(await first.explain(asked, options))
  })

  it("says that it cannot be written down when it holds what cannot", () => {
    const kept = router({ budget: memoryBudget({ limits: [{ scope: "global", window: "day", usd: 1 }] }) })
    expect(JSON.parse(JSON.stringify(kept))).toMatchObject({ type: "not_implemented" })
  })

  it("promises what every deployment can keep", () => {
    const { profile } = router()
    const [openai, anthropic] = [
      new ChatOpenAI({ model: "gpt-4o-mini", apiKey: SECRET }).profile,
      new ChatAnthropic({ model: "claude-sonnet-4-5", apiKey: SECRET }).profile,
    ]
    expect(profile.maxInputTokens).toBe(
      Math.min(openai.maxInputTokens as number, anthropic.maxInputTokens as number),
    )
    expect(profile.toolCalling).toBe(true)
    expect(profile.reasoningOutput).toBe(
      openai.reasoningOutput === true && anthropic.reasoningOutput === true,
    )
  })

  it("counts tokens here, without asking anybody", async () => {
    const model = router()
    expect(await model.getNumTokens("Hello, how are you today?")).toBeGreaterThan(4)
    expect(await model.getNumTokens([{ type: "text", text: "Hello" }])).toBe(
      await model.getNumTokens("Hello"),
    )
    const messages = [new SystemMessage("Be brief."), new HumanMessage("Hello"), new AIMessage("Hi.")]
    const { totalCount, countPerMessage } = await model.getNumTokensFromMessages(messages)
    expect(countPerMessage).toHaveLength(3)
    expect(Math.min(...countPerMessage)).toBeGreaterThan(4)
    expect(totalCount).toBe(countPerMessage.reduce((sum, count) => sum + count, 0) + 3)
  })

  it("is named to tracers as a model, and tells them names only", () => {
    const model = router()
    expect(Object.keys(model.getLsParams({})).sort()).toEqual([
      "ls_max_tokens",
      "ls_model_name",
      "ls_model_type",
      "ls_provider",
      "ls_stop",
      "ls_temperature",
    ])
    expect(model._identifyingParams()).toEqual({
      tiers: ["small", "large"],
      deployments: ["small: mini", "large: sonnet"],
    })
    expect(model.callKeys).toEqual(expect.arrayContaining(["stop", "tools", "tier", "scopes", "gate"]))
  })

  it("has a cache key that tells tools apart, and is blind to what a graph adds", () => {
    const model = router()
    const key = (options: object) => model._getSerializedCacheKeyParametersForCall(options)
    const tool = (name: string) => ({ type: "function", function: { name, parameters: { type: "object" } } })
    expect(key({ tools: [tool("a")] })).not.toBe(key({ tools: [tool("b")] }))
    expect(key({ stop: ["x"] })).not.toBe(key({}))
    expect(key({ executionInfo: { taskId: "1" }, writer: () => {}, store: new Map(), context: {} })).toBe(
      key({}),
    )
    expect(JSON.stringify(model.invocationParams({ tools: [tool("a")] }))).not.toContain("not_implemented")
  })

  it("hands its own tags, metadata and callbacks down, and adds to them what a clone was given [L1.with-config] [L1.tags] [L1.metadata]", async () => {
    const own = new RunCounter()
    const bound = new RunCounter()
    await using world = await openWorld({ callbacks: [own], tags: ["own"], metadata: { team: "a" } })
    const clone = world.router.withConfig({ tags: ["bound"], metadata: { user: "b" }, callbacks: [bound] })
    const seen: { tags: unknown; metadata: unknown }[] = []
    const call = {
      handleChatModelStart: (...args: unknown[]) => void seen.push({ tags: args[5], metadata: args[6] }),
      awaitHandlers: true,
    }
    await clone.invoke("Hello", { tags: ["call"], callbacks: [call] })
    expect(seen).toMatchObject([
      {
        tags: expect.arrayContaining(["own", "bound", "call", "tierwise:tier:light"]),
        metadata: { team: "a", user: "b" },
      },
    ])
    expect([own, bound].map(({ events }) => events.filter((event) => event === "llm end"))).toEqual([
      ["llm end"],
      ["llm end"],
    ])
    await world.router.invoke("Hello")
    expect(bound.events.filter((event) => event === "llm end")).toHaveLength(1)
  })
})

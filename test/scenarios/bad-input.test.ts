import { HumanMessage } from "@langchain/core/messages"
import { ChatOpenAI } from "@langchain/openai"
import Keyv from "keyv"
import {
  ConfigError,
  FallbackChain,
  InvalidRequestError,
  keyvCache,
  memoryBudget,
  NoEligibleDeploymentError,
  RouterChatModel,
} from "tierwise"
import { routerMiddleware } from "tierwise/middleware"
import { describe, expect, it } from "vitest"
import { openWorld } from "./world.ts"

const configured = (tierwise: unknown) => ({ configurable: { tierwise } })

describe("bad input is refused by a typed error, before any call and any money", () => {
  const budget = memoryBudget({ limits: [{ scope: "global", window: "total", usd: 1 }] })

  it.each<[string, HumanMessage[], object, string]>([
    ["an empty conversation", [], {}, "messages"],
    ["an empty message", [new HumanMessage("")], {}, "messages[0].content"],
    ["half a surrogate pair", [new HumanMessage("ok \ud83d")], {}, "messages[0].content"],
    ["an unknown tier in a pin", [new HumanMessage("Hi")], { tier: "huge" }, "tier"],
    ["a preference of 7", [new HumanMessage("Hi")], { preference: 7 }, "preference"],
    ["one tool in the place of a list", [new HumanMessage("Hi")], { tools: { name: "f" } }, "tools"],
    [
      "a misspelt hint",
      [new HumanMessage("Hi")],
      configured({ teir: "heavy" }),
      "configurable.tierwise.teir",
    ],
    ["hints that are none", [new HumanMessage("Hi")], configured("heavy"), "configurable.tierwise"],
    ["half a gate", [new HumanMessage("Hi")], { gate: "half" }, "gate"],
    ["a third of a retry", [new HumanMessage("Hi")], { maxRetries: 0.3 }, "maxRetries"],
  ])("%s", async (_, messages, options, path) => {
    await using world = await openWorld({ budget })
    for (const asked of [
      () => world.router.invoke(messages, options),
      () => world.router.explain(messages, options),
      async () => {
        for await (const chunk of await world.router.stream(messages, options)) expect(chunk).toBeUndefined()
      },
    ]) {
      await expect(asked()).rejects.toMatchObject({
        constructor: InvalidRequestError,
        path,
        fix: expect.any(String),
      })
    }
    expect(world.bodies()).toEqual([])
    expect(await budget.status({})).toMatchObject([{ spent: 0, held: 0 }])
  })

  it("a way to ask for a schema that the package does not know is thrown as the package throws it", async () => {
    await using world = await openWorld({ budget })
    const asked = world.router.withStructuredOutput({ type: "object" }, { method: "tools" })
    await expect(asked.invoke("Hello")).rejects.toThrow(/Invalid method/)
    expect(world.bodies()).toEqual([])
    expect(await budget.status({})).toMatchObject([{ spent: 0, held: 0 }])
  })

  it("a message too large for every context window", async () => {
    await using world = await openWorld({ budget })
    const asked = world.router.invoke("word ".repeat(400_000))
    await expect(asked).rejects.toThrow(NoEligibleDeploymentError)
    expect(world.bodies()).toEqual([])
    expect(await budget.status({})).toMatchObject([{ spent: 0, held: 0 }])
  })
})

describe("a router, a chain or a cache that cannot be built says what is missing", () => {
  const model = new ChatOpenAI({ model: "m", apiKey: "none" })
  const deployments = [{ tier: "one", model, price: "free" as const }]
  const router = (options: unknown) => () => new RouterChatModel(options as never)

  it.each<[string, () => unknown, RegExp]>([
    ["no options", router(undefined), /^options: they are missing/],
    ["no deployments", router({}), /^deployments: it is missing/],
    [
      "no price",
      router({ tiers: ["one"], deployments: [{ tier: "one", model }] }),
      /price: the price is unknown.*free/,
    ],
    [
      "a Keyv for a cache",
      router({ deployments, cache: new Keyv() }),
      /^cache: it is not a LangChain cache.*keyvCache/,
    ],
    [
      "rules without a cache",
      router({ tiers: ["one"], deployments, cacheRules: {} }),
      /^cacheRules: there is no cache/,
    ],
    [
      "a model with withRetry around it",
      router({ tiers: ["one"], deployments: [{ tier: "one", model: model.withRetry(), price: "free" }] }),
      /withRetry/,
    ],
    [
      "a misspelt time to live",
      () => keyvCache(new Keyv(), { ttl: 5 } as never),
      /^keyvCache\.ttl: there is no such option/,
    ],
    ["a list for a chain", () => new FallbackChain([model] as never), /^links: it is not a list/],
    ["nothing for a chain", () => new FallbackChain(undefined as never), /^links: it is not a list/],
    [
      "nothing for a middleware",
      () => routerMiddleware(undefined as never),
      /^router: it is no RouterChatModel/,
    ],
  ])("%s", (_, build, said) => {
    expect(build).toThrow(ConfigError)
    expect(build).toThrow(said)
  })
})

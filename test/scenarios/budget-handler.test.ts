import type { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import { awaitAllCallbacks } from "@langchain/core/callbacks/promises"
import { getRetryable } from "@langchain/core/errors"
import { HumanMessage } from "@langchain/core/messages"
import { ChatPromptTemplate } from "@langchain/core/prompts"
import { RunnableLambda } from "@langchain/core/runnables"
import {
  BudgetCallbackHandler,
  type BudgetCallbackHandlerOptions,
  BudgetExceededError,
  type BudgetLimit,
  type CalledModel,
  ConfigError,
  memoryBudget,
  priceTable,
} from "tierwise"
import { describe, expect, it, vi } from "vitest"
import { failureOf, openLedger, say, silently } from "./budget-handler-world.ts"
import { RunCounter } from "./world.ts"

describe("BudgetCallbackHandler over a bare model", () => {
  it.each(["whole", "streamed"] as const)(
    "books what the provider bills, to the nano-dollar, %s [L3.budget-unrouted]",
    async (way) => {
      await using world = await openLedger()
      const model = world.model({ callbacks: [world.handler] })
      for (const text of ["Hello", "What is a fox?", "Tell me of the sea, please"])
        await say(model, text, way)
      expect(await world.status()).toMatchObject({
        held: 0,
        spent: world.billed(),
        unconfirmed: 0,
        overrun: 0,
      })
      expect(world.billed()).toBeGreaterThan(0)
    },
  )

  it.each(["whole", "streamed"] as const)(
    "never lets 50 calls at once overspend, %s [L3.budget-unrouted]",
    async (way) => {
      await using world = await openLedger({ limits: [{ scope: "global", window: "day", usd: 0.0005 }] })
      const model = world.model({ maxTokens: 100, callbacks: [world.handler] })
      const settled = await silently(() =>
        Promise.allSettled(Array.from({ length: 50 }, (_, i) => say(model, `Hello number ${i}`, way))),
      )
      const refused = settled.filter(({ status }) => status === "rejected") as PromiseRejectedResult[]
      expect(refused.length).toBeGreaterThan(0)
      expect(refused.length).toBeLessThan(50)
      for (const { reason } of refused) expect(reason).toBeInstanceOf(BudgetExceededError)
      expect(await world.status()).toMatchObject({ held: 0, spent: world.billed(), unconfirmed: 0 })
      expect(world.billed()).toBeLessThanOrEqual(500_000)
      expect(world.simulator.requests()).toHaveLength(50 - refused.length)
    },
  )

  it("counts each call of a batch under its own hold", async () => {
    await using world = await openLedger()
    const model = world.model()
    const inputs = Array.from({ length: 12 }, (_, i) => `Hello number ${i}`)
    await model.batch(inputs, { callbacks: [world.handler], maxConcurrency: 3 })
    expect(world.holds).toHaveLength(12)
    expect(await world.status()).toMatchObject({ held: 0, spent: world.billed() })
  })

  it("calls nobody beyond the budget, and says scope, limit and what was asked for", async () => {
    await using world = await openLedger({ limits: [{ scope: "tenant", window: "day", usd: 0.000001 }] })
    const { handler } = world.with({ scopes: { tenant: "acme" } })
    const error = await silently(() => failureOf(world.model().invoke("Hello", { callbacks: [handler] })))
    expect(error).toMatchObject({
      code: "budget-exceeded",
      refusal: { scope: "tenant:acme", limit: 1_000, unit: "NanoUsd" },
    })
    expect((error as BudgetExceededError).quote.money).toBeGreaterThan(1_000)
    expect(world.simulator.requests()).toEqual([])
  })

  it("takes who pays from the run's metadata", async () => {
    await using world = await openLedger({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    const { handler } = world.with({ scopes: ({ tenant }) => ({ tenant: String(tenant) }) })
    await world.model().invoke("Hello", { callbacks: [handler], metadata: { tenant: "b" } })
    expect(await world.status({ tenant: "a" })).toMatchObject({ spent: 0 })
    expect(await world.status({ tenant: "b" })).toMatchObject({ spent: world.billed() })
  })

  it("limits each call for itself in the scope request", async () => {
    await using world = await openLedger({ limits: [{ scope: "request", tokens: 1_000 }] })
    const model = world.model({ maxTokens: 600, callbacks: [world.handler] })
    await Promise.all(Array.from({ length: 10 }, () => model.invoke("Hello")))
    const long = world.model({ maxTokens: 1_200, callbacks: [world.handler] })
    expect(await silently(() => failureOf(long.invoke("Hello")))).toBeInstanceOf(BudgetExceededError)
  })

  it("counts once, given in two places, inherited, and beside another handler of the same ledger", async () => {
    await using world = await openLedger()
    const { handler } = world
    const twin = world.with({ maxOutputTokens: 10 }).handler
    const model = world.model({ callbacks: [handler] })
    const chain = ChatPromptTemplate.fromTemplate("Say {x}").pipe(model)
    await model.invoke("Hello", { callbacks: [handler] })
    await model.invoke("Hello", { callbacks: [handler, handler, twin] })
    await chain.invoke({ x: "hello" }, { callbacks: [handler] })
    for await (const _ of await chain.stream({ x: "hello" }, { callbacks: [handler] }));
    expect(world.holds).toHaveLength(4)
    expect(await world.status()).toMatchObject({ held: 0, spent: world.billed() })
  })

  it("counts several answers to one call once, and holds for all of them", async () => {
    await using world = await openLedger()
    await world.model({ n: 3, maxTokens: 100 }).generate([[new HumanMessage("Hello")]], {
      callbacks: [world.handler],
    })
    expect(await world.status()).toMatchObject({ held: 0, spent: world.billed(), overrun: 0 })
    const [one, three] = [world.model({ maxTokens: 100 }), world.model({ n: 3, maxTokens: 100 })]
    await one.invoke("Hello", { callbacks: [world.handler] })
    await three.invoke("Hello", { callbacks: [world.handler] })
    const [, single, triple] = world.holds
    expect((triple ?? 0) - (single ?? 0)).toBeGreaterThanOrEqual(200)
  })

  it("gives every hold of a call back when one of its prompts is refused", async () => {
    await using world = await openLedger({ limits: [{ scope: "global", window: "day", tokens: 3_000 }] })
    const prompts = Array.from({ length: 5 }, () => [new HumanMessage("Hello")])
    const model = world.model({ maxTokens: 1_000 })
    const error = await silently(() => failureOf(model.generate(prompts, { callbacks: [world.handler] })))
    expect(error).toBeInstanceOf(BudgetExceededError)
    expect(world.holds.length).toBeGreaterThan(1)
    expect(await world.status()).toMatchObject({ held: 0, spent: 0 })
    expect(world.simulator.requests()).toEqual([])
  })

  it("gives its hold back when a handler of another ledger refuses the call", async () => {
    await using world = await openLedger()
    const poor = memoryBudget({ limits: [{ scope: "global", window: "day", tokens: 1 }] })
    const other = world.with({ budget: poor }).handler
    const callbacks: BaseCallbackHandler[] = [world.handler, other]
    const error = await silently(() => failureOf(world.model().invoke("Hello", { callbacks })))
    expect(error).toBeInstanceOf(BudgetExceededError)
    expect(world.holds).toHaveLength(1)
    expect(await world.status()).toMatchObject({ held: 0, spent: 0 })
  })

  it("holds for the tools and the schema that are sent along", async () => {
    await using world = await openLedger()
    const model = world.model({ maxTokens: 10 })
    const text = "x".repeat(2_000)
    const parameters = { type: "object", properties: { text: { type: "string", description: text } } }
    const config = { callbacks: [world.handler] }
    await model.invoke("Hello", config)
    const bound = model.bindTools([{ type: "function", function: { name: "t", parameters } }])
    await bound.invoke("Hello", config)
    const schema = { title: "Answer", ...parameters, required: ["text"], additionalProperties: false }
    await model
      .withStructuredOutput(schema, { method: "jsonSchema" })
      .invoke("Hello", config)
      .catch(() => {})
    const [plain = 0, withTool = 0, withSchema = 0] = world.holds
    expect(withTool - plain).toBeGreaterThan(2_000)
    expect(withSchema - plain).toBeGreaterThan(2_000)
    expect(await world.status()).toMatchObject({ held: 0, overrun: 0 })
  })

  it("tells retries that a call would be refused again, and lets a fallback to a cheaper model answer", async () => {
    await using world = await openLedger({ limits: [{ scope: "global", window: "day", usd: 0.001 }] })
    const callbacks = [world.handler]
    const [dear, cheap] = [world.model({ maxTokens: 1e6 }), world.model({ maxTokens: 50 })]
    const reserves = vi.spyOn(world.budget, "reserve")
    const onFailedAttempt = (failure: unknown) => {
      if (getRetryable(failure) === false) throw failure
    }
    const error = await silently(() =>
      failureOf(dear.withRetry({ stopAfterAttempt: 3, onFailedAttempt }).invoke("Hello", { callbacks })),
    )
    expect(error).toBeInstanceOf(BudgetExceededError)
    expect(reserves).toHaveBeenCalledTimes(1)
    const answer = await silently(() => dear.withFallbacks([cheap]).invoke("Hello", { callbacks }))
    expect(answer.text).not.toBe("")
    expect(await world.status()).toMatchObject({ held: 0, spent: world.billed() })
  })

  it("bills no answer out of a model's cache", async () => {
    await using world = await openLedger()
    const model = world.model({ cache: true, callbacks: [world.handler] })
    const text = `Hello ${crypto.randomUUID()}`
    await model.invoke(text)
    await model.invoke(text)
    await model.generate([[new HumanMessage(text)], [new HumanMessage(`${text}!`)]])
    expect(world.holds).toHaveLength(4)
    expect(world.simulator.requests()).toHaveLength(2)
    expect(await world.status()).toMatchObject({ held: 0, spent: world.billed() })
  })

  it("counts a model call deep inside a chain, whoever else listens", async () => {
    await using world = await openLedger()
    const model = world.model()
    const listener = new RunCounter()
    const deep = RunnableLambda.from(async (text: string, config) => (await model.invoke(text, config)).text)
    const chain = RunnableLambda.from((text: string) => text).pipe(deep)
    await chain.invoke("Hello", { callbacks: [listener, world.handler] })
    await awaitAllCallbacks()
    expect(listener.events.filter((event) => event.startsWith("llm"))).toHaveLength(2)
    expect(await world.status()).toMatchObject({ held: 0, spent: world.billed() })
  })

  it("leaves other handlers a start without an end when it refuses, which is LangChain's way, and closes their chain", async () => {
    await using world = await openLedger({ limits: [{ scope: "global", window: "day", tokens: 1 }] })
    const listener = new RunCounter()
    const chain = RunnableLambda.from((text: string) => text).pipe(world.model())
    await silently(() => failureOf(chain.invoke("Hello", { callbacks: [listener, world.handler] })))
    expect(listener.events.filter((event) => event.startsWith("chain error"))).toHaveLength(1)
    expect(listener.events).not.toContain("llm end")
  })
})

describe("BudgetCallbackHandler when a call fails", () => {
  it.each([
    ["a rejected key", 401],
    ["a mistake of the caller's", 400],
    ["a server error", 500],
    ["a rate limit", 429],
  ])("gives the hold back after %s", async (_, status) => {
    await using world = await openLedger()
    world.simulator.script([{ status, times: 1 }])
    await failureOf(world.model({ callbacks: [world.handler] }).invoke("Hello"))
    expect(world.holds).toHaveLength(1)
    expect(await world.status()).toMatchObject({ held: 0, spent: 0 })
    expect(world.billed()).toBe(0)
  })

  it("books what was seen of a stream that breaks, close to the bill", async () => {
    await using world = await openLedger()
    world.simulator.script([{ cutAfterChunks: 12, answer: "one two three ".repeat(40) }])
    const model = world.model({ callbacks: [world.handler] })
    await failureOf(say(model, "Count, please, and do not stop", "streamed"))
    const { spent, held } = await world.status()
    expect(held).toBe(0)
    expect(spent / world.billed()).toBeGreaterThan(0.5)
    expect(spent / world.billed()).toBeLessThan(2)
  })

  it("books the quote of a whole answer that never came: it may have been billed", async () => {
    await using world = await openLedger()
    world.simulator.script([{ cutAfterChunks: 1 }])
    await failureOf(world.model({ maxTokens: 100, callbacks: [world.handler] }).invoke("Hello"))
    const { spent, held } = await world.status()
    expect(held).toBe(0)
    expect(spent).toBeGreaterThanOrEqual(world.billed())
    expect(spent).toBeGreaterThan(0)
  })

  it("books an abort in the middle of a stream, and nothing if the caller had gone before", async () => {
    await using world = await openLedger()
    world.simulator.script([{ answer: "one two three ".repeat(40) }])
    const model = world.model({ callbacks: [world.handler] })
    const gone = AbortSignal.abort()
    await failureOf(model.invoke("Hello", { signal: gone }))
    expect(await world.status()).toMatchObject({ held: 0, spent: 0 })
    const controller = new AbortController()
    await failureOf(
      (async () => {
        let seen = 0
        for await (const _ of await model.stream("Count", { signal: controller.signal }))
          if (++seen === 8) controller.abort()
      })(),
    )
    await expect.poll(async () => (await world.status()).held).toBe(0)
    expect((await world.status()).spent).toBeGreaterThan(0)
  })

  it("books an abort that LangChain tells nobody of, because its reader reads no more", async () => {
    await using world = await openLedger()
    world.simulator.script([{ answer: "one two three ".repeat(40) }])
    const controller = new AbortController()
    const { handler } = world
    const stream = await world.model().stream("Count", { callbacks: [handler], signal: controller.signal })
    for await (const { text } of stream) if (text !== "") break
    const { held } = await world.status()
    expect(held).toBeGreaterThan(0)
    controller.abort()
    await expect.poll(async () => (await world.status()).held, { timeout: 5_000 }).toBe(0)
    const { spent, unconfirmed } = await world.status()
    expect(unconfirmed).toBe(0)
    expect(spent).toBeGreaterThan(0)
    expect(spent).toBeLessThan(held)
  })

  it("calls nobody while the store is down", async () => {
    await using world = await openLedger()
    const down = { ...world.budget, reserve: () => Promise.reject(new Error("connection lost")) }
    const { handler } = world.with({ budget: down })
    const error = await silently(() => failureOf(world.model().invoke("Hello", { callbacks: [handler] })))
    expect(error).toMatchObject({ code: "budget-unavailable", store: world.budget.name })
    expect(world.simulator.requests()).toEqual([])
  })

  it("answers when a settlement fails, and tells of it", async () => {
    await using world = await openLedger()
    const problems: unknown[] = []
    const full = { ...world.budget, settle: () => Promise.reject(new Error("disk full")) }
    const onProblem = (error: unknown) => {
      problems.push(error)
      throw new Error("of no consequence")
    }
    const { handler } = world.with({ budget: full, onProblem })
    expect((await world.model().invoke("Hello", { callbacks: [handler] })).text).not.toBe("")
    expect(problems).toMatchObject([{ code: "budget-unavailable", problem: "disk full" }])
  })

  it("calls nobody whose price is unknown", async () => {
    await using world = await openLedger()
    for (const asked of [{ price: () => undefined }, { price: undefined, prices: priceTable() }]) {
      const { handler } = world.with(asked)
      const error = await silently(() => failureOf(world.model().invoke("Hello", { callbacks: [handler] })))
      expect(error).toBeInstanceOf(ConfigError)
      expect((error as ConfigError).message).toContain("sim-small")
    }
    expect(world.simulator.requests()).toEqual([])
  })

  it("gives back a hold that the same call's other prompt was refused because of its price", async () => {
    await using world = await openLedger()
    let asked = 0
    const { handler } = world.with({ price: () => (++asked === 1 ? world.price : undefined) })
    const prompts = [[new HumanMessage("Hello")], [new HumanMessage("Hello")]]
    await silently(() => failureOf(world.model().generate(prompts, { callbacks: [handler] })))
    expect(await world.status()).toMatchObject({ held: 0, spent: 0 })
  })
})

describe("BudgetCallbackHandler where LangChain tells nobody", () => {
  it("leaves the hold of a stream that is broken off to expire at its quote, unconfirmed", async () => {
    let at = Date.UTC(2026, 0, 15, 12)
    const limits: BudgetLimit[] = [{ scope: "global", window: "day", usd: 1 }]
    const budget = memoryBudget({ limits, holdTtlMs: 60_000, now: () => at })
    await using world = await openLedger({ budget })
    world.simulator.script([{ answer: "one two three ".repeat(40) }])
    const model = world.model({ maxTokens: 100, callbacks: [world.handler] })
    for await (const { text } of await model.stream("Count")) if (text !== "") break
    const { held } = await world.status()
    expect(held).toBeGreaterThan(0)
    at += 60_000
    expect(await world.status()).toMatchObject({ held: 0, spent: held, unconfirmed: held })
  })

  it("does not hear of streamEvents without a version", async () => {
    await using world = await openLedger()
    const model = world.model({ callbacks: [world.handler] })
    const events = model.streamEvents("Hello", { callbacks: [world.handler] } as never)
    for await (const _ of events as AsyncIterable<unknown>);
    expect(world.billed()).toBeGreaterThan(0)
    expect(world.holds).toEqual([])
    expect(await world.status()).toMatchObject({ held: 0, spent: 0 })
  })

  it("hears of streamEvents with a version", async () => {
    await using world = await openLedger()
    const model = world.model({ callbacks: [world.handler] })
    for await (const _ of model.streamEvents("Hello", { version: "v2" }));
    await awaitAllCallbacks()
    expect(await world.status()).toMatchObject({ held: 0, spent: world.billed() })
    expect(world.billed()).toBeGreaterThan(0)
  })
})

describe("BudgetCallbackHandler's price", () => {
  it("is asked for by provider and name, and comes out of a table where the function knows none", async () => {
    await using world = await openLedger()
    const asked: CalledModel[] = []
    const dear = { inputPerMTok: 100, outputPerMTok: 100, source: "test", asOf: "2026-11-01" }
    const { handler } = world.with({
      price: (model) => {
        asked.push(model)
        return undefined
      },
      prices: priceTable({ overrides: { "openai/sim-small": dear } }),
    })
    await world.model().invoke("Hello", { callbacks: [handler], metadata: { team: "red" } })
    expect(asked).toMatchObject([{ provider: "openai", name: "sim-small", metadata: { team: "red" } }])
    const [line] = world.simulator.invoices()
    const tokens = (line?.inputTokens ?? 0) + (line?.outputTokens ?? 0)
    expect(await world.status()).toMatchObject({ held: 0, spent: tokens * 100_000 })
  })

  it("never shows a key of the model's to the function", async () => {
    await using world = await openLedger()
    const shown: string[] = []
    const { handler } = world.with({
      price: (model) => {
        shown.push(JSON.stringify(model))
        return "free"
      },
    })
    await world.model({ apiKey: "sk-very-secret" }).invoke("Hello", { callbacks: [handler] })
    expect(shown[0]).toContain("sim-small")
    expect(shown[0]).not.toContain("sk-very-secret")
  })

  it.each<[string, object, string]>([
    ["no budget", { price: "free" }, "budget"],
    ["no price", { price: undefined }, "price"],
    ["a price that is none", { price: { inputPerMTok: -1, outputPerMTok: 1 } }, "price.inputPerMTok"],
    ["a table that is none", { prices: {} }, "prices"],
    ["scopes that are no object", { scopes: "acme" }, "scopes"],
    ["half a token", { maxOutputTokens: 0.5 }, "maxOutputTokens"],
    ["an unknown bound", { quoteInput: "guess" }, "quoteInput"],
    ["media without size", { mediaTokens: { image: -1 } }, "mediaTokens.image"],
    ["a listener that is none", { onProblem: "log" }, "onProblem"],
  ])("refuses %s by its name", (story, wrong, path) => {
    const budget = memoryBudget({ limits: [{ scope: "global", window: "day", usd: 1 }] })
    const sound = story === "no budget" ? {} : { budget, price: "free" }
    expect(() => new BudgetCallbackHandler({ ...sound, ...wrong } as BudgetCallbackHandlerOptions)).toThrow(
      expect.objectContaining({ constructor: ConfigError, path }),
    )
  })
})

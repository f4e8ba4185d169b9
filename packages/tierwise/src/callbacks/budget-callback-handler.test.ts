import { getEventListeners } from "node:events"
import type { Serialized } from "@langchain/core/load/serializable"
import { AIMessage, type AIMessageFields, HumanMessage } from "@langchain/core/messages"
import type { Generation, LLMResult } from "@langchain/core/outputs"
import { describe, expect, it } from "vitest"
import { memoryBudget } from "../budget/memory-budget.ts"
import { priceTable } from "../pricing/price-table.ts"
import { BudgetCallbackHandler } from "./budget-callback-handler.ts"
import type { BudgetCallbackHandlerOptions } from "./budget-handler-options.ts"

const serialized: Serialized = { lc: 1, type: "not_implemented", id: ["langchain", "ChatX"] }
const messages = [[new HumanMessage("Hello")]]
const usage_metadata = { input_tokens: 7, output_tokens: 3, total_tokens: 10 }
const message = new AIMessage({ content: "Hi", usage_metadata } as AIMessageFields)
const answer: LLMResult = { generations: [[{ text: "Hi", message } as Generation]] }

function world(options: Partial<BudgetCallbackHandlerOptions> = {}) {
  const budget = memoryBudget({ limits: [{ scope: "global", window: "day", usd: 1 }] })
  const price = { inputPerMTok: 1, outputPerMTok: 10 }
  const handler = new BudgetCallbackHandler({ budget, price, maxOutputTokens: 100, ...options })
  const start = (runId: string, { extra = {}, id = serialized, metadata = {} } = {}) =>
    handler.handleChatModelStart(id, messages, runId, undefined, extra, [], metadata)
  const status = async () => (await budget.status({}))[0]
  return { budget, handler, start, status }
}

describe("BudgetCallbackHandler", () => {
  it("holds once for a run whose start is told twice, and books once what is told to have ended twice", async () => {
    const { handler, start, status } = world()
    const extra = {}
    await Promise.all([start("r", { extra }), start("r", { extra })])
    const once = (await status())?.held ?? 0
    await start("other")
    expect((await status())?.held).toBe(2 * once)
    await Promise.all([handler.handleLLMEnd(answer, "r"), handler.handleLLMEnd(answer, "r")])
    expect(await status()).toMatchObject({ held: once, spent: 37_000 })
  })

  it("holds for a run that comes again under its id, as one that a caller has named does", async () => {
    const { handler, start, status } = world()
    for (let i = 0; i < 3; i++) {
      await start("mine")
      await handler.handleLLMEnd(answer, "mine")
    }
    expect(await status()).toMatchObject({ held: 0, spent: 3 * 37_000 })
  })

  it("refuses a dearer tier of service at the listed price, and takes one that is priced for it", async () => {
    const prices = priceTable({ overrides: { "x/y": "free" } })
    const metadata = { ls_provider: "x", ls_model_name: "y" }
    const dearer = () => ({ metadata, extra: { invocation_params: { service_tier: "priority" } } })
    const listed = world({ price: undefined, prices })
    await expect(listed.start("a", dearer())).rejects.toMatchObject({ path: "service_tier" })
    await listed.start("b", { metadata, extra: { invocation_params: { service_tier: "default" } } })
    const priced = world({ prices })
    await priced.start("a", dearer())
    expect((await priced.status())?.held).toBeGreaterThan(0)
  })

  it("leaves runs alone that it was never told the start of", async () => {
    const { handler, status } = world()
    await handler.handleLLMEnd(answer, "unknown")
    await handler.handleLLMError(new Error("no"), "unknown")
    handler.handleLLMNewToken("Hi", { prompt: 0, completion: 0 }, "unknown")
    expect(await status()).toMatchObject({ held: 0, spent: 0 })
  })

  it("leaves alone what a router has held for in this ledger, and no other", async () => {
    const { budget, start, status } = world()
    await start("a", { metadata: { tierwise_ledger: budget.name } })
    expect(await status()).toMatchObject({ held: 0 })
    await start("b", { metadata: { tierwise_ledger: `${budget.name}-2` } })
    expect((await status())?.held).toBeGreaterThan(0)
  })

  it("counts the words of LangChain's newer events when their run fails", async () => {
    const { handler, start, status } = world()
    await start("r")
    for (const text of ["one", " two", " three"]) {
      const event = { event: "content-block-delta", index: 0, delta: { type: "text-delta", text } } as const
      handler.handleChatModelStreamEvent(event, "r")
    }
    await handler.handleLLMError(new Error("broken"), "r")
    const spent = (await status())?.spent ?? 0
    expect(spent).toBeGreaterThanOrEqual(30_000)
    expect(spent).toBeLessThan(50_000)
  })

  it("books the quote of an answer that it cannot read, and gives it to the caller", async () => {
    const problems: unknown[] = []
    const { handler, start, status } = world({ onProblem: (error) => problems.push(error) })
    await start("r")
    const held = (await status())?.held
    await handler.handleLLMEnd({ generations: undefined } as never, "r")
    expect(await status()).toMatchObject({ held: 0, spent: held })
    expect(problems).toHaveLength(1)
  })

  it("is not stopped by an onProblem that throws, or rejects later", async () => {
    const thrower = () => {
      throw new Error("no log")
    }
    const rejecter = (async () => Promise.reject(new Error("the log is down"))) as () => void
    for (const onProblem of [thrower, rejecter]) {
      const { handler, start, status } = world({ onProblem })
      await start("r")
      const held = (await status())?.held
      await handler.handleLLMEnd({ generations: undefined } as never, "r")
      expect(await status()).toMatchObject({ held: 0, spent: held })
    }
  })

  it("is its own copy: what is held is known in one place", async () => {
    const { handler, start, status } = world()
    await start("r")
    await handler.copy().handleLLMEnd(answer, "r")
    expect(await status()).toMatchObject({ held: 0, spent: 37_000 })
  })

  it("forgets the oldest of 10,000 runs that nobody ends, whose holds stay to be booked at their quotes", async () => {
    const { handler, start, status } = world({ price: { inputPerMTok: 0, outputPerMTok: 0.01 } })
    for (let i = 0; i <= 10_000; i++) await start(`r-${i}`)
    const held = (await status())?.held ?? 0
    await handler.handleLLMEnd(answer, "r-0")
    expect(await status()).toMatchObject({ held })
    await handler.handleLLMEnd(answer, "r-1")
    expect((await status())?.held).toBeLessThan(held)
  })

  it("lets go of the signal of a run that has ended", async () => {
    const { handler, start } = world()
    const { signal } = new AbortController()
    await start("r", { extra: { options: { signal } } })
    expect(getEventListeners(signal, "abort")).toHaveLength(1)
    await handler.handleLLMEnd(answer, "r")
    expect(getEventListeners(signal, "abort")).toHaveLength(0)
  })

  it("asks to be waited for, and to be heard when it refuses", () => {
    expect(world().handler).toMatchObject({ awaitHandlers: true, raiseError: true })
  })
})

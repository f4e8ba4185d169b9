import { InMemoryCache } from "@langchain/core/caches"
import { HumanMessage } from "@langchain/core/messages"
import { ChatOpenAI } from "@langchain/openai"
import Keyv from "keyv"
import {
  keyvCache,
  memoryBudget,
  type RouteEvent,
  RouterChatModel,
  type RouterChatModelFields,
} from "tierwise"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { deploymentOf, openWorld, RunCounter, replyMetadata, usageOf } from "./world.ts"

function cachedWorld(options: Partial<RouterChatModelFields> = {}) {
  return openWorld({ cache: keyvCache(new Keyv()), ...options })
}

describe("the response cache", () => {
  it("answers again without routing, holding or calling, and says so [D8.cache-hit-bypasses]", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    const events: RouteEvent[] = []
    await using world = await cachedWorld({ budget, observers: [{ on: (event) => void events.push(event) }] })
    const first = await world.router.invoke("How are you?")
    const spent = (await budget.status({}))[0]?.spent
    const second = await world.router.invoke(" How are  you?\r\n")
    expect(second.text).toBe(first.text)
    expect(replyMetadata(second)).toMatchObject({
      cached: true,
      reason: "cached",
      costUsd: 0,
      deployment: replyMetadata(first).deployment,
      attempts: [],
    })
    expect(usageOf(second)).toMatchObject({ total_tokens: 0 })
    expect(usageOf(first)?.total_tokens).toBeGreaterThan(0)
    expect(world.bodies()).toHaveLength(1)
    expect((await budget.status({}))[0]).toMatchObject({ spent, held: 0 })
    expect(events.at(-1)).toMatchObject({ type: "answer-recalled", tier: replyMetadata(first).tier })
  })

  it("streams an answer again, and stores one that was streamed", async () => {
    await using world = await cachedWorld()
    const read = async () => {
      const chunks = []
      for await (const chunk of await world.router.stream("Hello")) chunks.push(chunk)
      return chunks
    }
    const [first, second] = [await read(), await read()]
    const text = (chunks: typeof first) => chunks.map((chunk) => chunk.text).join("")
    expect(text(second)).toBe(text(first))
    // One message to its reader, and another one than the first.
    expect(new Set(second.map(({ id }) => id)).size).toBe(1)
    expect(second[0]?.id).toMatch(/^run-/)
    expect(second[0]?.id).not.toBe(first[0]?.id)
    expect(second.filter(({ response_metadata }) => "tierwise" in response_metadata)).toHaveLength(1)
    expect(replyMetadata(second.at(-1) as object as never)).toMatchObject({ cached: true })
    expect((await world.router.invoke("Hello")).text).toBe(text(first))
    expect(world.bodies()).toHaveLength(1)
  })

  it("shows a hit to handlers as LangChain does: as a model's run without usage", async () => {
    await using world = await cachedWorld()
    await world.router.invoke("Hello")
    const counter = new RunCounter()
    const said = await world.router.invoke("Hello", { callbacks: [counter] })
    expect(counter.events.map((event) => event.split(" ", 2).join(" "))).toMatchObject([
      "chain RouterChatModel",
      expect.stringContaining("llm tierwise:cached"),
      "llm end",
      "chain end",
    ])
    expect(counter.tokens).toBe(0)
    let text = ""
    for await (const { event, data } of world.router.streamEvents("Hello", { version: "v2" })) {
      if (event === "on_chat_model_stream") text += data.chunk.text
    }
    expect(text).toBe(said.text)
  })

  it("is asked once by many who come at once", async () => {
    await using world = await cachedWorld()
    const replies = await Promise.all(Array.from({ length: 20 }, () => world.router.invoke("Hello")))
    expect(world.bodies()).toHaveLength(1)
    expect(new Set(replies.map(({ text }) => text)).size).toBe(1)
    expect(replies.filter((reply) => replyMetadata(reply).cached === true)).toHaveLength(19)
  })

  it.each(["invoke", "stream"] as const)("lets the next one ask when the first %s fails", async (way) => {
    await using world = await cachedWorld({ maxFallbackAttempts: 0, maxRetries: 0 })
    world.simulator.script([{ status: 500 }])
    const ask = async () => {
      if (way === "invoke") return (await world.router.invoke("Hello")).text
      let text = ""
      for await (const chunk of await world.router.stream("Hello")) text += chunk.text
      return text
    }
    const [first, second] = await Promise.allSettled([ask(), ask()])
    expect([first.status, second.status]).toEqual(["rejected", "fulfilled"])
    expect(await ask()).toBe((second as PromiseFulfilledResult<string>).value)
    expect(world.bodies()).toHaveLength(2)
  })

  it("lets one go who aborts while another makes the answer", async () => {
    await using world = await cachedWorld()
    world.simulator.script([{ delayMs: 300 }])
    const making = world.router.invoke("Hello")
    const left = world.router.invoke("Hello", { signal: AbortSignal.timeout(30) })
    const won = await Promise.race([making.then(() => "answered"), left.catch(() => "let go")])
    expect(won).toBe("let go")
    await expect(left).rejects.toThrow("timeout")
    expect(replyMetadata(await making).cached).toBeUndefined()
    expect(world.bodies()).toHaveLength(1)
  })

  it("never crosses tenants [N10.cache]", async () => {
    await using world = await cachedWorld()
    for (const tenant of ["acme", "other", "acme"]) await world.router.invoke("Hello", { scopes: { tenant } })
    expect(world.bodies()).toHaveLength(2)
  })

  it("parses a hit under its schema again", async () => {
    await using world = await cachedWorld()
    world.simulator.script([{ answer: '{"city":"Rome"}' }])
    const schema = z.object({ city: z.string().transform((city) => city.toUpperCase()) })
    const asked = world.router.withStructuredOutput(schema, { method: "jsonSchema" })
    expect([await asked.invoke("Where?"), await asked.invoke("Where?")]).toEqual([
      { city: "ROME" },
      { city: "ROME" },
    ])
    expect(world.bodies()).toHaveLength(1)
  })

  it("does not keep an answer that does not parse, though its validator is content", async () => {
    const validator = { name: "content", validate: () => ({ accepted: true }) as const }
    await using world = await cachedWorld({ validator })
    world.simulator.script([{ answer: "no JSON", times: 2 }])
    const json_schema = { name: "n", schema: { type: "object", properties: {} } }
    const options = { response_format: { type: "json_schema", json_schema } }
    for (const _ of [1, 2]) {
      await expect(world.router.invoke("Hello", options)).rejects.toThrow("does not parse")
    }
    expect(world.bodies()).toHaveLength(2)
  })

  it("does not keep an answer that would be read otherwise when it is read again", async () => {
    await using world = await cachedWorld()
    world.simulator.script([{ answer: '{"city":"Rome"}', times: 2 }])
    let reads = 0
    const schema = z.object({ city: z.string().transform((city) => `${city} ${++reads}`) })
    const asked = world.router.withStructuredOutput(schema, { method: "jsonSchema" })
    await asked.invoke("Where?")
    await asked.invoke("Where?")
    expect(world.bodies()).toHaveLength(2)
  })

  it("asks again where the store gives back less than it was given", async () => {
    class Forgetful extends InMemoryCache {
      override async lookup(prompt: string, llmKey: string) {
        const found = await super.lookup(prompt, llmKey)
        return found?.map((one) => ({ ...one, text: one.text.replace('"tierwise"', '"other"') })) ?? null
      }
    }
    await using world = await cachedWorld({ cache: new Forgetful() })
    const replies = [await world.router.invoke("Hello"), await world.router.invoke("Hello")]
    expect(replies.map((reply) => replyMetadata(reply).cached)).toEqual([undefined, undefined])
    expect(world.bodies()).toHaveLength(2)
  })

  it("does not keep an answer that was rejected, nor one that broke off", async () => {
    const validator = { name: "never", validate: () => ({ accepted: false, reason: "never" }) as const }
    await using world = await cachedWorld({ validator })
    await world.router.invoke("Hello", { tier: "light" })
    await world.router.invoke("Hello", { tier: "light" })
    expect(world.bodies()).toHaveLength(2)
    for await (const _ of await world.router.stream("Bye", { gate: "off" })) break
    expect(replyMetadata(await world.router.invoke("Bye")).cached).toBeUndefined()
  })

  it("keeps nothing of calls with tools, or that ask for variety, unless it is asked to", async () => {
    const tools = [
      { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } },
    ]
    for (const [options, bodies] of [
      [{ tools }, 2],
      [{ temperature: 0.7 }, 2],
    ] as const) {
      await using world = await cachedWorld()
      for (const _ of [1, 2]) await world.router.invoke("Hello", options as never)
      expect(world.bodies()).toHaveLength(bodies)
      await using asked = await cachedWorld({ cacheRules: { tools: true, nonDeterministic: true } })
      for (const _ of [1, 2]) await asked.router.invoke("Hello", options as never)
      expect(asked.bodies()).toHaveLength(1)
    }
  })

  it("is refused where no answer would ever be kept", async () => {
    await using world = await openWorld()
    const model = new ChatOpenAI({ model: "sim-small", apiKey: "none", temperature: 0.5 })
    const deployments = [{ ...deploymentOf(world.simulator, "light", "sim-small"), model }]
    const options = { tiers: ["light"], deployments, cache: true }
    expect(() => new RouterChatModel(options)).toThrow(
      /deployments\[0\]\.model.*temperature.*nonDeterministic/,
    )
    expect(() => new RouterChatModel({ ...options, cacheRules: { nonDeterministic: true } })).not.toThrow()
  })

  it("takes LangChain's own, and is refused on a deployment", async () => {
    await using world = await openWorld({ cache: new InMemoryCache() })
    for (const _ of [1, 2]) await world.router.invoke([new HumanMessage("Hello")])
    expect(world.bodies()).toHaveLength(1)
    const model = new ChatOpenAI({ model: "sim-small", apiKey: "none", cache: true })
    const deployments = [{ ...deploymentOf(world.simulator, "light", "sim-small"), model }]
    expect(() => new RouterChatModel({ tiers: ["light"], deployments })).toThrow(
      /deployments\[0\]\.model.*cache/,
    )
  })
})

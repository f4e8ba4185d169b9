import { ChatAnthropic } from "@langchain/anthropic"
import { memoryBudget, RouterChatModel } from "tierwise"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { answers, cutsItsBody, openOddWorld, says, streams, type Way } from "./scripted-server.ts"
import { RunCounter, replyMetadata } from "./world.ts"

const read = async (stream: AsyncIterable<{ readonly text: string }>) => {
  const texts: string[] = []
  for await (const { text } of stream) texts.push(text)
  return texts.join("")
}
const purse = () => memoryBudget({ limits: [{ scope: "tenant", window: "total", usd: 1 }] })
const spentOf = async (budget: ReturnType<typeof memoryBudget>) => (await budget.status({}))[0]

describe("a provider that answers oddly", () => {
  it.each([
    ["without output tokens", { prompt_tokens: 10 }],
    ["with negative tokens", { prompt_tokens: -1, completion_tokens: 5, total_tokens: 4 }],
    ["without any", undefined],
  ])("does not cost us the answer it bills %s: the tokens seen are counted", async (_, usage) => {
    await using world = await openOddWorld(answers("All is well.", { usage }))
    const budget = purse()
    const reply = await world.router({ budget }).invoke("Hello")
    expect(reply.text).toBe("All is well.")
    const [attempt] = world.records[0]?.attempts ?? []
    expect(attempt).toMatchObject({ outcome: "answered", usage: { estimated: true } })
    expect(await spentOf(budget)).toMatchObject({ held: 0, spent: world.records[0]?.cost })
    expect(world.records[0]?.cost).toBeGreaterThan(0)
  })

  it("is billed for half a token as for a whole one", async () => {
    const usage = { prompt_tokens: 10.5, completion_tokens: 5, total_tokens: 15.5 }
    await using world = await openOddWorld(answers("Fine.", { usage }))
    await world.router().invoke("Hello")
    expect(world.records[0]?.attempts[0]).toMatchObject({ usage: { inputTokens: 11, estimated: false } })
  })

  it.each([
    ["broken JSON", says('{"id":"c-1","choices":[{"mess')],
    ["a proxy's page", says("<html>Bad day</html>", "text/html")],
    ["an error inside a 200", says('{"error":{"message":"upstream failed"}}')],
    ["a body it cuts off", cutsItsBody],
  ])("is left for the next candidate when it sends %s", async (_, way) => {
    await using world = await openOddWorld(way, answers("Fine."))
    const reply = await world.router().invoke("Hello")
    expect(reply.text).toBe("Fine.")
    expect(replyMetadata(reply).tier).toBe("heavy")
    expect(world.bodies).toHaveLength(2)
  })

  it("is paid the whole quote for a body nobody could read: it may bill as much", async () => {
    await using world = await openOddWorld(cutsItsBody, answers("Fine."))
    const budget = purse()
    await world.router({ budget }).invoke("Hello")
    const [cut] = world.records[0]?.attempts ?? []
    const quote = world.records[0]?.plan.candidates[0]?.quote
    expect(cut).toMatchObject({
      failure: "truncated",
      cost: quote?.money,
      usage: { outputTokens: 100, estimated: true },
    })
    expect(await spentOf(budget)).toMatchObject({ held: 0, spent: world.records[0]?.cost })
  })

  it("is left for the next candidate when its stream ends before it began", async () => {
    await using world = await openOddWorld(streams([]), streams(["Fine", "."]))
    expect(await read(await world.router().stream("Hello"))).toBe("Fine.")
    expect(world.records[0]?.attempts).toMatchObject([{ failure: "truncated" }, { outcome: "answered" }])
  })

  it("is left for the next candidate when its stream breaks before the first word [N5.stream-failover]", async () => {
    await using world = await openOddWorld(streams([""], "cut"), streams(["Fine", "."]))
    expect(await read(await world.router().stream("Hello"))).toBe("Fine.")
    expect(world.bodies).toHaveLength(2)
  })

  it("is waited for until the first word, not until the first empty chunk", async () => {
    const stalls: Way = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" })
      const delta = { role: "assistant", content: "" }
      const choices = [{ index: 0, delta, finish_reason: null }]
      response.write(`data: ${JSON.stringify({ id: "c-1", object: "chat.completion.chunk", choices })}\n\n`)
    }
    await using world = await openOddWorld(stalls, streams(["Fine", "."]))
    expect(await read(await world.router({ attemptTimeoutMs: 80 }).stream("Hello"))).toBe("Fine.")
    expect(world.records[0]?.attempts[0]).toMatchObject({ failure: "timeout" })
  })

  it("is paid the whole quote when it thinks in silence until we lose patience", async () => {
    const thinks: Way = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" })
      const choices = [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }]
      response.write(`data: ${JSON.stringify({ id: "c-1", object: "chat.completion.chunk", choices })}\n\n`)
    }
    await using world = await openOddWorld(thinks, streams(["Fine."]))
    await read(await world.router({ attemptTimeoutMs: 80 }).stream("Hello"))
    const quote = world.records[0]?.plan.candidates[0]?.quote
    expect(world.records[0]?.attempts[0]).toMatchObject({ failure: "timeout", cost: quote?.money })
  })

  it("falls back in Anthropic's form too, whose first event has ids but no words [N5.stream-failover]", async () => {
    const starts =
      'event: message_start\ndata: {"type":"message_start","message":{"id":"m-1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":5,"output_tokens":1}}}\n\n'
    const overloaded =
      'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    const block =
      'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
    const word =
      'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Fine."}}\n\n'
    const stop =
      'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
    await using world = await openOddWorld(
      says(starts + overloaded, "text/event-stream"),
      says(starts + block + word + stop, "text/event-stream"),
    )
    const chat = () =>
      new ChatAnthropic({ model: "m", apiKey: "none", anthropicApiUrl: world.baseUrl, maxTokens: 100 })
    const price = { inputPerMTok: 1, outputPerMTok: 5 }
    const router = new RouterChatModel({
      tiers: ["light", "heavy"],
      deployments: [
        { tier: "light", model: chat(), price },
        { tier: "heavy", model: chat(), price },
      ],
    })
    expect(await read(await router.stream("Hello"))).toBe("Fine.")
    expect(world.bodies.map((body) => body["max_tokens"])).toEqual([100, 100])
  })

  it("is not asked again, and paid the quote, when it hangs up on a request it has read", async () => {
    await using world = await openOddWorld((response) => void response.destroy(), answers("Fine."))
    const reply = await world.router().invoke("Hello")
    expect(replyMetadata(reply).attempts.map(({ because }) => because)).toEqual(["truncated", undefined])
    expect(world.bodies).toHaveLength(2)
    const quote = world.records[0]?.plan.candidates[0]?.quote
    expect(world.records[0]?.attempts[0]).toMatchObject({ cost: quote?.money })
  })

  it("is not believed when it reports more tokens than there are", async () => {
    const usage = { prompt_tokens: 10, completion_tokens: 999_000_000, total_tokens: 999_000_010 }
    await using world = await openOddWorld(answers("Fine.", { usage }))
    const budget = purse()
    expect((await world.router({ budget }).invoke("Hello")).text).toBe("Fine.")
    expect(await spentOf(budget)).toMatchObject({ held: 0, spent: world.records[0]?.cost })
  })

  it("streams also through a model that cannot stream [L1.stream]", async () => {
    await using world = await openOddWorld(answers("All at once."))
    const chunks = []
    for await (const chunk of await world.router({}, { disableStreaming: true }).stream("Hello"))
      chunks.push(chunk)
    const whole = chunks.reduce((all, chunk) => all.concat(chunk))
    expect(whole.text).toBe("All at once.")
    expect(replyMetadata(whole).tier).toBe("light")
  })

  it("counts the words of a stream once, however small its pieces", async () => {
    const words = "It is what it is, and what it was it was before. ".repeat(4)
    const costs: number[] = []
    for (const size of [1, 3, 1_000]) {
      const pieces = words.match(new RegExp(`.{1,${size}}`, "g")) ?? []
      await using world = await openOddWorld(streams(pieces))
      await read(await world.router().stream("Hello"))
      costs.push(world.records[0]?.cost ?? 0)
    }
    expect(new Set(costs).size).toBe(1)
  })

  it("is paid the whole quote for a schema it breaks in a way that hides the words", async () => {
    await using world = await openOddWorld(answers("{ no JSON"), answers('{"n":1}'))
    const schema = z.object({ n: z.number() })
    const budget = purse()
    const asked = world.router({ budget }).withStructuredOutput(schema, { method: "jsonSchema" })
    expect(await asked.invoke("Hello")).toEqual({ n: 1 })
    const [poor] = world.records[0]?.attempts ?? []
    const quote = world.records[0]?.plan.candidates[0]?.quote
    expect(poor).toMatchObject({ outcome: "answered", cost: quote?.money, usage: { estimated: true } })
    expect(await spentOf(budget)).toMatchObject({ held: 0, spent: world.records[0]?.cost })
  })
})

describe("a schema that transforms", () => {
  it("is judged by its own parser, not by what it was before", async () => {
    await using world = await openOddWorld(answers('{"n":"42"}'))
    const schema = z.object({ n: z.string().transform(Number) })
    const asked = world.router().withStructuredOutput(schema, { method: "jsonSchema" })
    expect(await asked.invoke("Hello")).toEqual({ n: 42 })
    expect(world.bodies).toHaveLength(1)
  })

  it("is not broken by a call of a tool that was offered beside it: nobody stronger is asked", async () => {
    const call = { id: "1", type: "function", function: { name: "f", arguments: "{}" } }
    const message = { role: "assistant", content: null, tool_calls: [call] }
    const choices = [{ index: 0, message, finish_reason: "tool_calls" }]
    await using world = await openOddWorld(answers("", { choices }))
    const tools = [
      { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } },
    ]
    const schema = { title: "n", type: "object", properties: { n: { type: "number" } } }
    const router = world.router().bindTools(tools)
    const both = await router.withStructuredOutput(schema, { includeRaw: true }).invoke("Hello")
    expect(both).toMatchObject({ parsed: null, raw: { tool_calls: [{ name: "f" }] } })
    expect(world.bodies).toHaveLength(1)
    await expect(router.withStructuredOutput(schema).invoke("Hello")).rejects.toThrow(/calls tools/)
  })

  it("is asked for beside tools where the package can ask for both", async () => {
    await using world = await openOddWorld(answers('{"n":42}'))
    const tools = [
      { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } },
    ]
    const asked = world
      .router()
      .bindTools(tools)
      .withStructuredOutput(z.object({ n: z.number() }))
    expect(await asked.invoke("Hello")).toEqual({ n: 42 })
    expect(world.bodies).toMatchObject([{ tools, response_format: { type: "json_schema" } }])
  })

  it("that cannot be written down is refused by its name", async () => {
    await using world = await openOddWorld(answers("{}"))
    const asked = world.router().withStructuredOutput(z.object({ when: z.date() }))
    await expect(asked.invoke("Hello")).rejects.toMatchObject({ code: "invalid-request", path: "schema" })
  })
})

describe("what a router is told about itself", () => {
  it("shares no hold between two routers whose records have the same ids", async () => {
    await using world = await openOddWorld(answers("Fine."))
    const budget = purse()
    const [a, b] = [
      world.router({ budget, newId: () => "r-1" }),
      world.router({ budget, newId: () => "r-1" }),
    ]
    await Promise.all([a.invoke("Hello"), b.invoke("Hello")])
    const cost = world.records.reduce((sum, record) => sum + record.cost, 0)
    expect(await spentOf(budget)).toMatchObject({ held: 0, spent: cost })
  })

  it("holds for every answer that modelKwargs asks for", async () => {
    await using world = await openOddWorld(answers("Fine."))
    const [one, eight] = [world.router(), world.router({}, { modelKwargs: { n: 8 } })]
    const tokens = async (router: typeof one) =>
      (await router.explain("Hello")).candidates[0]?.quote.tokens ?? 0
    expect((await tokens(eight)) - (await tokens(one))).toBe(7 * 100)
  })

  it("keeps the tenant that was bound when a call names the user", async () => {
    await using world = await openOddWorld(answers("Fine."))
    const bound = world.router().withConfig({ scopes: { tenant: "acme" } })
    await bound.invoke("Hello", { scopes: { user: "ada" } })
    const configured = world
      .router()
      .withConfig({ configurable: { tierwise: { scopes: { tenant: "acme" } } } })
    await configured.invoke("Hello", { configurable: { tierwise: { scopes: { user: "ada" } } } })
    await configured.invoke("Hello", { scopes: { user: "ada" } })
    const both = { tenant: "acme", user: "ada" }
    expect(world.records.map(({ scopes }) => scopes)).toEqual([both, both, both])
  })

  it("hands its constructor's tags to the LLM runs, and the call's to its own", async () => {
    await using world = await openOddWorld(answers("Fine."))
    const counter = new RunCounter()
    await world.router({ tags: ["service"], callbacks: [counter] }).invoke("Hello", { tags: ["call"] })
    expect(counter.events[1]).toBe("llm service,call,tierwise:tier:light")
  })

  it("ends its run as failed when the answer could not be used", async () => {
    await using world = await openOddWorld(answers("no JSON"))
    const counter = new RunCounter()
    const asked = world.router({ callbacks: [counter] }).withStructuredOutput(z.object({ n: z.number() }))
    await expect(asked.invoke("Hello")).rejects.toThrow("does not parse")
    expect(counter.events.at(-1)).toContain("chain error")
  })

  it("lets nobody hang it: a store, a validator or an estimator that never answers ends with the caller's abort", async () => {
    await using world = await openOddWorld(answers("Fine."))
    const never = () => new Promise<never>(() => {})
    const hanging = [
      { budget: { ...purse(), reserve: never } },
      { validator: { name: "slow", validate: never } },
      { estimator: { name: "slow", estimate: never } },
    ]
    for (const options of hanging) {
      const asked = world.router(options).invoke("Hello", { signal: AbortSignal.timeout(60) })
      await expect(asked).rejects.toThrow(/abort|timeout/i)
    }
  })

  it("gives back a hold that is granted after the caller has gone", async () => {
    await using world = await openOddWorld(answers("Fine."))
    const store = purse()
    const slow = {
      ...store,
      reserve: async (asked: Parameters<typeof store.reserve>[0]) => {
        await new Promise((resolve) => setTimeout(resolve, 80))
        return store.reserve(asked)
      },
    }
    await expect(
      world.router({ budget: slow }).invoke("Hello", { signal: AbortSignal.timeout(20) }),
    ).rejects.toThrow("timeout")
    await new Promise((resolve) => setTimeout(resolve, 120))
    expect(await spentOf(store)).toMatchObject({ held: 0, spent: 0 })
  })

  it("survives a validator that gives no verdict, and a store that throws at once", async () => {
    await using world = await openOddWorld(answers("Fine."))
    const store = purse()
    const settle = () => {
      throw new Error("disk full")
    }
    const validator = { name: "mute", validate: () => undefined as never }
    const reply = await world.router({ budget: { ...store, settle }, validator }).invoke("Hello")
    expect(reply.text).toBe("Fine.")
    expect(world.records[0]?.problems).toMatchObject([
      { room: "budget", error: expect.stringContaining("is not available: disk full") },
      { room: "validation", error: "mute: it gave no verdict" },
    ])
  })
})

describe("a provider that falls silent in the middle of a stream", () => {
  it("is left the moment the reader leaves, and its hold is closed", async () => {
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    await using world = await openOddWorld((response) => {
      response.on("close", resolve)
      streams(["One."], "silent")(response, undefined as never)
    })
    for await (const { text } of await world.router({ budget }).stream("Hello")) if (text !== "") break
    await closed
    expect(world.records).toMatchObject([
      { error: "the reader stopped reading", attempts: [{ failure: "aborted" }] },
    ])
    expect(await budget.status({})).toMatchObject([{ held: 0 }])
  })
})

import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import { Ajv } from "ajv"
import { describe, expect, it } from "vitest"
import { grade } from "./grade.ts"
import { costOf } from "./invoice.ts"
import { DEFAULT_MODELS, type SimulatedModel } from "./models.ts"
import type { ChatRequest } from "./protocol.ts"
import { type Simulator, startSimulator } from "./server.ts"
import { generateTasks, requestFor } from "./tasks.ts"

const LARGE = DEFAULT_MODELS[2] as SimulatedModel

describe("simulator over HTTP", () => {
  it("answers a chat completion as OpenAI does", async () => {
    await using simulator = await startSimulator({ timeScale: 0, now: () => 1_700_000_000_500 })
    const { status, headers, body } = await post(simulator, hello("sim-small"), { "x-request-id": "mine-1" })
    expect(status).toBe(200)
    expect(headers.get("x-request-id")).toBe("mine-1")
    expect(body).toMatchObject({
      object: "chat.completion",
      created: 1_700_000_000,
      model: "sim-small",
      choices: [{ index: 0, message: { role: "assistant", refusal: null }, finish_reason: "stop" }],
      usage: { prompt_tokens: 8, prompt_tokens_details: { cached_tokens: 0 } },
    })
    expect(body.choices[0]?.message.content).toMatch(/hello|hi/i)
    expect(body.usage.total_tokens).toBe(8 + body.usage.completion_tokens)
  })

  it("gives the same answers whatever the order and however many at once", async () => {
    const requests = generateTasks({ count: 38 }).map((task) => requestFor(task, "sim-medium"))
    const first = await answersOf(requests)
    const turned = await answersOf(requests.toReversed())
    expect(turned.toReversed()).toEqual(first)
    expect(await answersOf(requests, 2)).not.toEqual(first)
  })

  it("keeps n, stop, max_tokens and seed", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const prose = { model: "sim-large", messages: [{ role: "user", content: "Write 80 words about bread." }] }
    const three = await post(simulator, { ...prose, n: 3 })
    const texts = three.body.choices.map((choice) => choice.message.content)
    expect(new Set(texts).size).toBe(3)
    expect(three.body.choices.map((choice) => choice.index)).toEqual([0, 1, 2])

    const cut = await post(simulator, { ...prose, max_completion_tokens: 7 })
    expect(cut.body).toMatchObject({
      choices: [{ finish_reason: "length" }],
      usage: { completion_tokens: 7 },
    })
    expect(texts[0]?.startsWith(cut.body.choices[0]?.message.content ?? "-")).toBe(true)

    const stopped = await post(simulator, { ...prose, stop: ["nowhere to be found", ".", " "] })
    const firstWord = texts[0]?.split(" ")[0]
    expect(stopped.body.choices[0]).toMatchObject({ finish_reason: "stop", message: { content: firstWord } })
    expect(stopped.body.usage.completion_tokens).toBeLessThan(5)

    const reseeded = await post(simulator, { ...prose, seed: 99 })
    expect(reseeded.body.choices[0]?.message.content).not.toBe(texts[0])
  })

  it("calls tools in parallel and answers from their results", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
    const tools = [
      { type: "function", function: { name: "get_weather", description: "Weather in a city", parameters } },
    ]
    const question = { role: "user", content: "What is the weather in Oslo and Rome?" }
    const asked = await post(simulator, { model: "sim-large", messages: [question], tools })
    expect(asked.body.choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { content: null } })
    const calls = asked.body.choices[0]?.message.tool_calls ?? []
    expect(calls.map((call) => JSON.parse(call.function.arguments))).toEqual([
      { city: "Oslo" },
      { city: "Rome" },
    ])
    expect(new Set(calls.map((call) => call.id)).size).toBe(2)

    const results = calls.map((call, at) => ({
      role: "tool",
      tool_call_id: call.id,
      content: `${10 + at} degrees`,
    }))
    const messages = [question, asked.body.choices[0]?.message, ...results]
    const answered = await post(simulator, { model: "sim-large", messages, tools })
    expect(answered.body.choices[0]).toMatchObject({ finish_reason: "stop" })
    expect(answered.body.choices[0]?.message.content).toMatch(/10 degrees.*11 degrees/)

    const choice = { type: "function", function: { name: "get_weather" } }
    const forced = await post(simulator, {
      model: "sim-large",
      messages: [question],
      tools,
      tool_choice: choice,
    })
    expect(forced.body.choices[0]).toMatchObject({ finish_reason: "stop" })
    expect(forced.body.choices[0]?.message.tool_calls).toHaveLength(1)
  })

  it("answers in the schema that was asked for, if the model is large enough", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const ajv = new Ajv({ strict: false, validateFormats: false })
    const validShare = async (model: string): Promise<number> => {
      const tasks = generateTasks({ count: 20, families: ["schema"], levels: [4] })
      const verdicts = await Promise.all(
        tasks.map(async (task) => {
          const { body } = await post(simulator, requestFor(task, model))
          const schema = task.reference.kind === "object" ? task.reference.schema : {}
          return ajv.validate(schema, JSON.parse(body.choices[0]?.message.content ?? ""))
        }),
      )
      return verdicts.filter((valid) => valid).length / tasks.length
    }
    expect(await validShare("sim-large")).toBe(1)
    expect(await validShare("sim-small")).toBeLessThan(0.2)
  })

  it("lets any client prove what a model can do", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const tasks = generateTasks({ count: 30, families: ["arithmetic", "tools", "intent"], levels: [4, 5] })
    const correct = async (model: string): Promise<number> => {
      const grades = await Promise.all(
        tasks.map(async (task) => {
          const message = (await post(simulator, requestFor(task, model))).body.choices[0]?.message
          return grade(task, { content: message?.content, toolCalls: message?.tool_calls }).correct
        }),
      )
      return grades.filter((right) => right).length
    }
    expect(await correct("sim-large")).toBeGreaterThanOrEqual(28)
    expect(await correct("sim-small")).toBeLessThanOrEqual(3)
  })

  it("refuses in OpenAI's words", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const user = { role: "user", content: "Hi" }
    const cases: readonly (readonly [unknown, number, object])[] = [
      ["{nope", 400, { type: "invalid_request_error", param: null, code: null }],
      [{ model: "gpt-9", messages: [user] }, 404, { type: "invalid_request_error", code: "model_not_found" }],
      [{ model: "sim-small" }, 400, { param: "messages", code: "missing_required_parameter" }],
      [{ model: "sim-small", messages: "Hi" }, 400, { param: "messages", code: "invalid_type" }],
      [{ model: "sim-small", messages: [user], temperature: 3 }, 400, { param: "temperature" }],
      [
        { model: "sim-small", messages: [user], max_tokens: 5_000 },
        400,
        { param: "max_tokens", code: "invalid_value" },
      ],
      [{ model: "sim-small", messages: [user], tool_choice: "required" }, 400, { param: "tool_choice" }],
      [
        { model: "sim-small", messages: [user, { role: "tool", tool_call_id: "x", content: "" }] },
        400,
        { param: "messages.[1].role" },
      ],
      [
        { model: "sim-small", messages: [user], response_format: { type: "json_object" } },
        400,
        { param: "messages" },
      ],
      [unanswered(user), 400, { param: "messages.[2].role" }],
      [unanswered(), 400, { param: "messages.[2].role" }],
    ]
    for (const [body, status, error] of cases) {
      const refused = await post(simulator, body)
      expect([refused.status, refused.body], JSON.stringify(body)).toMatchObject([status, { error }])
      expect(refused.body).toMatchObject({ error: { message: expect.stringMatching(/\w+/) } })
    }
    const lost = await fetch(`${simulator.baseUrl}/nowhere`)
    expect([lost.status, await lost.json()]).toMatchObject([404, { error: { code: "unknown_url" } }])
    const wrongMethod = await fetch(`${simulator.baseUrl}/chat/completions`)
    expect(wrongMethod.status).toBe(405)
  })

  it("refuses what does not fit the context window, input alone or with the output asked for", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const long = { model: "sim-small", messages: [{ role: "user", content: "word ".repeat(9_000) }] }
    const overflow = { error: { code: "context_length_exceeded", param: "messages" } }
    expect(await post(simulator, long)).toMatchObject({ status: 400, body: overflow })
    expect(await post(simulator, { ...long, model: "sim-medium" })).toMatchObject({ status: 200 })
    const tight = { model: "sim-small", messages: [{ role: "user", content: "word ".repeat(6_000) }] }
    expect(await post(simulator, { ...tight, max_tokens: 4_000 })).toMatchObject({
      status: 400,
      body: overflow,
    })
    expect(await post(simulator, { ...tight, max_tokens: 100 })).toMatchObject({ status: 200 })
  })

  it("deals with a megabyte of prompt in reasonable time", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    for (const content of ["lorem ipsum ".repeat(83_000), "a".repeat(1_000_000)]) {
      const started = performance.now()
      const { body } = await post(simulator, { model: "sim-medium", messages: [{ role: "user", content }] })
      expect(body).toMatchObject({ error: { code: "context_length_exceeded" } })
      expect(performance.now() - started).toBeLessThan(5_000)
    }
  })

  it("refuses a body that is too large before reading it", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const status = await new Promise((resolve, reject) => {
      const headers = { "content-length": 40_000_000 }
      const upload = request(
        `${simulator.baseUrl}/chat/completions`,
        { method: "POST", headers },
        (response) => {
          resolve(response.statusCode)
          upload.destroy()
        },
      )
      upload.on("error", reject)
      upload.flushHeaders()
    })
    expect(status).toBe(413)
    expect(simulator.requests()).toEqual([])
  })

  it("bills every request by its own counting, under the request's id", async () => {
    await using simulator = await startSimulator({ timeScale: 0, now: () => 77 })
    const { body } = await post(simulator, hello("sim-large"), { "x-request-id": "bill-me" })
    const outputTokens = body.usage.completion_tokens
    expect(simulator.invoices()).toEqual([
      {
        number: 1,
        requestId: "bill-me",
        model: "sim-large",
        at: 77,
        inputTokens: 8,
        cachedInputTokens: 0,
        cacheWriteTokens: 0,
        outputTokens,
        reasoningTokens: 0,
        costNanoUsd: 8 * 3_000 + outputTokens * 12_000,
        outcome: "completed",
      },
    ])
    const page = await (await fetch(new URL("/invoices", simulator.baseUrl))).json()
    expect(page).toEqual({
      object: "list",
      data: simulator.invoices(),
      has_more: false,
      totals: expect.objectContaining({ lines: 1, costNanoUsd: simulator.invoices()[0]?.costNanoUsd }),
      open_calls: 0,
    })
  })

  it("takes OpenAI's own header for the request's id where the usual one is missing", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const ask = async (headers: Record<string, string>): Promise<string | null> =>
      (await post(simulator, hello("sim-echo"), headers)).headers.get("x-request-id")
    expect(await ask({ "x-client-request-id": "theirs" })).toBe("theirs")
    expect(await ask({ "x-client-request-id": "theirs", "x-request-id": "usual" })).toBe("usual")
    expect(await ask({ "x-client-request-id": "x".repeat(513), "x-request-id": "no spaces" })).toMatch(
      /^req_/,
    )
    expect(simulator.invoices().map(({ requestId }) => requestId)).toEqual([
      "theirs",
      "usual",
      expect.stringMatching(/^req_/),
    ])
  })

  it("says how many calls are still to be billed", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([{ delayMs: 60_000 }])
    const leaving = new AbortController()
    const answer = fetch(`${simulator.baseUrl}/chat/completions`, {
      method: "POST",
      body: JSON.stringify(hello("sim-small")),
      signal: leaving.signal,
    })
    answer.catch(() => undefined)
    const openCalls = async (): Promise<unknown> => {
      const page = (await (await fetch(new URL("/invoices", simulator.baseUrl))).json()) as object
      return "open_calls" in page ? page.open_calls : page
    }
    await expect.poll(openCalls).toBe(1)
    leaving.abort()
    await expect.poll(openCalls).toBe(0)
    expect(simulator.invoices()).toHaveLength(1)
  })

  it("gives its bill in parts, and refuses a part that makes no sense", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    for (const id of ["a", "b", "c"]) await post(simulator, hello("sim-echo"), { "x-request-id": id })
    const part = async (query: string): Promise<unknown> => {
      const response = await fetch(new URL(`/invoices?${query}`, simulator.baseUrl))
      const { data, has_more, error } = (await response.json()) as {
        readonly data?: readonly { readonly requestId: string }[]
        readonly has_more?: boolean
        readonly error?: { readonly param: string }
      }
      return error === undefined
        ? [data?.map(({ requestId }) => requestId).join(""), has_more]
        : [response.status, error.param]
    }
    expect(await part("limit=2")).toEqual(["ab", true])
    expect(await part("limit=2&after=1")).toEqual(["bc", false])
    expect(await part("after=3")).toEqual(["", false])
    expect(await part("after=99")).toEqual(["", false])
    for (const query of ["after=-1", "after=a", "after=", "after=1.5"])
      expect(await part(query)).toEqual([400, "after"])
    for (const query of ["limit=0", "limit=10001"]) expect(await part(query)).toEqual([400, "limit"])
  })

  it("takes faults from another process, all of them or none", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const script = async (body: string): Promise<unknown> => {
      const response = await fetch(new URL("/faults", simulator.baseUrl), { method: "POST", body })
      const { error } = (await response.json()) as { readonly error?: { readonly param: string | null } }
      return [response.status, error?.param]
    }
    expect(await script(`[{"status":503}]`)).toEqual([200, undefined])
    expect(await script(`[{"status":401},{"status":200}]`)).toEqual([400, "script[1].status"])
    expect(await script(`{"status":401}`)).toEqual([400, null])
    expect(await script("[")).toEqual([400, null])
    expect((await post(simulator, hello("sim-small"))).status).toBe(503)
    expect((await post(simulator, hello("sim-small"))).status).toBe(200)
    expect((await fetch(new URL("/faults", simulator.baseUrl))).status).toBe(405)
  })

  it("charges less for the beginning of a conversation it has just read, until it forgets", async () => {
    let now = 0
    await using simulator = await startSimulator({ timeScale: 0, now: () => now })
    const system = { role: "system", content: "You answer questions about the manual. ".repeat(400) }
    const ask = async (content: string): Promise<number> => {
      const { body } = await post(simulator, {
        model: "sim-large",
        messages: [system, { role: "user", content }],
      })
      return body.usage.prompt_tokens_details.cached_tokens
    }
    expect(await ask("Hello")).toBe(0)
    const cached = await ask("Hi there")
    expect(cached).toBeGreaterThan(1_024)
    expect(cached % 128).toBe(0)
    const [before, after] = simulator.invoices()
    expect(after?.cachedInputTokens).toBe(cached)
    expect(after === undefined ? 0 : costOf(LARGE.price, after)).toBe(after?.costNanoUsd)
    expect(after?.costNanoUsd).toBeLessThan(before?.costNanoUsd ?? 0)
    now = 5 * 60_000
    expect(await ask("Hey")).toBe(0)
  })

  it("costs nothing to be refused, and says so on the bill", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    await post(simulator, {
      model: "sim-small",
      messages: [{ role: "user", content: "word ".repeat(9_000) }],
    })
    await post(simulator, { model: "gpt-9", messages: [{ role: "user", content: "Hi" }] })
    expect(simulator.invoices()).toMatchObject([
      { model: "sim-small", outcome: "failed", costNanoUsd: 0, inputTokens: 0 },
    ])
  })

  it("lists its models and what it was asked", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    await post(simulator, "{nope", { "x-request-id": "r1" })
    await post(simulator, hello("sim-echo"), { "x-request-id": "r2" })
    expect(simulator.requests()).toMatchObject([
      { requestId: "r1", body: "{nope" },
      { requestId: "r2", body: hello("sim-echo") },
    ])
    const models = (await (await fetch(`${simulator.baseUrl}/models`)).json()) as { data: { id: string }[] }
    expect(models.data.map(({ id }) => id)).toEqual(DEFAULT_MODELS.map(({ id }) => id))
    const one = await (await fetch(`${simulator.baseUrl}/models/sim-small`)).json()
    expect(one).toMatchObject({ id: "sim-small", context_window: 8_192 })
    expect((await fetch(new URL("/health", simulator.baseUrl))).status).toBe(200)
  })

  it("waits as long as the model would, times the scale", async () => {
    const waited: number[] = []
    const sleep = async (ms: number): Promise<void> => {
      waited.push(ms)
    }
    await using simulator = await startSimulator({ timeScale: 0.5, sleep })
    const { body } = await post(simulator, hello("sim-large"))
    const { firstTokenMs, perThousandInputMs, tokensPerSecond } = latencyOf(LARGE)
    const full =
      firstTokenMs +
      perThousandInputMs * 0.008 +
      ((body.usage.completion_tokens - 1) * 1_000) / tokensPerSecond
    expect(waited.reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(0.5 * full, 6)
    expect(waited[0]).toBeCloseTo(0.5 * (firstTokenMs + perThousandInputMs * 0.008), 6)
    waited.length = 0
    await post(simulator, hello("sim-echo"))
    expect(waited).toEqual([])
  })

  it("serves many small requests a second", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const started = process.cpuUsage()
    for (let index = 0; index < 300; index += 1) await post(simulator, hello("sim-echo"))
    const { user, system } = process.cpuUsage(started)
    // Client and server together, with room for a busy machine.
    expect((user + system) / 1_000 / 300).toBeLessThan(5)
  })

  it("names the option that cannot work", async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve))
    const { port } = taken.address() as AddressInfo
    await expect(startSimulator({ port })).rejects.toMatchObject({
      name: "SimulatorConfigError",
      path: "port",
    })
    await expect(startSimulator({ port })).rejects.toThrow(/is in use on 127\.0\.0\.1\. Fix: choose another/)
    taken.close()
    await expect(startSimulator({ timeScale: -1 })).rejects.toMatchObject({ path: "timeScale" })
    await expect(startSimulator({ models: [] })).rejects.toMatchObject({ path: "models" })
    await expect(startSimulator({ models: [LARGE, LARGE] })).rejects.toThrow(
      /two models are called sim-large/,
    )
    const price = { ...LARGE.price, inputPerMTok: 0.000_000_1 }
    await expect(startSimulator({ models: [{ ...LARGE, price }] })).rejects.toMatchObject({
      path: "models.0.price.inputPerMTok",
    })
    const longContext = { aboveInputTokens: 1.5, inputPerMTok: 1, outputPerMTok: 1 }
    for (const [change, path] of [
      [{ price: { ...LARGE.price, longContext } }, "price.longContext"],
      [{ price: { ...LARGE.price, cacheWritePerMTok: -1 } }, "price.cacheWritePerMTok"],
      [{ reasoningTokens: -1 }, "reasoningTokens"],
      [{ whenAborted: "sleeps" as "stops" }, "whenAborted"],
    ] as const) {
      const models = [{ ...LARGE, ...change }]
      await expect(startSimulator({ models })).rejects.toMatchObject({ path: `models.0.${path}` })
    }
    await expect(startSimulator({ portt: 1 } as object)).rejects.toThrow(/portt/)
  })
})

/** A conversation in which a tool was called and nobody said what came of it. */
function unanswered(...after: readonly object[]): object {
  const call = { id: "c1", type: "function", function: { name: "f", arguments: "{}" } }
  const messages = [{ role: "user", content: "Hi" }, { role: "assistant", tool_calls: [call] }, ...after]
  return { model: "sim-small", messages }
}

interface WireAnswer {
  readonly choices: readonly {
    readonly index: number
    readonly finish_reason: string
    readonly message: {
      readonly content: string | null
      readonly tool_calls?: readonly {
        readonly id: string
        readonly type: "function"
        readonly function: { readonly name: string; readonly arguments: string }
      }[]
    }
  }[]
  readonly usage: {
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly total_tokens: number
    readonly prompt_tokens_details: { readonly cached_tokens: number }
  }
}

async function post(
  simulator: Simulator,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Headers; body: WireAnswer }> {
  const response = await fetch(`${simulator.baseUrl}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  })
  return { status: response.status, headers: response.headers, body: (await response.json()) as WireAnswer }
}

function hello(model: string): ChatRequest {
  return { model, messages: [{ role: "user", content: "Hello" }] }
}

async function answersOf(requests: readonly ChatRequest[], seed = 1): Promise<readonly unknown[]> {
  await using simulator = await startSimulator({ timeScale: 0, seed })
  const answers = await Promise.all(requests.map((request) => post(simulator, request)))
  return answers.map(({ body }) => body.choices)
}

function latencyOf({ latency }: SimulatedModel): Exclude<SimulatedModel["latency"], "none"> {
  if (latency === "none") throw new Error("this model has no latency")
  return latency
}

import { describe, expect, it, vi } from "vitest"
import type { ScriptedFault } from "./faults.ts"
import type { InvoiceLine } from "./invoice.ts"
import type { Sleep } from "./options.ts"
import { type Simulator, startSimulator } from "./server.ts"

/*
 * "Hello" costs 8 input tokens, and each word of this answer one. A stream of it is the chunk with the role, six chunks
 * with a word, one with the finish reason, and [DONE].
 */
const ANSWER = "one two three four five six"

describe("an answer that breaks", () => {
  it("is cut or reset at any place, and billed up to there", async () => {
    const places = [
      ["arrival", "", { inputTokens: 0, outputTokens: 0 }],
      ["start", "", { inputTokens: 8, outputTokens: 0 }],
      ["first-token", "one", { inputTokens: 8, outputTokens: 1 }],
      [{ chunks: 4 }, "one two three", { inputTokens: 8, outputTokens: 3 }],
      ["end", ANSWER, { inputTokens: 8, outputTokens: 6 }],
      // There is no tool call in it, so that this is its end.
      ["tool-call", ANSWER, { inputTokens: 8, outputTokens: 6 }],
    ] as const
    for (const how of ["cut", "reset"] as const) {
      for (const [at, content, tokens] of places) {
        await using simulator = await startSimulator({ timeScale: 0 })
        const heard = await streamed(simulator, { breaks: { how, at }, answer: ANSWER })
        expect([how, at, heard.isBroken, heard.text.includes("[DONE]")]).toEqual([how, at, true, false])
        // A reset may take along what was sent before it.
        const lost = how === "reset" ? content.slice(heard.content.length) : ""
        expect([how, at, heard.content + lost]).toEqual([how, at, content])
        expect(await whole(simulator, { breaks: { how, at }, answer: ANSWER })).toMatchObject({
          isBroken: true,
        })
        const line = { outcome: "failed", ...tokens }
        expect(await bill(simulator, 2)).toMatchObject([line, line])
      }
    }
  })

  it("is cut between any two bytes, whole or streamed", async () => {
    await using simulator = await startSimulator({ timeScale: 0, now: () => 0 })
    for (const bytes of [0, 1, 7, 400]) {
      const fault: ScriptedFault = { breaks: { how: "cut", at: { bytes } }, answer: ANSWER }
      for (const heard of [await streamed(simulator, fault), await whole(simulator, fault)])
        expect([heard.status, heard.isBroken, heard.text.length]).toEqual([200, true, bytes])
    }
    // 400 bytes are the chunk with the role and a part of the first word's, whose token was generated.
    expect((await bill(simulator, 8)).slice(6)).toMatchObject([
      { outcome: "failed", outputTokens: 1 },
      { outcome: "failed", outputTokens: 6 },
    ])
  })

  it("ends as if it were complete, without finish reason and [DONE]", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const breaks = { how: "ends", at: { chunks: 3 } } as const
    const heard = await streamed(simulator, { breaks, answer: ANSWER })
    expect(heard).toMatchObject({ isBroken: false, content: "one two", finishReasons: [null, null, null] })
    expect(heard.text).not.toContain("[DONE]")
    expect(jsonOf(await whole(simulator, { breaks, answer: ANSWER }))).toMatchObject({
      choices: [{ message: { content: "one two" }, finish_reason: null }],
      usage: { completion_tokens: 2 },
    })
    const halfway = await whole(simulator, { breaks: { how: "ends", at: { bytes: 9 } }, answer: ANSWER })
    expect(halfway).toMatchObject({ isBroken: false, text: `{"id":"ch` })
    expect(await bill(simulator, 3)).toMatchObject([
      { outcome: "failed", outputTokens: 2 },
      { outcome: "failed", outputTokens: 2 },
      { outcome: "failed", outputTokens: 6 },
    ])
  })

  it("ends properly at its content filter, or with no reason at all", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    for (const [how, reason] of [
      ["content-filter", "content_filter"],
      ["unfinished", null],
    ] as const) {
      const fault: ScriptedFault = { breaks: { how }, answer: ANSWER }
      const heard = await streamed(simulator, fault)
      expect(heard).toMatchObject({ content: "one", finishReasons: [null, null, reason] })
      expect(heard.text.endsWith("data: [DONE]\n\n")).toBe(true)
      expect(jsonOf(await whole(simulator, fault))).toMatchObject({
        choices: [{ message: { content: "one" }, finish_reason: reason }],
        usage: { completion_tokens: 1, total_tokens: 9 },
      })
    }
    expect(await bill(simulator, 4)).toMatchObject(times(4, { outcome: "completed", outputTokens: 1 }))
  })

  it("breaks inside the arguments of a tool call", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const cut = await streamed(simulator, { breaks: { how: "cut", at: "tool-call" } }, WEATHER)
    expect(cut.isBroken).toBe(true)
    expect(cut.text).toContain(`"name":"get_weather"`)
    expect(argumentsIn(cut.text)).toMatch(/^\{"/)
    expect(() => JSON.parse(argumentsIn(cut.text))).toThrow(SyntaxError)
    const unfinished = await whole(simulator, { breaks: { how: "unfinished", at: "tool-call" } }, WEATHER)
    expect(jsonOf(unfinished)).toMatchObject({
      choices: [
        {
          finish_reason: null,
          message: { tool_calls: [{ function: { name: "get_weather", arguments: argumentsIn(cut.text) } }] },
        },
      ],
    })
    const [streamedLine, wholeLine] = await bill(simulator, 2)
    expect(streamedLine?.outputTokens).toBe(wholeLine?.outputTokens)
  })

  it("breaks between the chunks of several choices", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const heard = await streamed(simulator, { breaks: { how: "ends" }, answer: ANSWER }, { n: 2 })
    // Two chunks with roles, and the first word of the first choice.
    expect(heard).toMatchObject({ content: "one", finishReasons: [null, null, null] })
    expect(
      jsonOf(await whole(simulator, { breaks: { how: "ends" }, answer: ANSWER }, { n: 2 })),
    ).toMatchObject({
      choices: [{ message: { content: "one" } }, { message: { content: "" } }],
    })
  })

  it("fails inside a 200 at any place", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const body = { error: { message: "overloaded", code: 502 } }
    const heard = await streamed(simulator, { breaks: { how: "error", at: "end" }, body, answer: ANSWER })
    expect(heard).toMatchObject({ isBroken: false, content: ANSWER })
    expect(heard.text.endsWith(`data: ${JSON.stringify(body)}\n\n`)).toBe(true)
    expect(jsonOf(await whole(simulator, { breaks: { how: "error" }, body }))).toEqual(body)
  })

  it("has half its JSON, or noise in its midst", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const truncated = await streamed(simulator, { breaks: { how: "truncated" }, answer: ANSWER })
    const last = truncated.text.split("\n\n").at(-2) ?? ""
    expect(last).toMatch(/^data: \{"id"/)
    expect(() => JSON.parse(last.slice(6))).toThrow(SyntaxError)
    expect(truncated).toMatchObject({ isBroken: false, content: "one" })
    const half = await whole(simulator, { breaks: { how: "truncated" }, answer: ANSWER })
    expect(half).toMatchObject({ isBroken: false, text: expect.stringMatching(/^\{"id"/) })
    expect(() => jsonOf(half)).toThrow(SyntaxError)

    const garbled = await streamed(simulator, { breaks: { how: "garbled" }, answer: ANSWER })
    // Noise, and then it goes on.
    expect(garbled).toMatchObject({ isBroken: false, content: ANSWER })
    expect(garbled.text).toContain("data: }{ garbled\n\n")
    expect(garbled.text.endsWith("data: [DONE]\n\n")).toBe(true)
    const noisy = await whole(simulator, { breaks: { how: "garbled" }, answer: ANSWER })
    expect(() => jsonOf(noisy)).toThrow(SyntaxError)
    expect(await bill(simulator, 4)).toMatchObject([
      { outcome: "failed", outputTokens: 1 },
      { outcome: "failed", outputTokens: 1 },
      { outcome: "completed", outputTokens: 6 },
      { outcome: "completed", outputTokens: 6 },
    ])
  })
})

describe("an answer that hangs", () => {
  it("stalls for a time and goes on, at any place", async () => {
    const { waited, sleep } = notedSleep()
    await using simulator = await startSimulator({ timeScale: 0, sleep })
    for (const at of ["arrival", "start", "first-token", "end", { chunks: 3 }, { bytes: 40 }] as const) {
      const fault: ScriptedFault = { breaks: { how: "stalls", at, forMs: 1_500 }, answer: ANSWER }
      expect(await streamed(simulator, fault)).toMatchObject({ isBroken: false, content: ANSWER })
      expect(jsonOf(await whole(simulator, fault))).toMatchObject({
        choices: [{ message: { content: ANSWER }, finish_reason: "stop" }],
      })
    }
    expect(waited).toEqual(Array(12).fill(1_500))
    expect(await bill(simulator, 12)).toMatchObject(times(12, { outcome: "completed", outputTokens: 6 }))
  })

  it("keeps even its headers back before the first byte", async () => {
    const clock = heldSleep()
    await using simulator = await startSimulator({ timeScale: 0, sleep: clock.sleep })
    simulator.script([{ breaks: { how: "stalls", at: "start", forMs: 9_000 } }])
    const heard: string[] = []
    const answer = ask(simulator, { stream: true }).then((response) => {
      heard.push("headers")
      return response.text()
    })
    await vi.waitFor(() => expect(clock.waited).toEqual([9_000]))
    expect(heard).toEqual([])
    clock.goOn()
    expect(await answer).toContain("[DONE]")
  })

  it("stalls for ever until its reader leaves, who pays for what there was", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const leaving = new AbortController()
    simulator.script([{ breaks: { how: "stalls", at: { chunks: 3 } }, answer: ANSWER }])
    const response = await ask(simulator, { stream: true }, leaving.signal)
    const heard = await readAll(response, (content) => {
      if (content !== "one two") return
      expect(simulator.invoices()).toEqual([])
      leaving.abort()
    })
    expect(heard).toMatchObject({ isBroken: true, content: "one two" })
    expect(await bill(simulator, 1)).toMatchObject([{ outcome: "aborted", inputTokens: 8, outputTokens: 2 }])
  })

  it("costs nothing to leave at arrival", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([{ breaks: { how: "stalls", at: "arrival" } }])
    const leaving = new AbortController()
    const answer = ask(simulator, {}, leaving.signal)
    answer.catch(() => undefined)
    await vi.waitFor(() => expect(simulator.requests()).toHaveLength(1))
    leaving.abort()
    await expect(answer).rejects.toThrow(/abort/)
    expect(await bill(simulator, 1)).toMatchObject([{ outcome: "aborted", inputTokens: 0, costNanoUsd: 0 }])
  })

  it("ends with the simulator", async () => {
    const simulator = await startSimulator({ timeScale: 0 })
    const faults: ScriptedFault[] = [
      { breaks: { how: "stalls" }, answer: ANSWER },
      { breaks: { how: "endless" }, answer: ANSWER },
      { drip: { bytes: 1, everyMs: 60_000 } },
    ]
    simulator.script(faults)
    const heard = faults.map(async () => readAll(await ask(simulator, { stream: true })))
    await vi.waitFor(() => expect(simulator.requests()).toHaveLength(3))
    await simulator.close()
    for (const { isBroken } of await Promise.all(heard)) expect(isBroken).toBe(true)
    expect(await bill(simulator, 3)).toMatchObject(times(3, { outcome: "aborted" }))
  })
})

describe("an answer without end", () => {
  it("repeats itself until its reader leaves, who pays for all of it", async () => {
    const { waited, sleep } = notedSleep()
    await using simulator = await startSimulator({ timeScale: 0, sleep })
    simulator.script([{ breaks: { how: "endless", at: { chunks: 3 } }, answer: ANSWER }])
    const leaving = new AbortController()
    const response = await ask(simulator, { stream: true }, leaving.signal)
    const heard = await readAll(response, (content) => content.length > 200 && leaving.abort())
    expect(heard.content).toMatch(/^one two( two){40}/)
    expect(new Set(waited)).toEqual(new Set([10]))
    const [line] = await bill(simulator, 1)
    expect(line?.outcome).toBe("aborted")
    expect(line?.outputTokens).toBeGreaterThanOrEqual(heard.content.split(" ").length)
  })

  it("fills the arguments of a tool call with white space", async () => {
    await using simulator = await startSimulator({ timeScale: 0, sleep: notedSleep().sleep })
    simulator.script([{ breaks: { how: "endless", at: "tool-call", everyMs: 3 } }])
    const leaving = new AbortController()
    const response = await ask(simulator, { ...WEATHER, stream: true }, leaving.signal)
    const { text } = await readAll(response, (_, read) => read.length > 20_000 && leaving.abort())
    expect(argumentsIn(text)).toMatch(/^\{" {20}/)
  })

  it("lets nobody have a whole answer, and stops when they leave", async () => {
    await using simulator = await startSimulator({ timeScale: 0, sleep: notedSleep().sleep })
    simulator.script([{ breaks: { how: "endless" }, answer: ANSWER }])
    const leaving = new AbortController()
    const answer = ask(simulator, {}, leaving.signal)
    answer.catch(() => undefined)
    await vi.waitFor(() => expect(simulator.requests()).toHaveLength(1))
    leaving.abort()
    await expect(answer).rejects.toThrow(/abort/)
    expect(await bill(simulator, 1)).toMatchObject([{ outcome: "aborted", inputTokens: 8 }])
  })
})

describe("an answer that is odd", () => {
  it("has no choices, and nothing was generated", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    expect(jsonOf(await whole(simulator, { emptyChoices: true }))).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 8, completion_tokens: 0 },
    })
    const { text } = await streamed(simulator, { emptyChoices: true })
    expect(text).toMatch(/^data: \{.*"choices":\[\]\}\n\ndata: \[DONE\]\n\n$/)
    const line = { outcome: "completed", inputTokens: 8, outputTokens: 0 }
    expect(await bill(simulator, 2)).toMatchObject([line, line])
  })

  it("lies about its tokens, and is billed for the true ones", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const cases = [
      ["negative", { prompt_tokens: -8, completion_tokens: -6, total_tokens: -14 }],
      ["too-high", { prompt_tokens: 80, completion_tokens: 60, total_tokens: 140 }],
      ["wrong-total", { prompt_tokens: 8, completion_tokens: 6, total_tokens: 21 }],
      [{ prompt_tokens: 1e9 }, { prompt_tokens: 1e9, completion_tokens: 6, total_tokens: 14 }],
      ["missing", undefined],
    ] as const
    for (const [usage, reported] of cases) {
      const heard = await whole(simulator, { usage, answer: ANSWER })
      expect(heard.status).toBe(200)
      const body = jsonOf(heard) as WireEvent
      const more = { stream_options: { include_usage: true } }
      const { events } = await streamed(simulator, { usage, answer: ANSWER }, more)
      expect([body.usage, events.at(-1)?.usage].map(sumsOf)).toEqual([reported, reported])
    }
    const line = { inputTokens: 8, outputTokens: 6, costNanoUsd: 8 * 100 + 6 * 400 }
    expect(await bill(simulator, 10)).toMatchObject(times(10, line))
  })

  it("says every token of a stream twice, and is billed once", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const heard = await streamed(simulator, { duplicateChunks: true, answer: "one two" })
    expect(heard.content).toBe("oneone two two")
    expect(await bill(simulator, 1)).toMatchObject([{ outcome: "completed", outputTokens: 2 }])
  })

  it("drips byte by byte, with its characters in pieces", async () => {
    const { waited, sleep } = notedSleep()
    await using simulator = await startSimulator({ timeScale: 0, sleep })
    const drip = { bytes: 7, everyMs: 20 }
    const heard = await streamed(simulator, { drip, answer: "é 日本" })
    expect(heard).toMatchObject({ isBroken: false, content: "é 日本" })
    expect(new Set(waited)).toEqual(new Set([20]))
    expect(waited.length).toBeGreaterThanOrEqual(Buffer.byteLength(heard.text) / 7)
    waited.length = 0
    const body = await whole(simulator, { drip, answer: "é 日本" })
    expect(jsonOf(body)).toMatchObject({ choices: [{ message: { content: "é 日本" } }] })
    expect(waited).toHaveLength(Math.ceil(Buffer.byteLength(body.text) / 7))
  })

  it("comes with a wrong content type, streamed or not, and is billed as ever", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const fault = { headers: { "Content-Type": "text/html", "x-odd": "yes" }, answer: ANSWER }
    simulator.script([{ ...fault, times: 2 }])
    const whole = await ask(simulator, {})
    expect([whole.headers.get("content-type"), whole.headers.get("x-odd")]).toEqual(["text/html", "yes"])
    expect(await whole.json()).toMatchObject({ choices: [{ message: { content: ANSWER } }] })
    const stream = await ask(simulator, { stream: true })
    expect([stream.headers.get("content-type"), stream.headers.get("x-odd")]).toEqual(["text/html", "yes"])
    expect(await readAll(stream)).toMatchObject({ isBroken: false, content: ANSWER })
    expect(await bill(simulator, 2)).toMatchObject(times(2, { outcome: "completed", outputTokens: 6 }))
  })

  it("comes with headers of any size", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([{ headerBytes: 8_000 }, { headerBytes: 40_000 }])
    expect((await ask(simulator, {})).headers.get("x-filler")).toHaveLength(8_000)
    await expect(ask(simulator, {})).rejects.toMatchObject({ cause: { code: "UND_ERR_HEADERS_OVERFLOW" } })
  })
})

const WEATHER = {
  model: "sim-large",
  messages: [{ role: "user", content: "What is the weather in Oslo?" }],
  tools: [
    {
      type: "function",
      function: {
        name: "get_weather",
        description: "Weather in a city",
        parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
      },
    },
  ],
}

interface WireEvent {
  readonly usage?: Readonly<Record<string, unknown>>
  /** Not in an error. */
  readonly choices?: readonly {
    readonly finish_reason: string | null
    /** Not in an answer that is whole. */
    readonly delta?: {
      readonly content?: string
      readonly tool_calls?: readonly { readonly function: { readonly arguments: string } }[]
    }
  }[]
}

interface Heard {
  readonly status: number
  readonly text: string
  readonly isBroken: boolean
  /** Of a stream: its events that are JSON, the words in them, and what each says of the finish. */
  readonly events: readonly WireEvent[]
  readonly content: string
  readonly finishReasons: readonly (string | null)[]
}

function ask(simulator: Simulator, more: object, signal?: AbortSignal): Promise<Response> {
  return fetch(`${simulator.baseUrl}/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "sim-small", messages: [{ role: "user", content: "Hello" }], ...more }),
    ...(signal === undefined ? {} : { signal }),
  })
}

async function streamed(simulator: Simulator, fault: ScriptedFault, more: object = {}): Promise<Heard> {
  return whole(simulator, fault, { ...more, stream: true })
}

async function whole(simulator: Simulator, fault: ScriptedFault, more: object = {}): Promise<Heard> {
  simulator.script([fault])
  const response = await ask(simulator, more).catch((error: Error) => error.message)
  return typeof response === "string" ? { status: 0, ...asHeard("", true) } : readAll(response)
}

/** @param onText Told the words and the text so far. */
async function readAll(
  response: Response,
  onText: (content: string, text: string) => unknown = () => undefined,
): Promise<Heard> {
  const decoder = new TextDecoder()
  const { status } = response
  let [text, isBroken] = ["", false]
  const parts = (response.body as ReadableStream<Uint8Array>).getReader()
  while (!isBroken) {
    const part = await parts.read().catch(() => undefined)
    if (part?.done === true) break
    isBroken = part === undefined
    text += decoder.decode(part?.value, { stream: true })
    onText(asHeard(text, isBroken).content, text)
  }
  return { status, ...asHeard(text, isBroken) }
}

function asHeard(text: string, isBroken: boolean): Omit<Heard, "status"> {
  const events = text.split("\n\n").flatMap((frame) => parsedEvent(frame) ?? [])
  const choices = events.flatMap((event) => event.choices ?? [])
  return {
    text,
    isBroken,
    events,
    content: choices.map(({ delta }) => delta?.content ?? "").join(""),
    finishReasons: choices.map((choice) => choice.finish_reason),
  }
}

function parsedEvent(frame: string): WireEvent | undefined {
  try {
    return JSON.parse(frame.replace(/^data: /, "")) as WireEvent
  } catch {
    return undefined
  }
}

function argumentsIn(text: string): string {
  const calls = asHeard(text, false).events.flatMap(({ choices }) =>
    (choices ?? []).flatMap(({ delta }) => delta?.tool_calls ?? []),
  )
  return calls.map((call) => call.function.arguments).join("")
}

/** The fields of a usage that are sums. */
function sumsOf(usage: WireEvent["usage"]): object | undefined {
  if (usage === undefined) return undefined
  const { prompt_tokens, completion_tokens, total_tokens } = usage
  return { prompt_tokens, completion_tokens, total_tokens }
}

function times(count: number, line: object): readonly object[] {
  return Array.from({ length: count }, () => line)
}

function jsonOf({ text }: Heard): unknown {
  return JSON.parse(text)
}

/** The bill, once so many lines are on it. */
async function bill(simulator: Simulator, lines: number): Promise<readonly InvoiceLine[]> {
  await vi.waitFor(() => expect(simulator.invoices()).toHaveLength(lines))
  return simulator.invoices()
}

/** Time passes at once, and is noted. */
function notedSleep(): { readonly waited: number[]; readonly sleep: Sleep } {
  const waited: number[] = []
  const sleep: Sleep = async (ms, signal) => {
    signal.throwIfAborted()
    waited.push(ms)
  }
  return { waited, sleep }
}

/** Time stands still until it is told to go on. */
function heldSleep(): { readonly waited: number[]; readonly sleep: Sleep; readonly goOn: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const waited: number[] = []
  const sleep: Sleep = (ms) => {
    waited.push(ms)
    return promise
  }
  return { waited, sleep, goOn: () => resolve() }
}

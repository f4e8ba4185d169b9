import { setImmediate } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import type { InvoiceLine } from "./invoice.ts"
import { DEFAULT_MODELS, type SimulatedModel } from "./models.ts"
import type { Sleep } from "./options.ts"
import { type Simulator, startSimulator } from "./server.ts"

/*
 * Every figure here is worked out by hand. "Hello" is one token of o200k_base: with 3 around the message, 1 for its
 * role and 3 for the reply that begins, its prompt is 8. " word" is one token too, so that a prompt of w words is w + 7.
 * Prices are those of sim-large in NanoUsd a token: 3,000 input, 1,500 cached, 12,000 output; others are told.
 */

const LARGE = DEFAULT_MODELS[2] as SimulatedModel

describe("golden invoices", () => {
  it("a plain call: 8 × 3,000 + 3 × 12,000 = 60,000", async () => {
    await using simulator = await open()
    simulator.script([{ answer: "one two three" }])
    await ask(simulator)
    expect(bill(simulator)).toEqual([{ outcome: "completed", in: 8, out: 3, cost: 60_000 }])
  })

  it("three answers to one prompt: 8 × 3,000 + 3 × 2 × 12,000 = 96,000", async () => {
    await using simulator = await open()
    simulator.script([{ answer: "one two", times: 2 }])
    await ask(simulator, { n: 3 })
    await ask(simulator, { n: 3, stream: true })
    const line = { outcome: "completed", in: 8, out: 6, cost: 96_000 }
    expect(bill(simulator)).toEqual([line, line])
  })

  it("a refusal: nothing", async () => {
    await using simulator = await open()
    simulator.script([{ status: 429 }])
    await ask(simulator)
    await ask(simulator, { messages: [{ role: "user", content: words(140_000) }] })
    const line = { outcome: "failed", in: 0, out: 0, cost: 0 }
    expect(bill(simulator)).toEqual([line, line])
  })

  it("broken off after the role and three tokens: 8 × 3,000 + 3 × 12,000 = 60,000, however it breaks", async () => {
    await using simulator = await open()
    const answer = "one two three four five"
    simulator.script([
      { cutAfterChunks: 4, answer, times: 2 },
      { errorAfterChunks: 4, answer, times: 2 },
    ])
    await ask(simulator).catch(() => undefined)
    await ask(simulator, { stream: true }).catch(() => undefined)
    await ask(simulator)
    await ask(simulator, { stream: true })
    const line = { outcome: "failed", in: 8, out: 3, cost: 60_000 }
    expect(bill(simulator)).toEqual([line, line, line, line])
  })

  it("broken off before anything was generated: 8 × 3,000 = 24,000", async () => {
    await using simulator = await open()
    simulator.script([{ cutAfterChunks: 0, times: 2 }, { errorAfterChunks: 0 }])
    await ask(simulator).catch(() => undefined)
    await ask(simulator, { stream: true }).catch(() => undefined)
    await ask(simulator, { stream: true })
    const line = { outcome: "failed", in: 8, out: 0, cost: 24_000 }
    expect(bill(simulator)).toEqual([line, line, line])
  })

  it("a client that left while it waited in line: nothing, as nothing was read", async () => {
    await using simulator = await open()
    simulator.script([{ delayMs: 60_000, times: 2 }])
    for (const stream of [false, true]) await leave(simulator, { stream }, () => simulator.requests().length)
    const line = { outcome: "aborted", in: 0, out: 0, cost: 0 }
    await expect.poll(() => bill(simulator)).toEqual([line, line])
  })

  it("a client that left before the first token: 8 × 3,000 = 24,000", async () => {
    const clock = stallAfter(0)
    await using simulator = await open({ timeScale: 1, sleep: clock.sleep })
    for (const stream of [false, true]) await leave(simulator, { stream }, clock.stalls)
    const line = { outcome: "aborted", in: 8, out: 0, cost: 24_000 }
    await expect.poll(() => bill(simulator)).toEqual([line, line])
  })

  it("a client that left after four tokens: 8 × 3,000 + 4 × 12,000 = 72,000", async () => {
    for (const stream of [false, true]) {
      const clock = stallAfter(4)
      await using simulator = await open({ timeScale: 1, sleep: clock.sleep })
      simulator.script([{ answer: "one two three four five six" }])
      await leave(simulator, { stream }, clock.stalls)
      await expect.poll(() => bill(simulator)).toEqual([{ outcome: "aborted", in: 8, out: 4, cost: 72_000 }])
    }
  })

  it("the same at a provider that goes on for nobody: 8 × 3,000 + 6 × 12,000 = 96,000", async () => {
    for (const stream of [false, true]) {
      const clock = stallAfter(4)
      await using simulator = await open({ timeScale: 1, sleep: clock.sleep }, { whenAborted: "finishes" })
      simulator.script([{ answer: "one two three four five six" }])
      await leave(simulator, { stream }, clock.stalls)
      await expect.poll(() => bill(simulator)).toEqual([{ outcome: "aborted", in: 8, out: 6, cost: 96_000 }])
    }
  })

  it("a cached prompt: 92 × 3,000 + 1,920 × 1,500 + 1 × 12,000 = 3,168,000", async () => {
    await using simulator = await open()
    simulator.script([{ answer: "one", times: 2 }])
    // The system message ends at 3 + 1 + 2,000 = 2,004 tokens, of which 15 × 128 = 1,920 are kept.
    const system = { role: "system", content: words(2_000) }
    await ask(simulator, { messages: [system, user("Hello")] })
    await ask(simulator, { messages: [system, user("Bye")] })
    // 2,004 + 3 + 1 + 1 + 3 = 2,012 = 1,920 cached + 92 fresh; the first time 2,012 × 3,000 + 12,000.
    expect(bill(simulator)).toEqual([
      { outcome: "completed", in: 2_012, out: 1, cost: 6_048_000 },
      { outcome: "completed", in: 2_012, cached: 1_920, out: 1, cost: 3_168_000 },
    ])
  })

  it("cache writes: 79 × 3,000 + 1,920 × 300 + 512 × 3,750 + 1 × 12,000 = 2,745,000", async () => {
    const price = { inputPerMTok: 3, cachedInputPerMTok: 0.3, cacheWritePerMTok: 3.75, outputPerMTok: 12 }
    await using simulator = await open({}, { price })
    simulator.script([{ answer: "one", times: 3 }])
    const system = { role: "system", content: words(2_000) }
    await ask(simulator, { messages: [system, user("Hello")] })
    const longer = { messages: [system, user(words(500))] }
    const { usage } = (await ask(simulator, longer)) as { usage: object }
    await ask(simulator, longer)
    expect(bill(simulator)).toEqual([
      // 2,009 tokens of messages, of which 1,920 are written: 92 × 3,000 + 1,920 × 3,750 + 12,000.
      { outcome: "completed", in: 2_012, written: 1_920, out: 1, cost: 7_488_000 },
      // 2,004 + 3 + 1 + 500 = 2,508 tokens of messages are kept as 19 × 128 = 2,432: 1,920 of them before, 512 now.
      { outcome: "completed", in: 2_511, cached: 1_920, written: 512, out: 1, cost: 2_745_000 },
      // Now all 2,432 are read: 79 × 3,000 + 2,432 × 300 + 12,000.
      { outcome: "completed", in: 2_511, cached: 2_432, out: 1, cost: 978_600 },
    ])
    expect(usage).toMatchObject({
      prompt_tokens: 2_511,
      prompt_tokens_details: { cached_tokens: 1_920, cache_write_tokens: 512 },
    })
  })

  it("a long context, from the first token above the step: 2,001 × 2,000 + 2 × 6,000 = 4,014,000", async () => {
    const longContext = [
      { aboveInputTokens: 3_000, inputPerMTok: 3, outputPerMTok: 8 },
      { aboveInputTokens: 2_000, inputPerMTok: 2, outputPerMTok: 6 },
    ]
    await using simulator = await open({}, { price: { inputPerMTok: 1, outputPerMTok: 4, longContext } })
    simulator.script([{ answer: "one two", times: 4 }])
    for (const count of [1_993, 1_994, 2_993, 2_994]) await ask(simulator, { messages: [user(words(count))] })
    expect(bill(simulator)).toEqual([
      // 2,000 × 1,000 + 2 × 4,000
      { outcome: "completed", in: 2_000, out: 2, cost: 2_008_000 },
      { outcome: "completed", in: 2_001, out: 2, cost: 4_014_000 },
      // 3,000 × 2,000 + 2 × 6,000, then 3,001 × 3,000 + 2 × 8,000
      { outcome: "completed", in: 3_000, out: 2, cost: 6_012_000 },
      { outcome: "completed", in: 3_001, out: 2, cost: 9_019_000 },
    ])
  })

  it("thoughts: 8 × 3,000 + (64 + 3) × 12,000 = 828,000, whole as streamed", async () => {
    await using simulator = await open({}, { reasoningTokens: 64 })
    simulator.script([{ answer: "one two three", times: 3 }])
    const { usage, choices } = (await ask(simulator)) as Answer
    expect(choices).toMatchObject([{ message: { content: "one two three" }, finish_reason: "stop" }])
    expect(usage).toMatchObject({
      completion_tokens: 67,
      completion_tokens_details: { reasoning_tokens: 64 },
    })
    const streamed = await ask(simulator, { stream: true, stream_options: { include_usage: true } })
    expect(streamed).toContain(`"usage":${JSON.stringify(usage)}`)
    // Half the thoughts: 8 × 3,000 + (32 + 3) × 12,000.
    await ask(simulator, { reasoning_effort: "low" })
    const line = { outcome: "completed", in: 8, out: 67, thought: 64, cost: 828_000 }
    expect(bill(simulator)).toEqual([line, line, { ...line, out: 35, thought: 32, cost: 444_000 }])
  })

  it("thoughts that leave no room for an answer: 8 × 3,000 + 50 × 12,000 = 624,000 for not a word", async () => {
    await using simulator = await open({}, { reasoningTokens: 64 })
    const { choices } = (await ask(simulator, { max_completion_tokens: 50 })) as Answer
    expect(choices).toMatchObject([{ message: { content: "" }, finish_reason: "length" }])
    simulator.script([{ answer: "" }])
    const nothingToSay = (await ask(simulator, { max_completion_tokens: 50 })) as Answer
    expect(nothingToSay.choices).toMatchObject([{ finish_reason: "length" }])
    const line = { outcome: "completed", in: 8, out: 50, thought: 50, cost: 624_000 }
    expect(bill(simulator)).toEqual([line, line])
  })

  it("a client that left in the middle of a thought: 8 × 3,000 + 20 × 12,000 = 264,000", async () => {
    for (const stream of [false, true]) {
      const clock = stallAfter(20)
      await using simulator = await open({ timeScale: 1, sleep: clock.sleep }, { reasoningTokens: 64 })
      await leave(simulator, { stream }, clock.stalls)
      const line = { outcome: "aborted", in: 8, out: 20, thought: 20, cost: 264_000 }
      await expect.poll(() => bill(simulator)).toEqual([line])
    }
  })

  it("a model that says nothing of tokens: 8 × 3,000 + 2 × 12,000 = 48,000 all the same", async () => {
    await using simulator = await open({}, { reportsUsage: false })
    simulator.script([{ answer: "one two", times: 2 }])
    expect(await ask(simulator)).not.toHaveProperty("usage")
    const streamed = await ask(simulator, { stream: true, stream_options: { include_usage: true } })
    expect(streamed).toContain("two")
    expect(streamed).not.toContain("usage")
    const line = { outcome: "completed", in: 8, out: 2, cost: 48_000 }
    expect(bill(simulator)).toEqual([line, line])
  })

  it("a price below a NanoUsd a token: 8 × 0.15 + 3 × 0.6 = 3 exactly, and one token more is 3.6, billed as 4", async () => {
    await using simulator = await open({}, { price: { inputPerMTok: 0.000_15, outputPerMTok: 0.000_6 } })
    simulator.script([{ answer: "one two three" }, { answer: "one two three four" }])
    await ask(simulator)
    await ask(simulator)
    expect(bill(simulator)).toEqual([
      { outcome: "completed", in: 8, out: 3, cost: 3 },
      { outcome: "completed", in: 8, out: 4, cost: 4 },
    ])
  })
})

interface Answer {
  readonly usage: object
  readonly choices: readonly object[]
}

function open(
  options: { readonly timeScale?: number; readonly sleep?: Sleep } = {},
  model: Partial<SimulatedModel> = {},
): Promise<Simulator> {
  return startSimulator({ timeScale: 0, ...options, models: [{ ...LARGE, ...model }] })
}

function user(content: string): object {
  return { role: "user", content }
}

function words(count: number): string {
  return Array<string>(count).fill("word").join(" ")
}

/** The answer's JSON, or the text of a stream. */
async function ask(simulator: Simulator, more: object = {}, signal?: AbortSignal): Promise<unknown> {
  const response = await fetch(`${simulator.baseUrl}/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "sim-large", messages: [user("Hello")], ...more }),
    ...(signal === undefined ? {} : { signal }),
  })
  return "stream" in more && more.stream === true ? response.text() : response.json()
}

/** Asks, and hangs up as soon as the count that `seen` gives has grown. */
async function leave(simulator: Simulator, more: object, seen: () => number): Promise<void> {
  const before = seen()
  const leaving = new AbortController()
  const answer = ask(simulator, more, leaving.signal)
  answer.catch(() => undefined)
  while (seen() === before) await setImmediate()
  leaving.abort()
  await expect(answer).rejects.toThrow(/abort/)
}

/** Time passes at once for so many tokens and then stands still until the call is given up. */
function stallAfter(tokens: number): { readonly sleep: Sleep; readonly stalls: () => number } {
  let waits = 0
  let stalls = 0
  return {
    stalls: () => stalls,
    sleep: (_, signal) => {
      waits += 1
      if (waits <= tokens) return Promise.resolve()
      stalls += 1
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
    },
  }
}

interface ShortLine {
  readonly outcome: InvoiceLine["outcome"]
  readonly in: number
  readonly out: number
  readonly cost: number
  readonly cached?: number
  readonly written?: number
  readonly thought?: number
}

/** The bill as it is told in the stories: what is 0 of the details is not told. */
function bill(simulator: Simulator): readonly ShortLine[] {
  return simulator.invoices().map((line) => ({
    outcome: line.outcome,
    in: line.inputTokens,
    ...(line.cachedInputTokens === 0 ? {} : { cached: line.cachedInputTokens }),
    ...(line.cacheWriteTokens === 0 ? {} : { written: line.cacheWriteTokens }),
    out: line.outputTokens,
    ...(line.reasoningTokens === 0 ? {} : { thought: line.reasoningTokens }),
    cost: line.costNanoUsd,
  }))
}

import { describe, expect, it } from "vitest"
import { SimulatorConfigError } from "./errors.ts"
import { type Simulator, startSimulator } from "./server.ts"

describe("scripted faults", () => {
  it("refuse the next calls in line and then let go", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([{ status: 429, times: 2 }, { status: 500 }])
    const first = await ask(simulator)
    expect(first.status).toBe(429)
    expect(first.headers.get("retry-after")).toBe("1")
    expect(await first.json()).toMatchObject({
      error: { type: "requests", code: "rate_limit_exceeded", param: null },
    })
    expect((await ask(simulator)).status).toBe(429)
    const third = await ask(simulator)
    expect([third.status, await third.json()]).toMatchObject([500, { error: { type: "server_error" } }])
    expect((await ask(simulator)).status).toBe(200)
    expect(simulator.invoices().map((line) => [line.outcome, line.costNanoUsd > 0])).toEqual([
      ["failed", false],
      ["failed", false],
      ["failed", false],
      ["completed", true],
    ])
  })

  it("wait for the model they name", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([{ model: "sim-large", status: 503, headers: { "retry-after": "20" } }])
    expect((await ask(simulator, { model: "sim-small" })).status).toBe(200)
    const refused = await ask(simulator, { model: "sim-large" })
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "20"])
    expect((await ask(simulator, { model: "sim-large" })).status).toBe(200)
  })

  it("replace the body, the headers or the answer", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([
      { status: 403, body: { error: { code: "insufficient_quota" } } },
      { answer: "I'm not sure.", headers: { "x-odd": "yes" } },
    ])
    expect(await (await ask(simulator)).json()).toEqual({ error: { code: "insufficient_quota" } })
    const answered = await ask(simulator)
    expect(answered.headers.get("x-odd")).toBe("yes")
    expect(await answered.json()).toMatchObject({ choices: [{ message: { content: "I'm not sure." } }] })
  })

  it("delay by real time", async () => {
    const waited: number[] = []
    const sleep = async (ms: number): Promise<void> => {
      waited.push(ms)
    }
    await using simulator = await startSimulator({ timeScale: 0, sleep })
    simulator.script([{ delayMs: 1_500 }])
    expect((await ask(simulator)).status).toBe(200)
    expect(waited).toEqual([1_500])
  })

  it("break a stream off after so many chunks and bill those", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([{ cutAfterChunks: 4, answer: "one two three four five six" }])
    const response = await ask(simulator, { stream: true })
    const { text, broken } = await readToTheEnd(response)
    expect(broken).toBe(true)
    expect(text.match(/^data: \{/gm)).toHaveLength(4)
    expect(text).not.toContain("[DONE]")
    // One chunk opens with the role, three bring a token each.
    expect(simulator.invoices()).toMatchObject([{ outcome: "failed", outputTokens: 3 }])
  })

  it("break off at the very end where the answer is shorter than the cut", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([{ cutAfterChunks: 100, answer: "one two" }])
    const { text, broken } = await readToTheEnd(await ask(simulator, { stream: true }))
    expect([broken, text.includes("two"), text.includes("[DONE]")]).toEqual([true, true, false])
  })

  it("break a whole answer off before anything is sent", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([{ cutAfterChunks: 2, answer: "one two three" }])
    await expect(ask(simulator)).rejects.toThrow(/fetch failed/)
    expect(simulator.invoices()).toMatchObject([{ outcome: "failed", outputTokens: 1 }])
  })

  it("fail inside a 200, whole or in the middle of a stream, and bill what was generated", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const answer = "one two three four"
    const body = { error: { message: "Provider returned error", code: 502 } }
    simulator.script([
      { errorAfterChunks: 3, answer },
      { errorAfterChunks: 3, answer, body },
    ])
    const whole = await ask(simulator)
    expect([whole.status, await whole.json()]).toMatchObject([200, { error: { type: "server_error" } }])
    const { text, broken } = await readToTheEnd(await ask(simulator, { stream: true }))
    // It ends as it should, but for what it says: the role, two tokens, the error.
    expect(broken).toBe(false)
    expect(text.match(/^data: \{/gm)).toHaveLength(4)
    expect(text.endsWith(`data: ${JSON.stringify(body)}\n\n`)).toBe(true)
    expect(simulator.invoices()).toMatchObject([
      { outcome: "failed", inputTokens: 8, outputTokens: 2 },
      { outcome: "failed", inputTokens: 8, outputTokens: 2 },
    ])
  })

  it("cannot be scripted to mean nothing", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const wrong = [
      { model: "sim-large" },
      { status: 200 },
      { status: 500, answer: "x" },
      { status: 500, errorAfterChunks: 1 },
      { cutAfterChunks: 1, errorAfterChunks: 1 },
      { body: {} },
      { model: "x", status: 500 },
    ]
    for (const fault of wrong) {
      expect(() => simulator.script([{ status: 500 }, fault])).toThrow(SimulatorConfigError)
      expect(() => simulator.script([{ status: 500 }, fault])).toThrow(/^script\[1\]/)
    }
    expect((await ask(simulator)).status).toBe(200)
  })
})

function ask(simulator: Simulator, more: object = {}): Promise<Response> {
  return fetch(`${simulator.baseUrl}/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "sim-small", messages: [{ role: "user", content: "Hello" }], ...more }),
  })
}

async function readToTheEnd(response: Response): Promise<{ text: string; broken: boolean }> {
  const decoder = new TextDecoder()
  let text = ""
  try {
    for await (const part of response.body as ReadableStream<Uint8Array>)
      text += decoder.decode(part, { stream: true })
    return { text, broken: false }
  } catch {
    return { text, broken: true }
  }
}

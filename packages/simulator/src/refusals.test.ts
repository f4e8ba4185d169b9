import { describe, expect, it } from "vitest"
import type { Fault } from "./faults.ts"
import { type Simulator, startSimulator } from "./server.ts"

describe("refusals", () => {
  it("come in the words of a provider that sends the status, and cost nothing", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const cases: readonly (readonly [number, object])[] = [
      [400, { error: { type: "invalid_request_error" } }],
      [401, { error: { code: "invalid_api_key" } }],
      [403, { error: { type: "request_forbidden" } }],
      [404, { error: { code: "model_not_found" } }],
      [408, { error: { type: "timeout" } }],
      [409, { error: { type: "conflict_error" } }],
      [413, { error: { type: "tokens", code: "rate_limit_exceeded" } }],
      [418, { error: { type: "invalid_request_error" } }],
      [422, { detail: [{ loc: ["body", "messages"] }] }],
      [429, { error: { type: "requests", code: "rate_limit_exceeded" } }],
      [500, { error: { type: "server_error" } }],
      [503, { error: { type: "server_error" } }],
      [529, { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }],
    ]
    for (const [status, body] of cases) {
      const refused = await refusedWith(simulator, { status })
      expect(refused, String(status)).toMatchObject({ status, type: "application/json" })
      expect(JSON.parse(refused.text), String(status)).toMatchObject(body)
    }
    expect(simulator.invoices()).toHaveLength(cases.length)
    expect(simulator.invoices().every((line) => line.outcome === "failed" && line.costNanoUsd === 0)).toBe(
      true,
    )
  })

  it("are a proxy's page with 502 and 504, unless a body is given", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    for (const [status, title] of [
      [502, "502 Bad Gateway"],
      [504, "504 Gateway Time-out"],
    ] as const) {
      const refused = await refusedWith(simulator, { status })
      expect(refused).toMatchObject({ status, type: "text/html; charset=utf-8" })
      expect(refused.text).toContain(`<h1>${title}</h1>`)
    }
    expect(await refusedWith(simulator, { status: 502, body: { error: "down" } })).toMatchObject({
      status: 502,
      type: "application/json",
      text: `{"error":"down"}`,
    })
  })

  it("can be a web page, also inside a 200", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const type = "text/html; charset=utf-8"
    expect(await refusedWith(simulator, { html: true })).toMatchObject({
      status: 200,
      type,
      text: expect.stringContaining("Sign in"),
    })
    expect(await refusedWith(simulator, { html: "<p>hi</p>" })).toMatchObject({
      status: 200,
      text: "<p>hi</p>",
    })
    expect(await refusedWith(simulator, { html: true, status: 500 })).toMatchObject({
      status: 500,
      type,
      text: expect.stringContaining("500 Internal Server Error"),
    })
    const line = { outcome: "failed", costNanoUsd: 0 }
    expect(simulator.invoices()).toMatchObject([line, line, line])
  })

  it("say when to come back: in seconds, as a date, or not at all", async () => {
    await using simulator = await startSimulator({ timeScale: 0, now: () => Date.UTC(2030, 0, 1) })
    const after = async (fault: Fault): Promise<readonly [string | null, boolean]> => {
      const { retryAfter, text } = await refusedWith(simulator, fault)
      return [retryAfter, text.includes("try again in")]
    }
    expect(await after({ status: 429 })).toEqual(["1", true])
    expect(await after({ status: 503 })).toEqual(["1", false])
    expect(await after({ status: 500 })).toEqual([null, false])
    expect(await after({ status: 429, retryAfter: { seconds: 2.5 } })).toEqual(["2.5", true])
    expect(await after({ status: 529, retryAfter: { date: 90 } })).toEqual([
      "Tue, 01 Jan 2030 00:01:30 GMT",
      false,
    ])
    // Clients read the hint in the words too.
    expect(await after({ status: 429, retryAfter: "none" })).toEqual([null, false])
    expect(await after({ refusal: "azure-rate-limit" })).toEqual(["20", false])
  })

  it("come in the words of a certain provider, with the model's own window", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const cases: readonly (readonly [Fault["refusal"], number, object])[] = [
      ["openai-context-overflow", 400, { error: { code: "context_length_exceeded", param: "messages" } }],
      ["vllm-context-overflow", 400, { error: { type: "BadRequestError", code: 400 } }],
      ["vllm-context-overflow-flat", 400, { object: "error", type: "BadRequestError", code: 400 }],
      [
        "azure-content-filter",
        400,
        { error: { code: "content_filter", innererror: { code: "ResponsibleAIPolicyViolation" } } },
      ],
      ["azure-rate-limit", 429, { error: { code: "429" } }],
      ["openai-quota-exhausted", 429, { error: { code: "insufficient_quota" } }],
    ]
    for (const [refusal, status, body] of cases) {
      const refused = await refusedWith(simulator, { refusal })
      expect([refused.status, JSON.parse(refused.text)], refusal).toMatchObject([status, body])
      expect(refused.text.includes("8192 tokens"), refusal).toBe(refusal?.includes("overflow"))
    }
  })
})

async function refusedWith(
  simulator: Simulator,
  fault: Fault,
): Promise<{ status: number; type: string | null; retryAfter: string | null; text: string }> {
  simulator.script([fault])
  const response = await fetch(`${simulator.baseUrl}/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "sim-small", messages: [{ role: "user", content: "Hello" }] }),
  })
  const { status, headers } = response
  const type = headers.get("content-type")
  return { status, type, retryAfter: headers.get("retry-after"), text: await response.text() }
}

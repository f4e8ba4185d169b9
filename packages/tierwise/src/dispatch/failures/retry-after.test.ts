import { describe, expect, it } from "vitest"
import { retryAfterMs } from "./retry-after.ts"

const now = Date.UTC(2026, 0, 1)
const headers = (fields: Readonly<Record<string, string>>) => ({ status: 429, headers: new Headers(fields) })
const iso = (ms: number) => new Date(ms).toISOString()

describe("retryAfterMs", () => {
  it.each<[string, unknown, number | undefined]>([
    ["LangChain's stamp", { retryAfterMs: 1_500 }, 1_500],
    ["seconds", headers({ "retry-after": "2" }), 2_000],
    ["a part of a second", headers({ "retry-after": "0.5" }), 500],
    ["milliseconds", headers({ "retry-after-ms": "350", "retry-after": "1" }), 350],
    ["a plain header object", { headers: { "Retry-After": "3" } }, 3_000],
    ["the headers of a response", { response: { headers: { "retry-after": "3" } } }, 3_000],
    ["the headers that AWS keeps", { $response: { headers: { "retry-after": "3" } } }, 3_000],
    ["a date", headers({ "retry-after": new Date(now + 4_000).toUTCString() }), 4_000],
    ["a date that has passed", headers({ "retry-after": new Date(now - 4_000).toUTCString() }), 0],
    ["an empty header", headers({ "retry-after": "" }), undefined],
    ["a negative number of seconds", headers({ "retry-after": "-2" }), 0],
    ["a header before the stamp", { ...headers({ "retry-after": "2" }), retryAfterMs: 9_000 }, 2_000],
    ["a negative stamp", { retryAfterMs: -1 }, undefined],
    ["a stamp that is no number", { retryAfterMs: Number.NaN }, undefined],
    ["nonsense", headers({ "retry-after": "soon" }), undefined],
    ["numbers that an engine would take for a date", headers({ "retry-after": "5 apples" }), undefined],
    ["infinity", headers({ "retry-after": "Infinity" }), undefined],
    ["what a wrapper's cause says", new Error("x", { cause: headers({ "retry-after": "2" }) }), 2_000],
    ["nothing", undefined, undefined],
  ])("reads %s", (_, error, ms) => {
    expect(retryAfterMs(error, now)).toBe(ms)
  })

  it.each<[string, Record<string, string>, number | undefined]>([
    [
      "the reset of OpenAI's spent limit",
      { "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s" },
      360_000,
    ],
    [
      "milliseconds of it",
      { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12ms" },
      12,
    ],
    ["parts of all sizes", { "x-ratelimit-reset": "1h2m3.5s" }, 3_723_500],
    [
      "the longest where two are spent",
      {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "7.66s",
      },
      7_660,
    ],
    [
      "no limit of which something remains",
      { "x-ratelimit-remaining-tokens": "14", "x-ratelimit-reset-tokens": "6m0s" },
      undefined,
    ],
    [
      "nothing that Azure OpenAI does not know",
      { "x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0" },
      undefined,
    ],
    [
      "Azure OpenAI's seconds",
      { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "10" },
      10_000,
    ],
    ["epoch seconds", { "x-ratelimit-reset": String(now / 1_000 + 30) }, 30_000],
    [
      "epoch milliseconds",
      { "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(now + 30_000) },
      30_000,
    ],
    [
      "Anthropic's moment",
      { "anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": iso(now + 9_000) },
      9_000,
    ],
    ["a moment that has passed", { "anthropic-ratelimit-requests-reset": iso(now - 9_000) }, 0],
    ["Retry-After before any reset", { "retry-after": "1", "x-ratelimit-reset": "6m0s" }, 1_000],
    ["nothing from what is no duration", { "x-ratelimit-reset": "6m0" }, undefined],
  ])("takes %s", (_, fields, ms) => {
    expect(retryAfterMs(headers(fields), now)).toBe(ms)
  })

  const retryInfo = { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "30s" }

  it.each<[string, unknown, number | undefined]>([
    [
      "Google's retryDelay, as its own package keeps it",
      { errorDetails: [{ reason: "x" }, retryInfo] },
      30_000,
    ],
    ["the same, as LangChain's keeps it", { data: { error: { details: [retryInfo] } } }, 30_000],
    ["parts of a second in it", { errorDetails: [{ retryDelay: "58.821668433s" }] }, 58_821.668433],
    [
      "the reset that OpenRouter tells in the body",
      {
        error: {
          metadata: { headers: { "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": String(now + 5_000) } },
        },
      },
      5_000,
    ],
    ["OpenAI's words", { message: "Limit 10000, Used 8554. Please try again in 9.816s. Visit" }, 9_816],
    ["its milliseconds", { message: "Please try again in 644ms." }, 644],
    [
      "Groq's minutes",
      { error: { error: { message: "Please try again in 9m38.016s. Need more" } } },
      578_016,
    ],
    ["Azure OpenAI's words", { message: "Please retry after 45 seconds. Please go here" }, 45_000],
    ["Google's words", { message: "Please retry in 58.8s." }, 58_800],
    ["no other number", { message: "try again in a while, at most 5 times" }, undefined],
  ])("finds %s", (_, error, ms) => {
    expect(retryAfterMs(error, now)).toBe(ms)
  })

  it("ignores a day and more, and takes the next best: Azure OpenAI says so of a request that never fits", () => {
    const day = { "retry-after": "86400" }
    expect(retryAfterMs(headers(day), now)).toBeUndefined()
    expect(retryAfterMs({ message: "Please retry after 86400 seconds." }, now)).toBeUndefined()
    expect(retryAfterMs(headers({ ...day, "x-ratelimit-reset": "2s" }), now)).toBe(2_000)
    expect(retryAfterMs(headers({ "retry-after": "86399" }), now)).toBe(86_399_000)
  })
})

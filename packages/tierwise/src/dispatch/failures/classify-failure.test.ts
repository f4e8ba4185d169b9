import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { FailureKind } from "../../spec/dispatch.ts"
import { CandidatesExhaustedError } from "../../spec/errors.ts"
import { cameInsideAnAnswer, classifyFailure, isControlFlow } from "./classify-failure.ts"
import { FAILURE_HANDLING } from "./failure-handling.ts"
import { BY_CODE, BY_MESSAGE } from "./failure-signs.ts"
import { retryAfterMs } from "./retry-after.ts"

const quiet = { callerAborted: false, timedOut: false, fromProvider: false }
const named = (name: string, fields: object = {}) => Object.assign(new Error(name), { name }, fields)

describe("classifyFailure", () => {
  it.each<[string, unknown, FailureKind]>([
    ["429", { status: 429 }, "rate-limited"],
    ["429 with LangChain's stamp", { status: 429, lc_error_code: "MODEL_RATE_LIMIT" }, "rate-limited"],
    ["429 for an empty account", { status: 429, error: { code: "insufficient_quota" } }, "quota-exhausted"],
    ["402", { status: 402 }, "quota-exhausted"],
    ["401", { status: 401, lc_error_code: "MODEL_AUTHENTICATION" }, "authentication"],
    ["404", { status: 404, lc_error_code: "MODEL_NOT_FOUND" }, "not-found"],
    ["400", { status: 400 }, "invalid-request"],
    ["403", { status: 403 }, "authentication"],
    ["408", { status: 408 }, "timeout"],
    ["409", { status: 409 }, "server-error"],
    ["413", { status: 413 }, "context-overflow"],
    ["a status of the 4xx that has no name", { status: 418 }, "invalid-request"],
    ["504", { status: 504 }, "timeout"],
    ["529", { status: 529 }, "overloaded"],
    ["a status by another name", { statusCode: 429 }, "rate-limited"],
    ["a status by a third name", { status_code: 429 }, "rate-limited"],
    ["422", { status: 422 }, "invalid-request"],
    ["400 because the context is full", { status: 400, code: "context_length_exceeded" }, "context-overflow"],
    ["LangChain's own overflow error", named("ContextOverflowError"), "context-overflow"],
    ["400 from a content filter", { status: 400, error: { code: "content_filter" } }, "content-filtered"],
    ["500", { status: 500 }, "server-error"],
    ["502", { status: 502 }, "server-error"],
    ["503", { status: 503 }, "overloaded"],
    ["Anthropic's 529", { status: 529, error: { type: "overloaded_error" } }, "overloaded"],
    ["an overload told in the middle of a stream", { error: { type: "overloaded_error" } }, "overloaded"],
    ["a content policy", { status: 400, code: "content_policy_violation" }, "content-filtered"],
    ["a model that is not there", { status: 400, error: { code: "model_not_found" } }, "not-found"],
    ["a client's connection time-out", named("APIConnectionTimeoutError"), "timeout"],
    ["a socket's time-out", { code: "ETIMEDOUT" }, "network"],
    ["a refused connection", named("APIConnectionError"), "network"],
    [
      "fetch's refused connection",
      Object.assign(new TypeError("fetch failed"), { cause: { code: "ECONNREFUSED" } }),
      "network",
    ],
    ["fetch's refused connection without a code", new TypeError("fetch failed"), "network"],
    ["a body that broke off", new TypeError("terminated"), "truncated"],
    ["an answer that ended before it began", named("TruncatedError"), "truncated"],
    ["a reset deep in the causes", new Error("x", { cause: { cause: { code: "ECONNRESET" } } }), "truncated"],
    ["a client's time-out", named("TimeoutError"), "timeout"],
    ["JSON that does not parse", new SyntaxError("Unexpected token"), "unparseable"],
    ["LangChain's stamp on an answer", { lc_error_code: "OUTPUT_PARSING_FAILURE" }, "unparseable"],
    ["a schema's complaint", named("$ZodError"), "unparseable"],
    ["a graph's command", named("ParentCommand"), "control-flow"],
    ["a bubbling error", named("GraphBubbleUp"), "control-flow"],
    ["whatever bubbles up by its flag", named("Mine", { is_bubble_up: true }), "control-flow"],
    ["an interrupt by its class", new (class GraphInterrupt extends Error {})("stop"), "control-flow"],
    ["an interrupt that carries a code", named("NodeInterrupt", { code: "ECONNRESET" }), "control-flow"],
    ["a graph's interrupt", named("GraphInterrupt", { is_bubble_up: true }), "control-flow"],
    ["a defect", new TypeError("x is not a function"), "defect"],
    ["an error of no known shape", new Error("hm"), "unknown"],
    ["a thrown string", "no", "unknown"],
    ["nothing at all", undefined, "unknown"],
  ])("knows %s", (_, error, kind) => {
    expect(classifyFailure(error, quiet)).toBe(kind)
  })

  it("tells the caller's abort from our time-out by the signal that fired: the errors look the same", () => {
    const abort = named("AbortError")
    expect(classifyFailure(abort, { ...quiet, callerAborted: true, timedOut: false })).toBe("aborted")
    expect(classifyFailure(abort, { ...quiet, callerAborted: false, timedOut: true })).toBe("timeout")
    expect(classifyFailure(abort, { ...quiet, callerAborted: true, timedOut: true })).toBe("aborted")
  })

  it("takes what looks like a defect for the provider's doing when it came out of its package", () => {
    const provider = { ...quiet, fromProvider: true }
    expect(classifyFailure(new SyntaxError("Unexpected token <"), provider)).toBe("truncated")
    expect(classifyFailure(new TypeError("x is undefined"), provider)).toBe("truncated")
    expect(classifyFailure(named("GraphInterrupt"), provider)).toBe("control-flow")
    expect(classifyFailure({ status: 429 }, provider)).toBe("rate-limited")
  })

  it("looks no name up in the prototype of its tables", () => {
    expect(classifyFailure({ name: "constructor", code: "toString", type: "valueOf" }, quiet)).toBe("unknown")
  })

  it.each<[string, unknown, FailureKind]>([
    ["a code before a status", { status: 413, error: { code: "rate_limit_exceeded" } }, "rate-limited"],
    [
      "a code before LangChain's stamp, which takes a link to a billing page for an empty account",
      { status: 429, error: { error: { code: "rate_limit_exceeded" } }, rateLimitType: "stop" },
      "rate-limited",
    ],
    ["LangChain's stamp before a status", { status: 429, rateLimitType: "stop" }, "quota-exhausted"],
    ["LangChain's stamp without a status", { rateLimitType: "wait" }, "rate-limited"],
    ["a status before a type that says no more", { status: 404, type: "api_error" }, "not-found"],
    ["such a type where there is no status", { error: { type: "api_error" } }, "server-error"],
    ["the answer's status before the body's", { status: 400, error: { code: 500 } }, "invalid-request"],
    ["the body's status inside a 200", { error: { code: "429" } }, "rate-limited"],
    [
      "a code that names the failure before a message",
      { status: 400, code: "content_filter", message: "maximum context length" },
      "content-filtered",
    ],
    [
      "a message where a 400 says nothing else",
      { status: 400, message: "maximum context length" },
      "context-overflow",
    ],
    [
      "no message where the status is clear",
      { status: 401, message: "maximum context length" },
      "authentication",
    ],
    [
      "a cause where the error itself says nothing",
      new Error("x", { cause: { status: 429 } }),
      "rate-limited",
    ],
    [
      "a cause before a name that says little",
      named("APIConnectionError", { cause: { code: "ECONNRESET" } }),
      "truncated",
    ],
    ["a cause before what looks like a defect", named("TypeError", { cause: { status: 503 } }), "overloaded"],
    ["the error before its cause", named("x", { status: 401, cause: { status: 429 } }), "authentication"],
    [
      "the first of several that knows",
      new AggregateError([new Error("x"), { status: 429 }, { status: 401 }]),
      "rate-limited",
    ],
    ["a refused connection on every address", new AggregateError([{ code: "ECONNREFUSED" }]), "network"],
    [
      "LangChain's mark of what may heal",
      { [Symbol.for("langchain.errors.retryable")]: true },
      "server-error",
    ],
    ["garbage instead of HTTP", new Error("x", { cause: { code: "HPE_INVALID_CONSTANT" } }), "truncated"],
    ["a Chromium without a network", new TypeError("Failed to fetch"), "network"],
    [
      "a body that a time-out broke off",
      new TypeError("terminated", { cause: { code: "UND_ERR_BODY_TIMEOUT" } }),
      "timeout",
    ],
    ["a model's refusal to fill in a form", named("ModelRefusalError"), "content-filtered"],
    ["a status of 5xx that has no name", { status: 599 }, "server-error"],
    ["Google's own word for it", { data: { error: { status: "RESOURCE_EXHAUSTED" } } }, "rate-limited"],
    [
      "what a provider said to OpenRouter",
      { status: 400, error: { message: "Provider returned error", metadata: { raw: "prompt is too long" } } },
      "context-overflow",
    ],
    ["no failure in a status below 400", { status: 200 }, "unknown"],
  ])("believes %s", (_, error, kind) => {
    expect(classifyFailure(error, quiet)).toBe(kind)
  })

  // Messages that no answer of test/failures has; each with where it was seen.
  it.each<[number, string, FailureKind]>([
    // https://github.com/fedora-copr/logdetective-website/pull/193
    [400, "Requested tokens (2285) exceed context window of 2048", "context-overflow"],
    // https://github.com/gpustack/gpustack/issues/1845 (2025-04-21)
    [400, "Illegal param: prefill 744 tokens exceed n_ctx_per_seq, try increasing", "context-overflow"],
    // https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/2339 (2026-08-30)
    [400, "Context size has been exceeded", "context-overflow"],
    // https://github.com/lmstudio-ai/model-catalog/issues/38 (2023-11-07)
    [400, "Input length 1581 exceeds context length 1500", "context-overflow"],
    // https://github.com/ddalcu/mlx-serve/issues/66 (2026-07-09)
    [400, "Prompt exceeds maximum context length", "context-overflow"],
    // https://github.com/google-gemini/gemini-cli/issues/25198 (2026-04-12)
    [400, "API Key not found. Please pass a valid API key.", "authentication"],
    // https://github.com/google-gemini/gemini-cli/issues/27548
    [429, "No capacity available for model gemini-3.1-flash-lite on the server", "overloaded"],
    // https://dev.to/multigrid/fixing-toomanyrequests-from-azure-openai-under-load-34bn
    [429, "System is experiencing high demand", "overloaded"],
    // Said of the answer's length, not of the conversation's: nobody else would take it either.
    [
      400,
      "max_tokens: 21333 > 4096, which is the maximum allowed number of output tokens",
      "invalid-request",
    ],
  ])("reads of a %i: %s", (status, message, kind) => {
    expect(classifyFailure({ status, message }, quiet)).toBe(kind)
  })

  it("finds an interrupt also where somebody wrapped it: it must never be answered by another model", () => {
    const interrupt = Object.assign(new Error("x"), { is_bubble_up: true })
    const wrapped = Object.assign(new Error("429", { cause: interrupt }), { status: 429 })
    expect(isControlFlow(wrapped)).toBe(true)
    expect(classifyFailure(wrapped, quiet)).toBe("control-flow")
    expect(isControlFlow(new Error("x"))).toBe(false)
  })

  it("takes the troubles of another router for nobody's it knows, whatever caused them", () => {
    const error = new CandidatesExhaustedError([], new TypeError("x is not a function"))
    expect(classifyFailure(error, quiet)).toBe("unknown")
    expect(classifyFailure(new Error("wrapped", { cause: error }), quiet)).toBe("unknown")
  })

  it("survives a chain of causes that bites its own tail", () => {
    const error = new Error("x")
    error.cause = { cause: error }
    expect(classifyFailure(error, quiet)).toBe("unknown")
  })

  it("has a row of the table for everything it finds", () => {
    for (const kind of [...Object.values(BY_CODE), ...BY_MESSAGE.map(({ kind }) => kind)]) {
      expect(FAILURE_HANDLING).toHaveProperty([kind])
    }
  })
})

/** Fields that the classifier looks at, holding anything. */
const errorLike = fc.letrec((tie) => ({
  error: fc.oneof(
    { maxDepth: 4 },
    fc.anything({ withNullPrototype: true, withBigInt: true }),
    fc.record(
      {
        name: fc.oneof(fc.constantFrom("TypeError", "APIConnectionError", "SyntaxError"), fc.anything()),
        message: fc.oneof(fc.string(), fc.anything()),
        status: fc.oneof(fc.integer({ min: 100, max: 700 }), fc.anything()),
        code: fc.oneof(fc.constantFrom("ECONNRESET", "429", "server_error"), fc.anything()),
        error: tie("error"),
        errorDetails: fc.array(tie("error")),
        headers: fc.oneof(
          fc.dictionary(fc.constantFrom("retry-after", "x-ratelimit-reset"), fc.string()),
          fc.anything(),
        ),
        retryAfterMs: fc.anything(),
        cause: tie("error"),
        errors: fc.array(tie("error")),
      },
      { requiredKeys: [] },
    ),
  ),
})).error

const askAll = (error: unknown) => {
  const context = { ...quiet, fromProvider: true }
  const wait = retryAfterMs(error, 0)
  expect(FAILURE_HANDLING).toHaveProperty([classifyFailure(error, quiet)])
  expect(FAILURE_HANDLING).toHaveProperty([classifyFailure(error, context)])
  expect([true, false]).toContain(isControlFlow(error))
  expect([true, false]).toContain(cameInsideAnAnswer(error))
  expect(wait === undefined || (wait >= 0 && wait < 86_400_000)).toBe(true)
}

describe("whatever is thrown", () => {
  it("is classified, and waited for a time that makes sense", () => {
    fc.assert(fc.property(errorLike, askAll), { numRuns: 200 })
  })

  it("cannot throw back: neither its getters, nor a Proxy that refuses everything, nor one that is revoked", () => {
    const refuse = () => {
      throw new Error("no")
    }
    const traps = {
      get: refuse,
      has: refuse,
      ownKeys: refuse,
      getPrototypeOf: refuse,
      getOwnPropertyDescriptor: refuse,
    }
    const revoked = Proxy.revocable({}, {})
    revoked.revoke()
    for (const hostile of [
      new Proxy({}, traps),
      revoked.proxy,
      Object.defineProperty({}, "cause", { get: refuse }),
    ]) {
      askAll(hostile)
      askAll({ status: 429, headers: hostile, error: hostile, cause: hostile, errors: [hostile] })
      expect(classifyFailure({ status: 429, headers: hostile, cause: hostile }, quiet)).toBe("rate-limited")
    }
  })

  it("cannot keep anybody busy: of causes without end and endless messages a bounded part is read", () => {
    let read = 0
    const endless = (): object => ({
      get cause() {
        read++
        return endless()
      },
      get errors() {
        return Object.assign([], { length: 4_000_000_000 })
      },
    })
    expect(classifyFailure(endless(), quiet)).toBe("unknown")
    expect(read).toBeLessThan(50)
    const message = "retry after ".repeat(1_000_000)
    expect(classifyFailure({ status: 400, message }, quiet)).toBe("invalid-request")
    const late = `${"x".repeat(4_000)} maximum context length`
    expect(classifyFailure({ status: 400, message: late }, quiet)).toBe("invalid-request")
    expect(retryAfterMs({ message }, 0)).toBeUndefined()
  })
})

describe("cameInsideAnAnswer", () => {
  const headers = new Headers()
  it.each<[string, unknown, boolean]>([
    ["an error with the answer's headers and no status", { headers, error: {} }, true],
    ["the same, wrapped", new Error("x", { cause: { headers, status: undefined } }), true],
    ["a refusal", { headers, status: 429 }, false],
    ["a refusal with its status by another name", { headers, statusCode: 429 }, false],
    ["a connection that was never made", { headers: undefined }, false],
    ["nothing", undefined, false],
  ])("of %s", (_, error, expected) => {
    expect(cameInsideAnAnswer(error)).toBe(expected)
  })
})

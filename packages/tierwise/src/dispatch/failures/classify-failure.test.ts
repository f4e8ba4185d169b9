import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { FailureKind } from "../spec/dispatch.ts"
import { classifyFailure, retryAfterMs } from "./classify-failure.ts"
import { FAILURE_HANDLING, mayBeBilled } from "./failure-handling.ts"

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

  it("survives a chain of causes that bites its own tail", () => {
    const error = new Error("x")
    error.cause = { cause: error }
    expect(classifyFailure(error, quiet)).toBe("unknown")
  })

  it("never throws, and always finds a row of the table", () => {
    fc.assert(
      fc.property(fc.anything(), (error) => {
        expect(FAILURE_HANDLING[classifyFailure(error, quiet)]).toBeDefined()
      }),
    )
  })
})

describe("mayBeBilled", () => {
  const headers = new Headers()
  it.each<[string, FailureKind, unknown, boolean]>([
    ["an overload told inside a 200", "overloaded", { headers, error: { type: "overloaded_error" } }, true],
    ["an error of no known kind inside a 200", "unknown", { headers, status: undefined }, true],
    ["an overload that refused the call", "overloaded", { headers, status: 529 }, false],
    ["a connection that was never made", "network", { headers: undefined, status: undefined }, false],
    ["a time-out, whoever tells of it", "timeout", { headers, status: 504 }, true],
    ["nothing at all", "unknown", undefined, false],
  ])("of %s: %s", (_, kind, error, expected) => {
    expect(mayBeBilled(kind, error)).toBe(expected)
  })
})

describe("retryAfterMs", () => {
  const now = Date.UTC(2026, 0, 1)
  it.each([
    ["LangChain's stamp", { retryAfterMs: 1_500 }, 1_500],
    ["seconds", { headers: new Headers({ "retry-after": "2" }) }, 2_000],
    ["a plain header object", { headers: { "retry-after": "3" } }, 3_000],
    ["a date", { headers: { "retry-after": new Date(now + 4_000).toUTCString() } }, 4_000],
    ["a date that has passed", { headers: { "retry-after": new Date(now - 4_000).toUTCString() } }, 0],
    ["an empty header", { headers: { "retry-after": "" } }, undefined],
    ["a negative stamp", { retryAfterMs: -1 }, undefined],
    ["a negative number of seconds", { headers: { "retry-after": "-2" } }, 0],
    ["nonsense", { headers: { "retry-after": "soon" } }, undefined],
    ["nothing", undefined, undefined],
  ])("reads %s", (_, error, ms) => {
    expect(retryAfterMs(error, now)).toBe(ms)
  })
})

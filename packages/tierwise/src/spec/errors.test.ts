import { getRetryable } from "@langchain/core/errors"
import { describe, expect, it } from "vitest"
import {
  BudgetExceededError,
  CandidatesExhaustedError,
  ConfigError,
  messageOf,
  RouterClosedError,
  TierwiseError,
} from "./errors.ts"
import { nanoUsd } from "./money.ts"

describe("TierwiseError", () => {
  const error = new ConfigError("price", "it is negative", "give 0 or more")

  it("names the path, the problem and the fix", () => {
    expect(error.message).toBe("price: it is negative. Fix: give 0 or more.")
    expect(error).toMatchObject({ code: "invalid-config", path: "price", name: "ConfigError" })
  })

  it("is found behind the errors that wrap it", () => {
    const wrapped = new Error("middleware failed", { cause: new Error("again", { cause: error }) })
    expect(TierwiseError.find(wrapped)).toBe(error)
    expect(TierwiseError.isInstance(wrapped)).toBe(true)
  })

  it("is recognised from another copy of the package", () => {
    const foreign = Object.assign(new Error("from afar"), { [Symbol.for("tierwise.error")]: true })
    expect(TierwiseError.isInstance(foreign)).toBe(true)
  })

  it.each([undefined, null, "text", new Error("plain"), { cause: null }])("is not %o", (value) => {
    expect(TierwiseError.isInstance(value)).toBe(false)
  })

  it("says what was thrown, also where it was no error", () => {
    expect(messageOf(new Error("down"))).toBe("down")
    expect(messageOf("down")).toBe("down")
    expect(messageOf(undefined)).toBe("undefined was thrown")
  })

  it("tells LangChain's retries which call would be refused again", () => {
    expect(getRetryable(error)).toBe(false)
    expect(getRetryable(new CandidatesExhaustedError([], undefined))).toBeUndefined()
  })

  it("survives a chain of causes that bites its own tail", () => {
    const a = new Error("a")
    a.cause = new Error("b", { cause: a })
    expect(TierwiseError.isInstance(a)).toBe(false)
  })
})

describe("RouterClosedError", () => {
  it("tells calls that came too late from those that took too long, and what to do", () => {
    const [late, long] = [new RouterClosedError(), new RouterClosedError(8_000)]
    expect(late.message).toMatch(/it is closed. Fix: make a new one/)
    expect(long.message).toMatch(/did not end within 8000 ms. Fix: give close a longer deadlineMs/)
    expect([late.deadlineMs, long.deadlineMs]).toEqual([undefined, 8_000])
    expect([late, long].map(getRetryable)).toEqual([false, false])
  })
})

describe("BudgetExceededError", () => {
  const refusal = { scope: "tenant:acme", window: "day", limit: 2e9, remaining: 1e9, resetsAt: 0 } as const
  const quote = { money: nanoUsd(3_000_000_000), tokens: 77 }

  it("says whose budget it is, what is left, what the call may take, and when there is more", () => {
    expect(new BudgetExceededError({ ...refusal, unit: "NanoUsd" }, quote).message).toMatch(
      /day budget of tenant:acme .* may take up to 3.*; it resets at 1970-01-01T00:00:00.000Z/,
    )
  })

  it("speaks of tokens where tokens are limited, and of no reset where there is none", () => {
    const total = { ...refusal, window: "total", unit: "tokens", resetsAt: undefined } as const
    expect(new BudgetExceededError(total, quote).message).toMatch(/may take up to 77\b.*; it never resets/)
  })
})

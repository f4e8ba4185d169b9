import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { FailureKind } from "../../spec/dispatch.ts"
import { ConfigError } from "../../spec/errors.ts"
import {
  coolDownMs,
  FAILURE_HANDLING,
  type FailureHandling,
  type FailureOverrides,
  handlingFrom,
  mayBeBilled,
} from "./failure-handling.ts"

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

  it("asks the table it is given", () => {
    const table = handlingFrom({ "content-filtered": { mayBeBilled: false } })
    expect(mayBeBilled("content-filtered", {}, table)).toBe(false)
  })
})

describe("coolDownMs", () => {
  const asks = (seconds: number) => ({ headers: { "retry-after": String(seconds) } })

  it.each<[FailureKind, unknown, number | undefined]>([
    ["rate-limited", {}, 60_000],
    ["rate-limited", asks(7), 7_000],
    ["rate-limited", asks(0), undefined],
    ["quota-exhausted", {}, 600_000],
    ["overloaded", {}, 15_000],
    ["authentication", {}, 600_000],
    ["not-found", {}, 600_000],
    ["server-error", asks(7), undefined],
    ["invalid-request", asks(7), undefined],
    ["aborted", asks(7), undefined],
  ])("of %s with %o is %s", (kind, error, expected) => {
    expect(coolDownMs(kind, error, 0)).toBe(expected)
  })

  it("asks the table it is given", () => {
    expect(coolDownMs("rate-limited", {}, 0, handlingFrom({ "rate-limited": { coolDownMs: 5_000 } }))).toBe(
      5_000,
    )
    expect(
      coolDownMs("rate-limited", asks(7), 0, handlingFrom({ "rate-limited": { coolDownMs: 0 } })),
    ).toBeUndefined()
  })
})

describe("FAILURE_HANDLING", () => {
  it("never blames a candidate for what was not its doing", () => {
    for (const kind of ["aborted", "control-flow", "defect", "invalid-request"] as const) {
      const { retry, fallback, tripsBreaker, coolDownMs } = FAILURE_HANDLING[kind]
      expect({ kind, retry, fallback, tripsBreaker, coolDownMs }).toEqual({
        kind,
        retry: "never",
        fallback: false,
        tripsBreaker: false,
        coolDownMs: undefined,
      })
    }
  })

  it("tries again only where nothing can have been billed: a second try would be under the same hold", () => {
    const retried = Object.values(FAILURE_HANDLING).filter(({ retry }) => retry !== "never")
    expect(retried.filter(({ mayBeBilled }) => mayBeBilled)).toEqual([])
    expect(retried).not.toEqual([])
  })

  it("sends only what is too long to a larger context", () => {
    const larger = Object.entries(FAILURE_HANDLING).filter(([, { onlyLargerContext }]) => onlyLargerContext)
    expect(larger.map(([kind]) => kind)).toEqual(["context-overflow"])
  })
})

describe("handlingFrom", () => {
  it("replaces the fields that are given, and nothing else", () => {
    const table = handlingFrom({
      "rate-limited": { coolDownMs: 5_000, retry: undefined },
      "invalid-request": { fallback: true },
      timeout: undefined,
    })
    expect(table["rate-limited"]).toEqual({ ...FAILURE_HANDLING["rate-limited"], coolDownMs: 5_000 })
    expect(table["invalid-request"].fallback).toBe(true)
    expect(table.timeout).toEqual(FAILURE_HANDLING.timeout)
    expect(FAILURE_HANDLING["rate-limited"].coolDownMs).toBe(60_000)
    expect(handlingFrom(undefined)).toBe(FAILURE_HANDLING)
  })

  it.each<[string, unknown, string]>([
    ["an unknown kind", { "rate-limit": {} }, "failureHandling.rate-limit"],
    ["a kind that only a prototype has", { constructor: {} }, "failureHandling.constructor"],
    ["an unknown field", { timeout: { cooldown: 5 } }, "failureHandling.timeout.cooldown"],
    ["a field that only a prototype has", { timeout: { toString: 5 } }, "failureHandling.timeout.toString"],
    ["another retry", { timeout: { retry: "always" } }, "failureHandling.timeout.retry"],
    ["a word for yes", { timeout: { fallback: "yes" } }, "failureHandling.timeout.fallback"],
    ["a number for yes", { timeout: { tripsBreaker: 1 } }, "failureHandling.timeout.tripsBreaker"],
    ["a negative time", { timeout: { coolDownMs: -1 } }, "failureHandling.timeout.coolDownMs"],
    ["no number", { timeout: { coolDownMs: Number.NaN } }, "failureHandling.timeout.coolDownMs"],
    ["more than a day", { timeout: { coolDownMs: 86_400_001 } }, "failureHandling.timeout.coolDownMs"],
    ["fields that are none", { timeout: 5 }, "failureHandling.timeout"],
    ["a list of fields", { timeout: [] }, "failureHandling.timeout"],
    ["nothing for fields", { timeout: null }, "failureHandling.timeout"],
    ["a list of kinds", [], "failureHandling"],
    ["no object", "strict", "failureHandling"],
  ])("refuses %s", (_, overrides, path) => {
    expect(refusal(overrides)).toMatchObject({ path, code: "invalid-config" })
  })

  it("refuses to pass on, retry, cool down or count what was not the candidate's doing, however it is said", () => {
    const kinds = fc.constantFrom("aborted", "control-flow", "defect")
    const never: fc.Arbitrary<Partial<FailureHandling>> = fc.constantFrom<Partial<FailureHandling>>(
      { fallback: true },
      { tripsBreaker: true },
      { retry: "backoff" },
      { retry: "if-last" },
      { coolDownMs: 1 },
      { onlyLargerContext: true },
    )
    fc.assert(
      fc.property(kinds, never, (kind, fields) => {
        expect(refusal({ [kind]: fields })).toMatchObject({
          path: `failureHandling.${kind}.${Object.keys(fields)[0]}`,
        })
      }),
    )
    expect(
      handlingFrom({ aborted: { mayBeBilled: false, fallback: false, coolDownMs: 0 } }).aborted.mayBeBilled,
    ).toBe(false)
  })
})

function refusal(overrides: unknown): ConfigError | undefined {
  try {
    handlingFrom(overrides as FailureOverrides)
    return undefined
  } catch (error) {
    return error instanceof ConfigError ? error : undefined
  }
}

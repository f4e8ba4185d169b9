import { describe, expect, it } from "vitest"
import { ConfigError, TierwiseError } from "./errors.ts"

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

  it("survives a chain of causes that bites its own tail", () => {
    const a = new Error("a")
    a.cause = new Error("b", { cause: a })
    expect(TierwiseError.isInstance(a)).toBe(false)
  })
})

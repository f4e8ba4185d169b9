import { describe, expect, it } from "vitest"
import { validLedgerName } from "./ledger-name.ts"

describe("validLedgerName", () => {
  it.each(["tierwise", "eu-west_1.prod:2", "x".repeat(64)])("takes %j", (name) => {
    expect(validLedgerName(name)).toBe(name)
  })

  it.each(["", " ", "a b", "a{b}", "a\n", "ä", "x".repeat(65), undefined, 7])("takes no %j", (name) => {
    expect(() => validLedgerName(name as string)).toThrow(/^budget\.ledger: /)
  })
})

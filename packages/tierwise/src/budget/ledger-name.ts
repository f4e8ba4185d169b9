import { ConfigError } from "../spec/errors.ts"

export const DEFAULT_LEDGER = "tierwise"

/** @throws ConfigError unless it is 1 to 64 letters, digits and `. _ : -`: stores make keys and messages of it. */
export function validLedgerName(name: string): string {
  if (typeof name === "string" && /^[\w.:-]{1,64}$/.test(name)) return name
  const fix = "give 1 to 64 letters, digits, dots, colons, dashes or underscores"
  throw new ConfigError("budget.ledger", `${JSON.stringify(name)} is no name of a ledger`, fix)
}

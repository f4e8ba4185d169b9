import type { ReserveRequest } from "../spec/budget.ts"
import { ConfigError, InvalidRequestError } from "../spec/errors.ts"
import type { Amount } from "../spec/money.ts"
import type { Scopes } from "../spec/request.ts"

/** Ids are kept by stores as they are. */
const LONGEST_ID = 512

const AN_ID = `a text of 1 to ${LONGEST_ID} characters, none of them NUL or half a surrogate pair`

/**
 * A copy of the request: whoever asks may change his own while it is under way.
 *
 * @throws ConfigError naming what is no request: an id, an amount. InvalidRequestError naming a scope whose id is none.
 */
export function checkRequest({ id, scopes, amount }: ReserveRequest): ReserveRequest {
  checkId(id)
  checkScopes(scopes)
  return { id, scopes: { ...scopes }, amount: checkAmount(amount) }
}

export function checkId(id: string): void {
  if (!isId(id)) throw new ConfigError("id", "it is not an id of a hold", `give ${AN_ID}`)
}

/** @throws InvalidRequestError naming the scope: its id often is a client's own, so that a server's set-up is not wrong. */
export function checkScopes(scopes: Scopes): void {
  for (const name in scopes) {
    if (isId(scopes[name])) continue
    throw new InvalidRequestError(`scopes.${name}`, "it is not an id", `give ${AN_ID}, or leave it out`)
  }
}

/** Text that every store can write down and read again: two ids never become one. */
function isId(id: unknown): boolean {
  return (
    typeof id === "string" && id !== "" && id.length <= LONGEST_ID && id.isWellFormed() && !id.includes("\0")
  )
}

/** A copy, as of a request. */
export function checkAmount({ money, tokens }: Amount): Amount {
  checkCount(money, "amount.money", "NanoUsd")
  checkCount(tokens, "amount.tokens", "tokens")
  return { money, tokens }
}

function checkCount(count: number, path: string, unit: string): void {
  if (Number.isSafeInteger(count) && count >= 0) return
  const fix = "give a non-negative integer below 2^53"
  throw new ConfigError(path, `${count} is not a number of ${unit}`, fix)
}

export function validTtl(ttlMs: number, path: string): number {
  if (Number.isFinite(ttlMs) && ttlMs > 0) return ttlMs
  throw new ConfigError(path, `${ttlMs} is not a duration`, "give a positive number of milliseconds")
}

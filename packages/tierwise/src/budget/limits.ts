import type { BudgetUnit, BudgetWindow } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { usdToNano } from "../spec/money.ts"
import type { Scopes } from "../spec/request.ts"
import { checkLimit } from "./check-limit.ts"
import { WINDOWS } from "./windows.ts"

/** How much, whose, how often. At least one of `usd` and `tokens`. */
export interface BudgetLimit {
  /**
   * `tenant`, `team`, `project`, `user`, `session`, …: each id under it has this limit of its own. `request`: each call of
   * the router, with all its attempts, or all calls that were given one `scopes.request` by their caller; a hold or booking
   * that names none is a request by itself. What it has spent is forgotten an hour after its last hold was closed, never while money is held. `global`: all calls together.
   * No colon: a status or a refusal names a scope and its id as `tenant:acme`.
   */
  readonly scope: string
  /** If given, the limit is for this id only, and replaces the general one of the same scope, window and unit. */
  readonly id?: string | undefined
  /** Default `total` for the scope `request`; others must name one. */
  readonly window?: BudgetWindow | undefined
  /** US dollars, > 0. */
  readonly usd?: number | undefined
  /** Input plus output tokens, a positive integer. */
  readonly tokens?: number | undefined
  /**
   * Shares of the limit, rising, in (0, 1], at which the budget warns, each once per window. Default 0.8 and 0.95 (row E4);
   * for the scope `request` 0.8 (row A1). Empty: never.
   */
  readonly warnAt?: readonly number[] | undefined
}

/** One limit in one unit. */
export interface Rule {
  readonly scope: string
  readonly id: string | undefined
  readonly window: BudgetWindow
  readonly unit: BudgetUnit
  readonly limit: number
  readonly warnAt: readonly number[]
  /** Ids that have a rule of their own in place of this one. */
  readonly except: ReadonlySet<string>
}

/** A call that names no id for a limited scope counts as this one: leaving the tenant out is no way around its limit. */
export const UNNAMED = "default"

/** Names the scope of one call with all its attempts. */
export const REQUEST_SCOPE = "request"

const GLOBAL_SCOPE = "global"

const WARN_AT: readonly number[] = [0.8, 0.95]
const WARN_REQUEST_AT: readonly number[] = [0.8]

/** @throws ConfigError naming the limit that is empty, given twice, or no limit at all. */
export function rulesOf(limits: readonly BudgetLimit[]): readonly Rule[] {
  if (!Array.isArray(limits) || limits.length === 0) {
    throw new ConfigError("budget.limits", "nothing is limited", "give at least one limit")
  }
  const rules = limits.flatMap((limit, index) => rulesFrom(limit, `budget.limits[${index}]`))
  const names = rules.map(({ scope, id, window, unit }) => JSON.stringify([scope, id, window, unit]))
  const seen = new Set<string>()
  const twice = rules.find((_, index) => seen.size === seen.add(names[index] as string).size)
  if (twice !== undefined) {
    const what = `${twice.scope}:${twice.id ?? "*"} ${twice.window} ${twice.unit}`
    throw new ConfigError("budget.limits", `${what} is limited twice`, "keep one of the two limits")
  }
  return rules.map((rule) => (rule.id === undefined ? { ...rule, except: exceptionsOf(rule, rules) } : rule))
}

/** The id a call counts for under a rule; undefined: the rule is not for it. */
export function idUnder(rule: Rule, scopes: Scopes): string | undefined {
  const id = idOf(rule.scope, scopes)
  if (id === undefined) return undefined
  if (rule.id !== undefined) return rule.id === id ? id : undefined
  return rule.except.has(id) ? undefined : id
}

/** The id a call has in a limited scope; undefined: it is not said of which call it is. */
export function idOf(scope: string, scopes: Scopes): string | undefined {
  if (scope === GLOBAL_SCOPE) return "all"
  const unnamed = scope === REQUEST_SCOPE ? undefined : UNNAMED
  return (Object.hasOwn(scopes, scope) ? scopes[scope] : undefined) ?? unnamed
}

/** What names no request is one by itself. */
export function asRequest(id: string, scopes: Scopes): Scopes {
  return { [REQUEST_SCOPE]: id, ...scopes }
}

function rulesFrom(limit: BudgetLimit, path: string): Rule[] {
  const { scope, id, window: given, usd, tokens } = limit
  if (typeof scope !== "string" || scope === "") {
    const fix = 'name it, e.g. "tenant", or "global" for all calls'
    throw new ConfigError(`${path}.scope`, "the scope has no name", fix)
  }
  if (scope.includes(":")) {
    const problem = `"${scope}" has a colon, which stands between a scope and its id`
    throw new ConfigError(`${path}.scope`, problem, "name it without one")
  }
  if (scope === GLOBAL_SCOPE && id !== undefined) {
    const fix = "leave it out, or name another scope"
    throw new ConfigError(`${path}.id`, "all calls together have no id", fix)
  }
  if (id !== undefined && (typeof id !== "string" || id === "")) {
    throw new ConfigError(`${path}.id`, "it is not an id", "name one, or leave it out to limit each id")
  }
  const window = given ?? (scope === REQUEST_SCOPE ? "total" : undefined)
  if (window === undefined || !WINDOWS.includes(window)) {
    const problem = window === undefined ? "it is missing" : `"${window}" is not a window`
    throw new ConfigError(`${path}.window`, problem, `use one of ${WINDOWS.join(", ")}`)
  }
  if (scope === REQUEST_SCOPE && window !== "total") {
    throw new ConfigError(`${path}.window`, "a single call has no calendar", "leave it out")
  }
  checkLimit({ usd, tokens }, path)
  const warnAt = validShares(
    limit.warnAt ?? (scope === REQUEST_SCOPE ? WARN_REQUEST_AT : WARN_AT),
    `${path}.warnAt`,
  )
  const rule = { scope, id, window, warnAt, except: new Set<string>() }
  return [
    ...(usd === undefined ? [] : [{ ...rule, unit: "NanoUsd" as const, limit: usdToNano(usd) }]),
    ...(tokens === undefined ? [] : [{ ...rule, unit: "tokens" as const, limit: tokens }]),
  ]
}

function validShares(shares: readonly number[], path: string): readonly number[] {
  shares.forEach((share, index) => {
    if (typeof share === "number" && share > (shares[index - 1] ?? 0) && share <= 1) return
    const fix = "give rising shares of the limit above 0, at most 1, e.g. [0.8, 0.95]"
    throw new ConfigError(`${path}[${index}]`, `${share} is not a rising share`, fix)
  })
  return shares
}

function exceptionsOf(general: Rule, rules: readonly Rule[]): ReadonlySet<string> {
  const instead = rules.filter(
    ({ scope, id, window, unit }) =>
      id !== undefined && scope === general.scope && window === general.window && unit === general.unit,
  )
  return new Set(instead.map(({ id }) => id as string))
}

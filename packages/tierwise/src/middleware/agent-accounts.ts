import { LRUCache } from "lru-cache"
import { checkLimit, type Spendable } from "../budget/check-limit.ts"
import type { BudgetStatus, BudgetStore, Refusal, Reservation, ReserveOutcome } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { type Amount, nanoUsd, usdToNano } from "../spec/money.ts"
import type { Scopes } from "../spec/request.ts"

/** What may be spent. At least one of the two. */
export type AgentLimit = Spendable

/** At least one of the two. */
export interface AgentLimits {
  /** For one run of an agent: one `invoke` or `stream`, with its resumptions. */
  readonly perRun?: AgentLimit | undefined
  /** For all runs of one `thread_id` together. */
  readonly perThread?: AgentLimit | undefined
}

/** The scopes under which an agent's calls are held. */
export interface AgentScopes extends Scopes {
  readonly run: string
  readonly thread: string
}

/** What a run or a thread has used, and by how much its limit was raised. Plain JSON: it is kept in the agent's state. */
export interface Balance {
  /** NanoUsd. */
  readonly money: number
  readonly tokens: number
  readonly raises: Readonly<Record<string, { readonly money: number; readonly tokens: number }>>
}

/** What became of the holds of one model call. */
export interface Watch {
  /** Records of the calls that were answered under a hold of ours. */
  readonly answered: Set<string>
  /** The cheapest hold that was refused. */
  refused: { readonly refusal: Refusal; readonly quote: Amount } | undefined
}

/** The money and tokens of an agent's runs and threads, in this process's memory. */
export interface AgentAccounts {
  /** Holds under the scopes `run` and `thread`; other scopes have no limit here. Holds do not expire. */
  readonly store: BudgetStore
  /** Watches the holds of a run's next call. */
  watch(run: string): Watch
  /** A call of the run was answered, and its hold settled. */
  answered(run: string, recordId: string): void
  balanceOf(scope: AgentScope, id: string): Balance
  /** Takes over what a checkpoint knows, where this process knows less. */
  restore(scope: AgentScope, id: string, balance: Balance | undefined): void
  /** Raises a limit. The same `key` again changes nothing: a node that is run again repeats its raises. */
  raise(scope: AgentScope, id: string, key: string, by: Amount): void
  /** Books what was spent past every hold. */
  book(scopes: AgentScopes, amount: Amount): void
  /** Forgets a run that is over. */
  forget(run: string): void
}

export type AgentScope = "run" | "thread"

type Unit = "NanoUsd" | "tokens"

interface Account {
  readonly scope: AgentScope
  readonly id: string
  readonly spent: Record<Unit, number>
  readonly held: Record<Unit, number>
  readonly raises: Map<string, Amount>
}

interface Hold {
  readonly reservation: Reservation
  readonly accounts: readonly Account[]
}

type Limits = Readonly<Partial<Record<Unit, number>>>

/** Runs and threads that are remembered; of those forgotten, the agent's own checkpoint knows what they have spent. */
const MOST_ACCOUNTS = 10_000

/** Every method works in one turn of the event loop, so that nothing comes between a check and its hold. */
export function agentAccounts(limits: AgentLimits): AgentAccounts {
  const limitsOf = checkedLimits(limits)
  const accounts = new LRUCache<string, Account>({ max: MOST_ACCOUNTS })
  const holds = new Map<string, Hold>()
  const watches = new LRUCache<string, Watch>({ max: MOST_ACCOUNTS })

  function accountOf(scope: AgentScope, id: string): Account {
    const key = `${scope}:${id}`
    const known = accounts.get(key)
    if (known !== undefined) return known
    const account = { scope, id, spent: none(), held: none(), raises: new Map<string, Amount>() }
    accounts.set(key, account)
    return account
  }

  const accountsFor = (scopes: Scopes): Account[] =>
    SCOPES.flatMap((scope) => {
      const id = scopes[scope]
      return id === undefined || limitsOf[scope] === undefined ? [] : [accountOf(scope, id)]
    })

  const limitOf = ({ scope, raises }: Account, unit: Unit): number | undefined => {
    const limit = limitsOf[scope]?.[unit]
    if (limit === undefined) return undefined
    return [...raises.values()].reduce((sum, amount) => sum + share(amount, unit), limit)
  }

  function statusOf(account: Account, unit: Unit): BudgetStatus | undefined {
    const limit = limitOf(account, unit)
    if (limit === undefined) return undefined
    const { spent, held } = { spent: account.spent[unit], held: account.held[unit] }
    const remaining = Math.max(0, limit - spent - held)
    const scope = `${account.scope}:${account.id}`
    return {
      scope,
      window: "total",
      unit,
      limit,
      spent,
      held,
      unconfirmed: 0,
      remaining,
      resetsAt: undefined,
    }
  }

  const statusesOf = (account: Account): BudgetStatus[] =>
    UNITS.map((unit) => statusOf(account, unit)).filter((status) => status !== undefined)

  function close(id: string, actual: Amount | undefined): void {
    const hold = holds.get(id)
    if (hold === undefined) return
    holds.delete(id)
    for (const account of hold.accounts) {
      for (const unit of UNITS) {
        account.held[unit] -= share(hold.reservation.amount, unit)
        if (actual !== undefined) account.spent[unit] += share(actual, unit)
      }
    }
  }

  const store: BudgetStore = {
    async reserve({ id, scopes, amount }): Promise<ReserveOutcome> {
      const known = holds.get(id)
      if (known !== undefined) return { granted: true, reservation: known.reservation }
      const affected = accountsFor(scopes)
      const watch = scopes["run"] === undefined ? undefined : watches.get(scopes["run"])
      const short = affected
        .flatMap(statusesOf)
        .find(({ remaining, unit }) => remaining < share(amount, unit))
      if (short !== undefined) {
        const { scope, window, unit, limit, remaining, resetsAt } = short
        const refusal = { scope, window, unit, limit, remaining, resetsAt }
        const cheapest = watch?.refused?.quote.money ?? Number.POSITIVE_INFINITY
        if (watch !== undefined && amount.money < cheapest) watch.refused = { refusal, quote: amount }
        return { granted: false, refusal }
      }
      for (const account of affected) {
        for (const unit of UNITS) account.held[unit] += share(amount, unit)
      }
      const reservation = { id, amount, expiresAt: Number.MAX_SAFE_INTEGER }
      holds.set(id, { reservation, accounts: affected })
      return { granted: true, reservation }
    },
    settle: async (id, actual) => close(id, actual),
    release: async (id) => close(id, undefined),
    extend: async (id) => holds.has(id),
    status: async (scopes) => accountsFor(scopes).flatMap(statusesOf),
  }

  return {
    store,
    watch(run) {
      const watch: Watch = { answered: new Set(), refused: undefined }
      watches.set(run, watch)
      return watch
    },
    answered(run, recordId) {
      watches.get(run)?.answered.add(recordId)
    },
    balanceOf(scope, id) {
      const { spent, raises } = accountOf(scope, id)
      return { money: spent.NanoUsd, tokens: spent.tokens, raises: Object.fromEntries(raises) }
    },
    restore(scope, id, balance) {
      if (balance === undefined) return
      const { spent, raises } = accountOf(scope, id)
      spent.NanoUsd = Math.max(spent.NanoUsd, balance.money)
      spent.tokens = Math.max(spent.tokens, balance.tokens)
      for (const [key, { money, tokens }] of Object.entries(balance.raises)) {
        raises.set(key, { money: nanoUsd(money), tokens })
      }
    },
    raise(scope, id, key, by) {
      accountOf(scope, id).raises.set(key, by)
    },
    book(scopes, amount) {
      for (const { spent } of accountsFor(scopes)) {
        for (const unit of UNITS) spent[unit] += share(amount, unit)
      }
    },
    forget(run) {
      accounts.delete(`run:${run}`)
      watches.delete(run)
    },
  }
}

const SCOPES: readonly AgentScope[] = ["run", "thread"]
const UNITS: readonly Unit[] = ["NanoUsd", "tokens"]

function none(): Record<Unit, number> {
  return { NanoUsd: 0, tokens: 0 }
}

function share(amount: Amount, unit: Unit): number {
  return unit === "tokens" ? amount.tokens : amount.money
}

function checkedLimits(limits: AgentLimits): Readonly<Partial<Record<AgentScope, Limits>>> {
  const { perRun, perThread } = limits
  if (perRun === undefined && perThread === undefined) {
    throw new ConfigError("perRun", "nothing is limited", "give perRun, perThread, or both")
  }
  return {
    ...(perRun && { run: checkedLimit(perRun, "perRun") }),
    ...(perThread && { thread: checkedLimit(perThread, "perThread") }),
  }
}

function checkedLimit({ usd, tokens }: AgentLimit, path: string): Limits {
  checkLimit({ usd, tokens }, path)
  return { ...(usd !== undefined && { NanoUsd: usdToNano(usd) }), ...(tokens !== undefined && { tokens }) }
}

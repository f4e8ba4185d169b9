import { LRUCache } from "lru-cache"
import { checkLimit, type Spendable } from "../budget/check-limit.ts"
import { checkAmount, checkId, checkRequest, checkScopes, validTtl } from "../budget/check-request.ts"
import { beyond, beyondCounting, NOTHING, printOf, share, takenId } from "../budget/ledger-engine.ts"
import type {
  BudgetStatus,
  BudgetStore,
  BudgetUnit,
  Closing,
  Refusal,
  Reservation,
  ReserveOutcome,
  ReserveRequest,
} from "../spec/budget.ts"
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
  /** Forgets a run that is over. */
  forget(run: string): void
}

export type AgentScope = "run" | "thread"

interface Account {
  readonly scope: AgentScope
  readonly id: string
  readonly spent: Record<BudgetUnit, number>
  /** Part of `spent`, as far as this process knows. */
  readonly overrun: Record<BudgetUnit, number>
  readonly held: Record<BudgetUnit, number>
  readonly raises: Map<string, Amount>
}

interface Hold {
  readonly request: ReserveRequest
  readonly reservation: Reservation
  readonly accounts: readonly Account[]
}

type Limits = Readonly<Partial<Record<BudgetUnit, number>>>

/** Runs and threads that are remembered; of those forgotten, the agent's own checkpoint knows what they have spent. */
const MOST_ACCOUNTS = 10_000

/** Closed holds and bookings that are remembered, so that none counts twice. */
const MOST_CLOSED_IDS = 10_000

const NAME = "agent"

/** Every method works in one turn of the event loop, so that nothing comes between a check and its hold. */
export function agentAccounts(limits: AgentLimits): AgentAccounts {
  const limitsOf = checkedLimits(limits)
  const accounts = new LRUCache<string, Account>({ max: MOST_ACCOUNTS })
  const holds = new Map<string, Hold>()
  const closed = new LRUCache<string, true>({ max: MOST_CLOSED_IDS })
  const watches = new LRUCache<string, Watch>({ max: MOST_ACCOUNTS })

  function accountOf(scope: AgentScope, id: string): Account {
    const key = `${scope}:${id}`
    const known = accounts.get(key)
    if (known !== undefined) return known
    const raises = new Map<string, Amount>()
    const account = { scope, id, spent: none(), overrun: none(), held: none(), raises }
    accounts.set(key, account)
    return account
  }

  const accountsFor = (scopes: Scopes): Account[] =>
    SCOPES.flatMap((scope) => {
      const id = scopes[scope]
      return id === undefined || limitsOf[scope] === undefined ? [] : [accountOf(scope, id)]
    })

  const limitOf = ({ scope, raises }: Account, unit: BudgetUnit): number | undefined => {
    const limit = limitsOf[scope]?.[unit]
    if (limit === undefined) return undefined
    return [...raises.values()].reduce((sum, amount) => sum + share(amount, { unit }), limit)
  }

  function statusOf(account: Account, unit: BudgetUnit): BudgetStatus | undefined {
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
      overrun: account.overrun[unit],
      remaining,
      startedAt: undefined,
      resetsAt: undefined,
    }
  }

  const statusesOf = (account: Account): BudgetStatus[] =>
    UNITS.map((unit) => statusOf(account, unit)).filter((status) => status !== undefined)

  /** Books it in all accounts or in none. */
  function spend(accounts: readonly Account[], actual: Amount, held: Amount): void {
    for (const account of accounts) {
      for (const unit of UNITS) {
        const added = share(actual, { unit }) - share(held, { unit })
        if (!Number.isSafeInteger(account.spent[unit] + account.held[unit] + added)) {
          throw beyondCounting(NAME, unit)
        }
      }
    }
    for (const account of accounts) {
      for (const unit of UNITS) {
        account.held[unit] -= share(held, { unit })
        account.spent[unit] += share(actual, { unit })
        account.overrun[unit] += share(beyond(actual, held), { unit })
      }
    }
  }

  async function close(id: string, actual: Amount): Promise<Closing | undefined> {
    checkId(id)
    checkAmount(actual)
    const hold = holds.get(id)
    if (hold !== undefined) spend(hold.accounts, actual, hold.request.amount)
    closed.set(id, true)
    if (hold === undefined) return undefined
    holds.delete(id)
    return { late: false, overrun: beyond(actual, hold.request.amount) }
  }

  const store: BudgetStore = {
    name: NAME,
    async reserve(request): Promise<ReserveOutcome> {
      checkRequest(request)
      const { id, scopes, amount } = request
      const known = holds.get(id)
      if (closed.has(id) || (known !== undefined && printOf(known.request) !== printOf(request))) {
        throw takenId(id)
      }
      if (known !== undefined) return { granted: true, reservation: known.reservation }
      const affected = accountsFor(scopes)
      const watch = scopes["run"] === undefined ? undefined : watches.get(scopes["run"])
      const short = affected.flatMap(statusesOf).find((status) => isShort(status, amount))
      if (short !== undefined) {
        const { scope, window, unit, limit, remaining, resetsAt } = short
        const refusal = { scope, window, unit, limit, remaining, resetsAt }
        const cheapest = watch?.refused?.quote.money ?? Number.POSITIVE_INFINITY
        if (watch !== undefined && amount.money < cheapest) watch.refused = { refusal, quote: amount }
        return { granted: false, refusal }
      }
      for (const account of affected) {
        for (const unit of UNITS) account.held[unit] += share(amount, { unit })
      }
      const reservation = { id, amount, expiresAt: NEVER, ttlMs: NEVER }
      holds.set(id, { request, reservation, accounts: affected })
      return { granted: true, reservation }
    },
    settle: close,
    release: (id) => close(id, NOTHING),
    async extend(id, ttlMs) {
      checkId(id)
      validTtl(ttlMs, "ttlMs")
      return holds.has(id)
    },
    async book(request) {
      checkRequest(request)
      const { id, scopes, amount } = request
      if (holds.has(id) || closed.has(id)) return
      spend(accountsFor(scopes), amount, NOTHING)
      closed.set(id, true)
    },
    async status(scopes) {
      checkScopes(scopes)
      return accountsFor(scopes).flatMap(statusesOf)
    },
    close: async () => {},
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
    forget(run) {
      accounts.delete(`run:${run}`)
      watches.delete(run)
    },
  }
}

const NEVER = Number.MAX_SAFE_INTEGER

const SCOPES: readonly AgentScope[] = ["run", "thread"]
const UNITS: readonly BudgetUnit[] = ["NanoUsd", "tokens"]

function none(): Record<BudgetUnit, number> {
  return { NanoUsd: 0, tokens: 0 }
}

/** What costs nothing in its unit fits, however much is spent. */
function isShort(status: BudgetStatus, amount: Amount): boolean {
  const wanted = share(amount, status)
  return wanted > 0 && status.spent + status.held + wanted > status.limit
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

import { ledger as ledgerOver, type SharedBudgetOptions } from "../budget/ledger.ts"
import { DEFAULT_LEDGER, validLedgerName } from "../budget/ledger-name.ts"
import type { BudgetStore } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { inTime } from "./in-time.ts"
import { LEDGER_SCRIPT } from "./ledger-script.ts"
import { type RedisClient, scriptOn } from "./redis-client.ts"
import { redisEngine } from "./redis-engine.ts"

export interface RedisBudgetOptions extends SharedBudgetOptions {
  /**
   * Of `@redis/client` (or `redis`) 5 or 6: a client, a pool or a cluster, connected by you; or of `ioredis` 5: a client or
   * a cluster. It stays yours: `close()` leaves it open. Give it an `error` listener, or a lost connection ends the process.
   */
  readonly client: RedisClient
  /**
   * How long one step may take, ms; then it fails with `BudgetUnavailableError`, also while the client queues what it cannot
   * send. What it may still hold then is given back as soon as Redis answers. Default 2,000.
   */
  readonly timeoutMs?: number | undefined
}

const DEFAULT_TIMEOUT_MS = 2_000

/**
 * A budget in Redis, which processes on many machines share: at every grant, spent + held ≤ limit in every scope, over all
 * of them. Each step is one call of one Lua script, by Redis's clock; it needs Redis 7 or newer.
 *
 * All of a ledger lies in three keys of one hash slot, `{tierwise:<ledger>}…`, so it works on a cluster and behind the
 * client's own key prefix. They never expire by themselves, so no `volatile-*` policy evicts them; a Redis that evicts any
 * key (`allkeys-*`) is refused. What is over is deleted bit by bit as the budget is used.
 *
 * The money is as durable as this Redis. With `appendfsync everysec` a Redis that is killed, or its machine, forgets at
 * worst the last two seconds: holds and bookings of that time. Calls then under way are not counted, because what
 * settles a hold that nobody knows books nothing, and the limits can be overspent by as much. A failover forgets what
 * was not yet replicated. With `appendfsync always` nothing that was told is lost, at the price of a disk write per
 * step. A Redis that comes back empty is told of once, by a `BudgetUnavailableError`; then the ledger begins anew at
 * zero.
 *
 * @example
 * import { createClient } from "@redis/client"
 * const client = createClient({ url: "redis://localhost:6379" })
 * client.on("error", console.error)
 * await client.connect()
 * const budget = redisBudget({ client, limits: [{ scope: "tenant", window: "day", usd: 5 }] })
 *
 * @throws ConfigError for what is no client, a name no ledger can have, a limit that is negative, fractional in tokens,
 * empty, or given twice, an unknown zone; and, from the first step, if the ledger is kept with other limits.
 */
export function redisBudget(options: RedisBudgetOptions): BudgetStore {
  const timeoutMs = validTimeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  const name = validLedgerName(options.ledger ?? DEFAULT_LEDGER)
  const run = scriptOn(options.client, LEDGER_SCRIPT)
  const ask = inTime(timeoutMs)
  const engine = redisEngine(name, (keys, args) => ask(() => run(keys, args)), options.now)
  return ledgerOver(engine, options)
}

/** The longest that a timer of JavaScript can wait, ms. */
const LONGEST_TIMEOUT_MS = 2_147_483_647

function validTimeout(timeoutMs: number): number {
  if (timeoutMs > 0 && timeoutMs <= LONGEST_TIMEOUT_MS) return timeoutMs
  const fix = "give a positive number of milliseconds"
  throw new ConfigError("budget.timeoutMs", `${timeoutMs} is not a duration`, fix)
}

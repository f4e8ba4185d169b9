import { DatabaseSync } from "node:sqlite"
import KeyvRedis from "@keyv/redis"
import type { Redis } from "ioredis"
import Keyv from "keyv"
import { RateLimiterMemory, RateLimiterPostgres, RateLimiterRedis } from "rate-limiter-flexible"
import { quantile } from "simple-statistics"
import { type Amount, type BudgetStore, nanoUsd } from "tierwise"

/** How fast something was: pairs of reserve and settle, or single steps. */
export interface Speed {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const SCOPES = { tenant: "acme" }
const HOLD: Amount = { money: nanoUsd(1_000), tokens: 100 }
const COST: Amount = { money: nanoUsd(400), tokens: 60 }

/** `steps` steps with `inFlight` of them at once. */
export async function speedOf(steps: number, inFlight: number, step: () => Promise<unknown>): Promise<Speed> {
  const took: number[] = []
  let left = steps
  const from = performance.now()
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (left-- > 0) {
        const began = performance.now()
        await step()
        took.push(performance.now() - began)
      }
    }),
  )
  const ms = performance.now() - from
  const [p50Ms, p99Ms] = [quantile(took, 0.5), quantile(took, 0.99)]
  return { perSecond: Math.round((steps / ms) * 1_000), p50Ms: rounded(p50Ms), p99Ms: rounded(p99Ms) }
}

/** One hold and its settlement. */
export function pairOn(budget: BudgetStore, name = "pair"): () => Promise<void> {
  let next = 0
  return async () => {
    const id = `${name}-${next++}`
    await budget.reserve({ id, scopes: SCOPES, amount: HOLD })
    await budget.settle(id, COST)
  }
}

/** Makes the file once: the journal's mode is kept in it, and cannot be changed while others write. */
export function makeBareDatabase(path: string): void {
  const database = new DatabaseSync(path)
  database.exec("pragma journal_mode = wal")
  database.exec("create table bare (id integer primary key, n integer not null) strict")
  database.exec("insert into bare values (1, 0)")
  database.close()
}

/** What a transaction costs by itself: one row, one number. */
export function bareTransactions(path: string): { readonly step: () => Promise<void>; close(): void } {
  const database = new DatabaseSync(path, { timeout: 60_000 })
  database.exec("pragma synchronous = normal")
  const [begin, add, commit] = ["begin immediate", "update bare set n = n + 1 where id = 1", "commit"].map(
    (sql) => database.prepare(sql),
  )
  return {
    step: async () => {
      begin?.run()
      add?.run()
      commit?.run()
    },
    close: () => database.close(),
  }
}

/** A script of the given size that does nothing, called as ours is: with as many keys and arguments. */
export async function bareScript(
  client: Redis,
  {
    bytes,
    keys,
    args,
  }: { readonly bytes: number; readonly keys: readonly string[]; readonly args: readonly string[] },
): Promise<() => Promise<unknown>> {
  const head = "return {1, 1}\n--"
  const sha = (await client.script("LOAD", head + "x".repeat(Math.max(0, bytes - head.length)))) as string
  return () => client.evalsha(sha, keys.length, ...keys, ...args)
}

/** Reads, thinks, writes: what is not atomic. */
export function naive(redisUrl: string | undefined): {
  readonly step: () => Promise<void>
  close(): Promise<void>
} {
  const keyv = redisUrl === undefined ? new Keyv() : new Keyv(new KeyvRedis(redisUrl))
  keyv.on("error", () => {})
  const step = async () => {
    const used = (await keyv.get<number>("used")) ?? 0
    await keyv.set("used", used + HOLD.money)
    const held = (await keyv.get<number>("used")) ?? 0
    await keyv.set("used", held - HOLD.money + COST.money)
  }
  return { step, close: () => keyv.disconnect() }
}

const MANY_POINTS = 2 ** 31 - 1

/** Consumes and rewards: two steps, as a hold and its settlement are. */
export function limiterStep(limiter: {
  consume(key: string, points: number): Promise<unknown>
  reward(key: string, points: number): Promise<unknown>
}): () => Promise<void> {
  return async () => {
    await limiter.consume("acme", 10)
    await limiter.reward("acme", 6)
  }
}

export function memoryLimiter(): RateLimiterMemory {
  return new RateLimiterMemory({ points: MANY_POINTS, duration: 0 })
}

export function redisLimiter(storeClient: Redis): RateLimiterRedis {
  return new RateLimiterRedis({ storeClient, keyPrefix: "bench-limiter", points: MANY_POINTS, duration: 0 })
}

export function postgresLimiter(storeClient: object): Promise<RateLimiterPostgres> {
  return new Promise((resolve, reject) => {
    const limiter = new RateLimiterPostgres(
      { storeClient, tableName: "bench_limiter", points: MANY_POINTS, duration: 0 },
      (error?: Error) => (error ? reject(error) : setTimeout(() => resolve(limiter), 0)),
    )
  })
}

function rounded(value: number): number {
  return Number(value.toPrecision(4))
}

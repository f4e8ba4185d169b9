import { type ChildProcess, fork, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createClient, createClientPool, createCluster } from "@redis/client"
import fc from "fast-check"
import { Cluster, Redis } from "ioredis"
import { type Amount, type BudgetLimit, type BudgetStore, type BudgetWarning, nanoUsd } from "tierwise"
import { type RedisBudgetOptions, type RedisClient, redisBudget } from "tierwise/redis"
import { budgetStoreContract } from "tierwise/testing"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { describeWithService, startOwnServices } from "../services.ts"
import { COMMAND, doesAsMemoryDoes } from "./ledger-model.ts"
import type { Order } from "./ledger-redis-process.ts"
import type { Spent } from "./ledger-spender.ts"

const TENANTS: readonly BudgetLimit[] = [{ scope: "tenant", window: "day", usd: 1e-6 }]
const ACME = { tenant: "acme" }
const DAY_MS = 86_400_000
const NOON = Date.UTC(2026, 0, 15, 12)
/** What TENANTS counts for ACME at NOON. */
const COUNTER = `count:["tenant","acme","day","NanoUsd",${Date.UTC(2026, 0, 15)}]`

describeWithService("redis", (url) => {
  const redis = new Redis(url)
  const ledgers = new Set<string>()

  const open = (options: Partial<RedisBudgetOptions> = {}) => {
    const { ledger = randomUUID() } = options
    ledgers.add(ledger)
    return redisBudget({ client: redis, limits: TENANTS, ...options, ledger })
  }

  afterAll(async () => {
    for (const ledger of ledgers) await redis.unlink(keysOf(ledger))
    redis.disconnect()
  })

  describe("keeps the contract of every store, through ioredis", () => {
    it.for(budgetStoreContract((options) => open(options)))("$name", async ({ run }) => {
      await expect(run()).resolves.toBeUndefined()
    })
  })

  describe("keeps the contract of every store, through @redis/client", () => {
    const client = createClient({ url }).on("error", () => {})
    beforeAll(() => client.connect())
    afterAll(() => client.close())
    it.for(budgetStoreContract((options) => open({ ...options, client })))("$name", async ({ run }) => {
      await expect(run()).resolves.toBeUndefined()
    })
  })

  it("runs on a pool of @redis/client, and behind a key prefix of ioredis", async () => {
    const pool = createClientPool({ url }).on("error", () => {})
    await pool.connect()
    const prefixed = new Redis(url, { keyPrefix: `${randomUUID()}:` })
    for (const client of [pool, prefixed]) {
      const store = open({ client })
      expect(await store.reserve(hold("a", 600))).toMatchObject({ granted: true })
      expect(await store.reserve(hold("b", 600))).toMatchObject({ granted: false })
      expect(await store.settle("a", amount(5))).toEqual({ late: false, overrun: amount(0) })
    }
    await prefixed.unlink(...(await redis.keys(`${prefixed.options.keyPrefix}*`)).map((key) => key.slice(37)))
    prefixed.disconnect()
    await pool.close()
  })

  it("does what a budget in memory does, whatever comes in which order", async () => {
    await expect(doesAsMemoryDoes(open)).resolves.toBeUndefined()
  })

  it("does so too where more wait than there are places, and holds go in and out of the sorted sets", async () => {
    const command = {
      ...COMMAND,
      id: fc.integer({ min: 1, max: 200 }).map(String),
      money: fc.nat(2),
      tokens: fc.nat(2),
      afterMs: fc.constantFrom(0, 1, 2),
    }
    const length = { minLength: 500, maxLength: 500 }
    const model = { command, length, holdTtlMs: 150, numRuns: 4 }
    await expect(doesAsMemoryDoes(open, model)).resolves.toBeUndefined()
  })

  describe("two processes", () => {
    it("never hold and spend more than the limit together [E9.redis]", async () => {
      const ledger = randomUUID()
      const watch = watchCounters(open({ ledger }))
      const reports = await Promise.all(
        ["a", "b"].map((name) => runProcess({ url, ledger, limits: TENANTS, name, calls: 200 })),
      )
      const seen = await watch.stop()
      const total = (of: keyof Spent) => reports.reduce((sum, report) => sum + report[of], 0)
      expect(Math.min(...reports.map(({ granted }) => granted))).toBeGreaterThan(0)
      expect(total("granted")).toBeLessThan(400)
      expect(Math.max(...seen)).toBeLessThanOrEqual(1_000)
      const [status] = await open({ ledger }).status(ACME)
      expect(status).toMatchObject({ spent: total("spent"), held: total("held") })
    })

    it("are kept to one set of limits: the later one is refused, and told what differs", async () => {
      const ledger = randomUUID()
      await open({ ledger }).status(ACME)
      await expect(open({ ledger, limits: DOUBLE }).reserve(hold("a", 1))).rejects.toMatchObject({
        code: "invalid-config",
        path: "budget.limits",
        problem: expect.stringMatching(/"limit":1000\D.*"limit":2000\D/),
      })
    })

    it("go on with new limits that replace the old, which are refused from then on", async () => {
      const ledger = randomUUID()
      const before = open({ ledger })
      await before.reserve(hold("a", 900))
      const after = open({ ledger, limits: DOUBLE, otherLimits: "replace" })
      expect(await after.reserve(hold("b", 1_000))).toMatchObject({ granted: true })
      await expect(before.reserve(hold("c", 1))).rejects.toMatchObject({ path: "budget.limits" })
      // What was granted is closed all the same.
      await before.settle("a", amount(800))
      expect(await after.status(ACME)).toMatchObject([{ spent: 800, held: 1_000, limit: 2_000 }])
    })
  })

  it("keeps ledgers of other names apart", async () => {
    for (const store of [open(), open()]) {
      expect(await store.reserve(hold("a", 1_000))).toMatchObject({ granted: true })
    }
  })

  it("answers a thousand at once, and grants what fits", async () => {
    const store = open({ timeoutMs: 20_000 })
    const outcomes = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => store.reserve(hold(`${index}`, 9))),
    )
    expect(outcomes.filter(({ granted }) => granted)).toHaveLength(111)
    await Promise.all(outcomes.map((_, index) => store.settle(`${index}`, amount(4))))
    expect(await store.status(ACME)).toMatchObject([{ spent: 444, held: 0 }])
  })

  it("goes by Redis's clock, also about what day it is", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 3 * DAY_MS })
    try {
      const store = open({ holdTtlMs: 60_000 })
      const [seconds] = await redis.time()
      const outcome = await store.reserve(hold("a", 1))
      const madeAt = outcome.granted ? outcome.reservation.expiresAt - 60_000 : 0
      expect(madeAt - Number(seconds) * 1_000).toBeGreaterThanOrEqual(0)
      expect(madeAt - Number(seconds) * 1_000).toBeLessThan(10_000)
      const [status] = await store.status(ACME)
      expect(status).toMatchObject({ held: 1, startedAt: Math.floor(madeAt / DAY_MS) * DAY_MS })
    } finally {
      vi.useRealTimers()
    }
  })

  it("counts to 2^53 without losing one, and not beyond", async () => {
    const most = Number.MAX_SAFE_INTEGER
    const store = open({ limits: [{ scope: "tenant", window: "total", tokens: most }] })
    const tokens = (id: string, count: number) => ({ id, scopes: ACME, amount: amount(0, count) })
    expect(await store.reserve(tokens("a", most - 1))).toMatchObject({ granted: true })
    expect(await store.reserve(tokens("b", 2))).toMatchObject({ granted: false, refusal: { remaining: 1 } })
    expect(await store.reserve(tokens("c", 1))).toMatchObject({ granted: true })
    await expect(store.book(tokens("d", 1))).rejects.toMatchObject({ path: "amount.tokens" })
    await expect(store.settle("c", amount(0, 2))).rejects.toMatchObject({ path: "amount.tokens" })
    expect(await store.status(ACME)).toMatchObject([{ spent: 0, held: most, remaining: 0 }])
    await store.settle("a", amount(0, most - 3))
    expect(await store.status(ACME)).toMatchObject([{ spent: most - 3, held: 1, remaining: 2 }])
  })

  it("holds for a scope that nothing limits, and repeats it", async () => {
    const store = open({ limits: [{ scope: "tenant", id: "acme", window: "day", usd: 1e-6 }] })
    const free = { ...hold("a", 1), scopes: { tenant: "other" } }
    const first = await store.reserve(free)
    expect(first).toMatchObject({ granted: true })
    expect(await store.reserve(free)).toMatchObject({ granted: true })
    expect(await store.settle("a", amount(3))).toEqual({ late: false, overrun: amount(2) })
  })

  it("books a whole outage of expired holds in bites, and none twice", async () => {
    const clock = { at: NOON }
    const ledger = randomUUID()
    const limits = [{ ...DAILY, tokens: 1_000 }]
    const store = open({ ledger, limits, now: () => clock.at, holdTtlMs: 1_000 })
    const ids = Array.from({ length: 150 }, (_, index) => `${index}`)
    for (const id of ids) await store.reserve({ id, scopes: ACME, amount: amount(0, 2) })
    clock.at += 1_000
    // The last two are not booked yet, and have expired all the same.
    expect(await store.extend("99", 1_000)).toBe(false)
    expect(await redis.zcard(keysOf(ledger)[1])).toBe(86)
    expect(await store.settle("98", amount(0, 1))).toMatchObject({ late: true })
    expect(await redis.zcard(keysOf(ledger)[1])).toBe(21)
    expect(await store.status(ACME)).toMatchObject([{ held: 0, spent: 299, unconfirmed: 298 }])
  })

  it("books at its quote what nobody looked at for a day, also if it is closed before its turn", async () => {
    const clock = { at: NOON }
    const limits = [{ scope: "tenant", window: "total", tokens: 1_000 }] as const
    const store = open({ limits, now: () => clock.at, holdTtlMs: 1_000 })
    for (let id = 0; id < 150; id++) {
      await store.reserve({ id: `${id}`, scopes: ACME, amount: amount(0, 2) })
    }
    clock.at += 1_000 + DAY_MS
    expect(await store.settle("99", amount(0, 1))).toBeUndefined()
    for (let look = 0; look < 3; look++) await store.status(ACME)
    expect(await store.status(ACME)).toMatchObject([{ held: 0, spent: 300, unconfirmed: 300 }])
  })

  it("corrects what has expired for a day, and then no more", async () => {
    const clock = { at: NOON }
    const limits = [{ scope: "tenant", window: "total", tokens: 1_000 }] as const
    const store = open({ limits, now: () => clock.at, holdTtlMs: 1_000 })
    for (const id of ["a", "b"]) await store.reserve({ id, scopes: ACME, amount: amount(0, 400) })
    clock.at += 999 + DAY_MS
    expect(await store.settle("a", amount(0, 1))).toMatchObject({ late: true })
    clock.at += 1
    expect(await store.settle("b", amount(0, 1))).toBeUndefined()
    expect(await store.status(ACME)).toMatchObject([{ spent: 401, unconfirmed: 400 }])
  })

  it("forgets what is over bit by bit, and nothing that is open", async () => {
    const clock = { at: NOON }
    const ledger = randomUUID()
    const store = open({
      ledger,
      now: () => clock.at,
      limits: [...TENANTS, PER_CALL],
    })
    await store.reserve(hold("open", 5))
    await store.extend("open", 10 * DAY_MS)
    for (let id = 0; id < 100; id++) {
      await store.reserve({ id: `${id}`, scopes: { ...ACME, request: `${id}` }, amount: amount(1) })
      await store.settle(`${id}`, amount(1))
    }
    await store.book({ ...hold("booked", 1), scopes: { tenant: "other" } })
    const [hash, , old] = keysOf(ledger)
    expect(await redis.hlen(hash)).toBeGreaterThan(200)
    clock.at += 3 * DAY_MS
    for (let id = 0; id < 300; id++) {
      clock.at += 1_000
      await store.release(`later ${id}`)
    }
    const fields = await redis.hkeys(hash)
    expect(fields.filter((field) => /^hold:(?!later)/.test(field))).toEqual(["hold:open"])
    expect(fields.filter((field) => field.startsWith("count:"))).toHaveLength(2)
    // An id is remembered for a minute, and until the places are used up again.
    expect(fields.filter((field) => field.startsWith("hold:later")).length).toBeLessThan(60 + 2 * 94)
    expect(await redis.zcard(old)).toBeLessThan(60 + 2 * 94)
    expect(await store.settle("open", amount(7))).toEqual({ late: false, overrun: amount(2) })
    // An hour after their last use the counters go too.
    clock.at += 3_600_000
    for (let id = 0; id < 300; id++) await store.release(`last ${id}`)
    expect((await redis.hkeys(hash)).filter((field) => /^count:|^hold:(?!last)/.test(field))).toEqual([])
  })

  describe("grants nothing on fields it cannot have written", () => {
    it.for([
      counted(-1, 0, 0, 0),
      counted(Number.NaN, 0, 0, 0),
      counted(0, Number.NaN, 0, 0),
      counted(Number.POSITIVE_INFINITY, 0, 0, 0),
      counted(0.5, 0, 0, 0),
      counted(2 ** 53, 0, 0, 0),
      counted(2 ** 53 - 1, 400, 0, 0),
      counted(0, 400, 1, 0),
      counted(0, 400, 0, 1),
      counted(0, 400, 0, 0, -1),
      counted(0, 400, 0, 0, 0.5),
      counted(0, 400, 0, 0, 0, Number.NaN),
      counted(0, 400, 0, 0).subarray(1),
      Buffer.concat([counted(0, 400, 0, 0), Buffer.from(" ")]),
      Buffer.from(""),
      Buffer.from("0 400 0 0 0 -"),
    ])("a counter of %j", async (value) => {
      const ledger = randomUUID()
      const store = open({ ledger, now: () => NOON })
      await store.reserve(hold("a", 400))
      await redis.hset(keysOf(ledger)[0], COUNTER, value)
      const named = { code: "budget-unavailable", problem: expect.stringContaining(COUNTER) }
      await expect(store.reserve(hold("b", 1))).rejects.toMatchObject(named)
      await expect(store.settle("a", amount(1))).rejects.toMatchObject(named)
      await expect(store.book(hold("c", 1))).rejects.toMatchObject(named)
      await expect(store.status(ACME)).rejects.toMatchObject(named)
      expect(await redis.hgetBuffer(keysOf(ledger)[0], COUNTER)).toEqual(value)
      // Others go on.
      const other = { ...hold("d", 1), scopes: { tenant: "other" } }
      expect(await store.reserve(other)).toMatchObject({ granted: true })
    })

    it.for([
      Buffer.from(""),
      Buffer.from("much, and more than a head's length"),
      heldAs(1, "1 2\n[]"),
      heldAs(0, "400 0\n[]\n"),
      heldAs(1, "9007199254740992 0\n[]\n"),
      heldAs(1, "1 0\n[]\nx 1 []\n"),
    ])("a hold of %j", async (value) => {
      const ledger = randomUUID()
      const store = open({ ledger, now: () => NOON })
      await store.reserve(hold("a", 400))
      await redis.hset(keysOf(ledger)[0], "hold:a", value)
      const named = { code: "budget-unavailable", problem: expect.stringContaining("hold:a") }
      await expect(store.settle("a", amount(1))).rejects.toMatchObject(named)
      await expect(store.extend("a", 1_000)).rejects.toMatchObject(named)
      expect(await store.status(ACME)).toMatchObject([{ held: 400, spent: 0 }])
    })

    it("a hold's counter that holds less than the hold, or is gone", async () => {
      const clock = { at: NOON }
      const ledger = randomUUID()
      const store = open({ ledger, now: () => clock.at, holdTtlMs: 1_000 })
      await store.reserve(hold("expired", 400))
      clock.at += 1_000
      await store.reserve(hold("a", 400))
      const named = { code: "budget-unavailable", problem: expect.stringContaining(COUNTER) }
      await redis.hset(keysOf(ledger)[0], COUNTER, counted(400, 399, 399, 0))
      await expect(store.settle("a", amount(1))).rejects.toMatchObject(named)
      await expect(store.settle("expired", amount(1))).rejects.toMatchObject(named)
      await redis.hdel(keysOf(ledger)[0], COUNTER)
      await expect(store.settle("a", amount(1))).rejects.toMatchObject(named)
    })

    it.for([
      ["state", Buffer.from("")],
      ["state", Buffer.from(new Float64Array([Number.NaN, 0]).buffer)],
      ["state", Buffer.from(new Float64Array([0, 0.5]).buffer)],
      ["state", Buffer.from(new Float64Array([2 * NOON, 0.5]).buffer)],
      ["wait:!", Buffer.from("d")],
    ] as const)("what tells when to look: %j", async ([field, value]) => {
      const ledger = randomUUID()
      const clock = { at: NOON }
      const store = open({ ledger, now: () => clock.at, holdTtlMs: 1_000 })
      await store.reserve(hold("a", 400))
      await redis.hset(keysOf(ledger)[0], field, value)
      clock.at += 1_000
      const named = { code: "budget-unavailable", problem: expect.stringContaining(`its field ${field} `) }
      await expect(store.reserve(hold("b", 1))).rejects.toMatchObject(named)
      await expect(store.settle("a", amount(1))).rejects.toMatchObject(named)
      await expect(store.status(ACME)).rejects.toMatchObject(named)
    })

    it("a ledger of another kind", async () => {
      const ledger = randomUUID()
      const store = open({ ledger })
      await store.status(ACME)
      const [key] = keysOf(ledger)
      await redis.set(key, "text")
      await expect(store.reserve(hold("a", 1))).rejects.toMatchObject(WRONG_TYPE)
      await redis.del(key)
      await store.status(ACME).catch(() => {})
      expect(await store.status(ACME)).toMatchObject([{ held: 0 }])
    })

    it.for([1, 2] as const)(
      "a sorted set of another kind, as soon as it is to be written: %i",
      async (which) => {
        const ledger = randomUUID()
        const store = open({ ledger })
        await store.status(ACME)
        const key = keysOf(ledger)[which]
        await redis.set(key, "text")
        let held = 0
        const reserve = async () => {
          await store.reserve(hold(`${held}`, 1))
          return ++held
        }
        const fill = async () => {
          while ((await reserve()) < 200);
        }
        await expect(fill()).rejects.toMatchObject(WRONG_TYPE)
        await expect(reserve()).rejects.toMatchObject(WRONG_TYPE)
        expect(held).toBeGreaterThan(50)
        await redis.del(key)
        expect(await store.status(ACME)).toMatchObject([{ held }])
        await fill()
        for (let id = 0; id < held; id++) expect(await store.release(`${id}`)).toMatchObject({ late: false })
        expect(await store.status(ACME)).toMatchObject([{ held: 0, spent: 0 }])
      },
    )

    it("and goes on with the expired holds of others", async () => {
      const clock = { at: NOON }
      const ledger = randomUUID()
      const store = open({ ledger, now: () => clock.at, holdTtlMs: 1_000 })
      await store.reserve(hold("a", 400))
      await store.reserve({ ...hold("b", 300), scopes: { tenant: "other" } })
      await redis.hset(keysOf(ledger)[0], COUNTER, "much")
      clock.at += 1_000
      expect(await store.status({ tenant: "other" })).toMatchObject([{ spent: 300, unconfirmed: 300 }])
      await redis.hset(keysOf(ledger)[0], COUNTER, counted(0, 400, 0, 0))
      clock.at += 60_000
      expect(await store.status(ACME)).toMatchObject([{ spent: 400, unconfirmed: 400, held: 0 }])
    })
  })

  it("books at its quote what could not be booked when it expired, if it is closed a day too late", async () => {
    const clock = { at: NOON }
    const ledger = randomUUID()
    const limits = [{ scope: "tenant", window: "total", usd: 1e-6 }] as const
    const store = open({ ledger, limits, now: () => clock.at, holdTtlMs: 1_000 })
    const [hash] = keysOf(ledger)
    const counter = 'count:["tenant","acme","total","NanoUsd",0]'
    await store.reserve(hold("a", 400))
    const sound = await redis.hgetBuffer(hash, counter)
    await redis.hset(hash, counter, "much")
    clock.at += 1_000 + DAY_MS
    await store.status({ tenant: "other" })
    await redis.hset(hash, counter, sound as Buffer)
    expect(await store.settle("a", amount(1))).toBeUndefined()
    expect(await store.status(ACME)).toMatchObject([{ held: 0, spent: 400, unconfirmed: 400 }])
  })

  it("refuses a ledger in a schema of another version, also one that came while it was open", async () => {
    const ledger = randomUUID()
    const store = open({ ledger })
    await store.reserve(hold("a", 1))
    for (const schema of ["2", "0", ""]) {
      await redis.hset(keysOf(ledger)[0], "version", `${schema} print`)
      const problem = expect.stringMatching(`schema "${schema}", .* reads "1"$`)
      const told = { code: "invalid-config", problem }
      await expect(store.reserve(hold("b", 1))).rejects.toMatchObject(told)
      await expect(store.settle("a", amount(1))).rejects.toMatchObject(told)
      await expect(open({ ledger }).status(ACME)).rejects.toMatchObject(told)
    }
  })

  it("tells once that its numbers are gone, and begins anew", async () => {
    const ledger = randomUUID()
    const store = open({ ledger })
    await store.reserve(hold("a", 1_000))
    const [hash, due, old] = keysOf(ledger)
    // As many as it takes for some to be in the sorted sets.
    for (let id = 0; id < 100; id++) await store.release(`${id}`)
    await redis.zadd(due, 1, "hold:a")
    expect(await redis.exists(due, old)).toBe(2)
    await redis.unlink(hash)
    await expect(store.reserve(hold("b", 1_000))).rejects.toMatchObject({
      code: "budget-unavailable",
      problem: expect.stringContaining("its numbers are gone"),
    })
    expect(await store.reserve(hold("c", 1_000))).toMatchObject({ granted: true })
    // Nothing is left of the holds that went with them.
    expect(await redis.exists(due, old)).toBe(0)
  })

  it("does not begin anew where only its version is gone", async () => {
    const ledger = randomUUID()
    const store = open({ ledger })
    await store.reserve(hold("a", 1_000))
    await redis.hdel(keysOf(ledger)[0], "version")
    for (const id of ["b", "c"]) {
      await expect(store.reserve(hold(id, 1))).rejects.toMatchObject({
        code: "budget-unavailable",
        problem: expect.stringMatching(/^its field version .* holds nothing/),
      })
    }
  })

  it("warns of each share once, whoever notices", async () => {
    const ledger = randomUUID()
    const shares: number[] = []
    const onWarning = ({ share }: BudgetWarning) => void shares.push(share)
    const [one, other] = [open({ ledger, onWarning }), open({ ledger, onWarning })]
    const ids = Array.from({ length: 100 }, (_, index) => `${index}`)
    await Promise.all(ids.map((id) => one.reserve(hold(id, 10))))
    await Promise.all(ids.map((id, index) => (index % 2 ? one : other).settle(id, amount(10))))
    expect(shares.toSorted((a, b) => a - b)).toEqual([0.8, 0.95])
  })

  it("is told of a name, a client and a time that cannot be", () => {
    expect(() => open({ ledger: "a{b}" })).toThrow(/budget\.ledger/)
    expect(() => open({ client: {} as RedisClient })).toThrow(/budget\.client.*evalSha/)
    for (const timeoutMs of [0, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => open({ timeoutMs })).toThrow(/budget\.timeoutMs/)
    }
  })

  describe("a Redis of its own", () => {
    it("that crashes fails a call in time, is not overspent, and is told what it missed", async () => {
      await using services = await startOwnServices("redis")
      for (const client of [
        await ioredisOn(services.url("redis")),
        await nodeRedisOn(services.url("redis")),
      ]) {
        const store = redisBudget({
          client: client.client,
          ledger: randomUUID(),
          limits: TENANTS,
          timeoutMs: 200,
        })
        await alwaysWritten(services.url("redis"))
        await store.reserve(hold("before", 300))
        services.crash("redis")
        const startedAt = performance.now()
        const unavailable = { code: "budget-unavailable" }
        await expect(store.reserve(hold("meanwhile", 600))).rejects.toMatchObject(unavailable)
        await expect(store.settle("before", amount(100))).rejects.toMatchObject(unavailable)
        expect(performance.now() - startedAt).toBeLessThan(1_000)
        await services.restart("redis")
        const status = async () => (await store.status(ACME).catch(() => []))[0]
        await expect.poll(status, { timeout: 20_000 }).toMatchObject({ spent: 100, held: 0 })
        expect(await store.reserve(hold("meanwhile", 600)).catch(({ path }) => path)).toBe("id")
        await store.close()
        client.end()
      }
    })

    it("that hangs fails the first call in time and the next at once", async () => {
      await using server = await startServer([])
      const client = new Redis(server.port)
      const store = redisBudget({ client, limits: TENANTS, timeoutMs: 300 })
      await store.status(ACME)
      server.process.kill("SIGSTOP")
      const took = async (id: string) => {
        const startedAt = performance.now()
        await expect(store.reserve(hold(id, 1))).rejects.toThrow(/it (?:did|has) not answer/)
        return performance.now() - startedAt
      }
      expect(await took("a")).toBeGreaterThanOrEqual(299)
      expect(await took("b")).toBeLessThan(200)
      server.process.kill("SIGCONT")
      // What was granted after all, and nobody learned of, is given back.
      await expect
        .poll(async () => (await store.status(ACME).catch(() => []))[0], { timeout: 5_000 })
        .toMatchObject({ held: 0 })
      expect(await store.reserve(hold("c", 1_000))).toMatchObject({ granted: true })
      client.disconnect()
    })

    it("that evicts any key is refused", async () => {
      await using server = await startServer(["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"])
      const client = new Redis(server.port)
      const store = redisBudget({ client, limits: TENANTS })
      await expect(store.reserve(hold("a", 1))).rejects.toMatchObject({
        path: "budget.client",
        problem: expect.stringContaining("allkeys-lru"),
      })
      await client.config("SET", "maxmemory-policy", "volatile-lru")
      expect(await store.reserve(hold("a", 1))).toMatchObject({ granted: true })
      client.disconnect()
    })

    it("that is a cluster keeps the contract too: no key is in another slot", async () => {
      const cluster = ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--cluster-port"]
      await using server = await startServer([...cluster, `${await freePort()}`])
      const admin = new Redis(server.port)
      await admin.cluster("ADDSLOTSRANGE", 0, 16_383)
      await expect.poll(() => admin.cluster("INFO"), { timeout: 10_000 }).toContain("cluster_state:ok")
      const io = new Cluster([{ host: "127.0.0.1", port: server.port }])
      const node = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${server.port}` }] }).on(
        "error",
        () => {},
      )
      await node.connect()
      for (const client of [io, node]) {
        const cases = budgetStoreContract((options) =>
          redisBudget({ ...options, client, ledger: randomUUID() }),
        )
        for (const { run } of cases) await run()
      }
      io.disconnect()
      await node.close()
      admin.disconnect()
    })
  })
})

const WRONG_TYPE = { code: "budget-unavailable", problem: expect.stringContaining("WRONGTYPE") }
const DAILY = { scope: "tenant", window: "day" } as const
const DOUBLE: readonly BudgetLimit[] = [{ ...DAILY, usd: 2e-6 }]
const PER_CALL: BudgetLimit = { scope: "request", usd: 1e-6 }

function amount(money: number, tokens = 0): Amount {
  return { money: nanoUsd(money), tokens }
}

function hold(id: string, money: number) {
  return { id, scopes: ACME, amount: amount(money) }
}

/** A counter as it is kept. */
function counted(
  spent: number,
  held: number,
  unconfirmed: number,
  overrun: number,
  warned = 0,
  keptUntil = NOON + 3 * DAY_MS,
): Buffer {
  return Buffer.from(new Float64Array([spent, held, unconfirmed, overrun, warned, keptUntil]).buffer)
}

/** A hold as it is kept. */
function heldAs(state: number, text: string): Buffer {
  const head = new Float64Array([NOON + 600_000, 1])
  return Buffer.concat([Buffer.from([state]), Buffer.from(head.buffer), Buffer.from(text)])
}

function keysOf(ledger: string): [ledger: string, due: string, old: string] {
  const tag = `{tierwise:${ledger}}`
  return [tag, `${tag}:due`, `${tag}:old`]
}

/** Looks again and again at what is spent and held together. */
function watchCounters(store: BudgetStore) {
  const seen: number[] = []
  const stopping = new AbortController()
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      const [status] = await store.status(ACME)
      seen.push((status?.spent ?? 0) + (status?.held ?? 0))
    }
  })()
  return {
    async stop(): Promise<readonly number[]> {
      stopping.abort()
      await watching
      return seen
    },
  }
}

function runProcess(order: Order): Promise<Spent> {
  const child = fork(join(import.meta.dirname, "ledger-redis-process.ts"), {
    execArgv: ["--conditions=@tierwise/source"],
  })
  child.send(order)
  return new Promise((resolve, reject) => {
    child.once("message", (report) => resolve(report as Spent))
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`it ended with ${code} and no report`)))
  })
}

interface OwnServer {
  readonly port: number
  readonly process: ChildProcess
  [Symbol.asyncDispose](): Promise<void>
}

/** A server with options that those of `scripts/services` do not have. */
async function startServer(options: readonly string[]): Promise<OwnServer> {
  const folder = mkdtempSync(join(tmpdir(), "tierwise-redis-"))
  const port = await freePort()
  const common = [
    "--port",
    `${port}`,
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "no",
    "--dir",
    folder,
  ]
  const server = spawn("redis-server", [...common, ...options], { stdio: "ignore" })
  const probe = new Redis(port, { retryStrategy: () => 50, maxRetriesPerRequest: null }).on("error", () => {})
  await probe.ping()
  probe.disconnect()
  return {
    port,
    process: server,
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL")
      if (server.exitCode === null && server.signalCode === null) await once(server, "exit")
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** With `everysec` a Redis that writes to its disk just then answers first: what it has told may be lost with it. */
async function alwaysWritten(url: string): Promise<void> {
  const client = new Redis(url)
  await client.config("SET", "appendfsync", "always")
  client.disconnect()
}

async function ioredisOn(url: string) {
  const client = new Redis(url).on("error", () => {})
  await client.ping()
  return { client, end: () => client.disconnect() }
}

async function nodeRedisOn(url: string) {
  const client = createClient({ url }).on("error", () => {})
  await client.connect()
  return { client, end: () => client.destroy() }
}

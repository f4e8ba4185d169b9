import { type ChildProcess, fork } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { createClient } from "@redis/client"
import { Redis } from "ioredis"
import { healthBook } from "tierwise"
import { type RedisClient, redisHealth } from "tierwise/redis"
import { healthStoreContract, type MakeHealthStore } from "tierwise/testing"
import { afterAll, afterEach, describe, expect, it } from "vitest"
import { describeWithService, startOwnServices } from "../services.ts"
import type { Order, Report } from "./shared-health-process.ts"

const PROBE = { known: 0, leaseMs: 60_000, failedProbes: 0 }

describeWithService("redis", (url) => {
  const redis = new Redis(url)
  const names = new Set<string>()
  const children: ChildProcess[] = []

  const newName = () => {
    const name = randomUUID()
    names.add(name)
    return name
  }
  const open = (client: RedisClient = redis, name = newName()) => redisHealth({ client, name })

  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL")
  })
  afterAll(async () => {
    for (const name of names) await redis.unlink(keysOf(name))
    redis.disconnect()
  })

  describe.for(["ioredis", "@redis/client"])(
    "health in Redis keeps the contract of every store, through %s",
    (kind) => {
      let end = () => {}
      let made: Promise<RedisClient> | undefined
      const clientOnce = async () => {
        const { client, end: endIt } = await clientOf(kind, url)
        end = endIt
        return client
      }
      afterAll(() => end())
      const make: MakeHealthStore = async () => {
        made ??= clientOnce()
        return { store: open(await made), passed }
      }
      it.for(healthStoreContract(make))("$name", async ({ run }) => {
        await expect(run()).resolves.toBeUndefined()
      })
    },
  )

  it("takes what was written at a time to come, before Redis's clock was set back, to be over", async () => {
    const name = newName()
    const store = open(redis, name)
    const { circuit } = await store.tripped("a", { known: 0, openForMs: 60_000 })
    await store.claimProbe("b", { ...PROBE, probe: "p" })
    await store.cool("a", 60_000, "overloaded")
    await setAhead(name, 3_600_000)
    const { version, circuits, cooldowns } = await store.changesSince(0)
    expect(circuits).toMatchObject([
      { key: "a", state: "open", openForMs: 0 },
      { key: "b", state: "open", probeForMs: 0 },
    ])
    expect(cooldowns).toMatchObject([{ forMs: 0, isCalledOff: false }])
    const claimed = await store.claimProbe("a", { ...PROBE, known: circuit.version, probe: "p" })
    expect(claimed.done).toBe(true)
    expect(claimed.circuit.version).toBeGreaterThan(version)
    expect((await store.cool("a", 20_000, "rate-limited")).forMs).toBeGreaterThan(10_000)
  })

  it("tells a thousand changes at once, and goes on after them", async () => {
    const store = open()
    const keys = Array.from({ length: 1_100 }, (_, index) => `target-${index}`)
    await Promise.all(keys.map((key) => store.cool(key, 60_000, "")))
    const first = await store.changesSince(0)
    const rest = await store.changesSince(first.version)
    expect(first.cooldowns).toHaveLength(1_000)
    expect(new Set([...first.cooldowns, ...rest.cooldowns].map(({ key }) => key))).toEqual(new Set(keys))
  })

  it("drops what is over, and expires as a whole", async () => {
    const name = newName()
    const store = open(redis, name)
    const [records, changes] = keysOf(name)
    await store.cool("a", 30, "")
    expect(await redis.pttl(records)).toBeLessThanOrEqual(30)
    await store.cool("b", 60_000, "")
    await passed(30)
    await store.cool("c", 30, "")
    expect(await redis.hkeys(records)).toEqual(expect.not.arrayContaining(["p:a"]))
    expect(await redis.zrange(changes, 0, -1)).toEqual(["p:b", "p:c"])
    expect(await redis.pttl(changes)).toBeGreaterThan(50_000)
    // Emptied, it goes on above what it has told.
    const { version } = await store.changesSince(0)
    await redis.unlink(records, changes)
    expect(await store.changesSince(version)).toMatchObject({ version: 0 })
    expect((await store.cool("a", 60_000, "")).version).toBeGreaterThan(version)
  })

  it("takes no client, name or time that is none", () => {
    expect(() => redisHealth({ client: {} as RedisClient })).toThrow(/^health\.client: /)
    expect(() => redisHealth({ client: redis, name: "a{b}" })).toThrow(/^health\.name: /)
    expect(() => redisHealth({ client: redis, timeoutMs: 0 })).toThrow(/^health\.timeoutMs: /)
  })

  it("lets four processes send one probe per opening to a dead target, and return when it is well", async () => {
    await using target = await startTarget()
    const order = { redisUrl: url, name: newName(), targetUrl: target.url, ...TIMES }
    const processes = await startAll(order)

    // Five openings: 300, 600, 1,200, 1,200, 1,200 ms, each a tenth more or less.
    await expect.poll(() => target.probes().length, POLL).toBeGreaterThanOrEqual(5)
    const probesAt = target.probes().map(({ at }) => at)
    const pauses = probesAt.slice(1).map((at, index) => at - (probesAt[index] ?? 0))
    for (const [index, pauseMs] of pauses.entries()) {
      // Nobody may come before its time, and none came beside it: two of one opening would be this close.
      expect(pauseMs).toBeGreaterThan(0.9 * Math.min(600 * 2 ** index, 1_200) - 50)
    }
    // All found out by themselves in the first opening, or were told: since then only probes came.
    const [, secondAt = 0] = probesAt
    expect(target.calls.filter(({ at, isProbe }) => !isProbe && at > secondAt)).toEqual([])
    const dead = await reportsOf(processes)
    expect(dead.map(({ refused }) => refused > 100)).toEqual([true, true, true, true])
    expect(dead.flatMap(({ problems }) => problems)).toEqual([])

    target.heal()
    const healed = target.calls.length
    const breakers = async () => (await reportsOf(processes)).map(({ breaker }) => breaker)
    await expect.poll(breakers, POLL).toEqual(["closed", "closed", "closed", "closed"])
    const after = target.calls.slice(healed)
    expect(after.filter(({ isProbe }) => isProbe)).toHaveLength(1)
    expect(after[0]?.isProbe).toBe(true)
  })

  it("goes on in each process when Redis is killed, and together when it is back", async () => {
    await using services = await startOwnServices("redis")
    await using target = await startTarget()
    const order = { redisUrl: services.url("redis"), name: newName(), targetUrl: target.url, ...TIMES }
    const processes = await startAll(order)
    await expect.poll(() => target.probes().length, POLL).toBeGreaterThanOrEqual(1)

    services.crash("redis")
    const before = target.probes().length
    // Each sends probes of its own now.
    await expect.poll(() => target.probes().length - before, POLL).toBeGreaterThanOrEqual(8)
    const alone = await reportsOf(processes)
    for (const { problems } of alone) {
      expect(problems).toEqual([expect.stringMatching(/^The shared health "redis:.*" is not available: /)])
    }
    target.heal()
    const breakers = async () => (await reportsOf(processes)).map(({ breaker }) => breaker)
    await expect.poll(breakers, POLL).toEqual(["closed", "closed", "closed", "closed"])

    await services.restart("redis")
    const redis = new Redis(services.url("redis"))
    const [records] = keysOf(order.name)
    // It may have kept what it knew when it was killed: one more probe of one process ends that.
    await expect.poll(breakers, POLL).toEqual(["closed", "closed", "closed", "closed"])
    target.break()
    const shared = () => redis.hget(records, "c:light")
    await expect.poll(shared, POLL).toMatch(/ open \d+ [1-9]/)
    target.heal()
    await expect.poll(breakers, POLL).toEqual(["closed", "closed", "closed", "closed"])
    await expect.poll(shared, POLL).toContain(" closed ")
    redis.disconnect()
  })

  it("learns in a process that only looks", async () => {
    const name = newName()
    const [one, other] = [0, 1].map(() => healthBook({ store: open(redis, name) }))
    one?.cool("a", Date.now() + 60_000, "rate-limited")
    await expect.poll(async () => (await open(redis, name).changesSince(0)).cooldowns.length).toBe(1)
    await other?.refresh()
    expect(other?.report("a")).toMatchObject({ because: "rate-limited" })
    one?.end()
    other?.end()
  })

  /** As if everything had been written by a clock that was ahead. */
  async function setAhead(name: string, byMs: number): Promise<void> {
    const [records] = keysOf(name)
    for (const [field, record] of Object.entries(await redis.hgetall(records))) {
      if (field === "version") continue
      const later = record.replaceAll(/\b\d{13}\b/g, (at) => `${Number(at) + byMs}`)
      await redis.hset(records, field, later)
    }
  }

  /** Four processes, each with a clock of its own, that begin together. */
  async function startAll(order: Omit<Order, "clockAheadMs">): Promise<readonly ChildProcess[]> {
    const started = CLOCKS_AHEAD_MS.map((clockAheadMs) => {
      const child = fork(join(import.meta.dirname, "shared-health-process.ts"), {
        execArgv: ["--conditions=@tierwise/source"],
      })
      children.push(child)
      child.send({ ...order, clockAheadMs } satisfies Order)
      return child
    })
    await Promise.all(started.map((child) => once(child, "message")))
    for (const child of started) child.send("begin")
    return started
  }
})

const CLOCKS_AHEAD_MS = [0, 3_000, -3_000, 40]
const TIMES = { openMs: 300, longestOpenMs: 1_200, pollMs: 50 }
const POLL = { timeout: 20_000, interval: 50 }

function reportsOf(processes: readonly ChildProcess[]): Promise<readonly Report[]> {
  return Promise.all(
    processes.map(async (child) => {
      const told = once(child, "message")
      child.send("report")
      const [report] = (await told) as [Report]
      return report
    }),
  )
}

/** A server that fails until it is healed, and remembers who came when. */
async function startTarget() {
  const calls: { readonly at: number; readonly isProbe: boolean }[] = []
  let isDead = true
  const server = createServer((request, response) => {
    calls.push({ at: performance.now(), isProbe: request.headers["x-probe"] === "true" })
    response.statusCode = isDead ? 503 : 200
    response.end()
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    probes: () => calls.filter(({ isProbe }) => isProbe),
    heal: () => {
      isDead = false
    },
    break: () => {
      isDead = true
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    },
  }
}

async function clientOf(
  kind: string,
  url: string,
): Promise<{ readonly client: RedisClient; readonly end: () => void }> {
  if (kind === "ioredis") {
    const client = new Redis(url)
    return { client, end: () => client.disconnect() }
  }
  const client = createClient({ url }).on("error", () => {})
  await client.connect()
  return { client, end: () => client.destroy() }
}

/** By Redis's clock too, which tells whole ms. */
function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms + 5))
}

function keysOf(name: string): [records: string, changes: string] {
  const tag = `{tierwise-health:${name}}`
  return [tag, `${tag}:changes`]
}

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
import { afterAll, afterEach, describe, expect, it } from "vitest"
import { describeWithService, startOwnServices } from "../services.ts"
import type { Order, Report } from "./shared-health-process.ts"

const LEASE_MS = 300
const PROBE = { known: 0, leaseMs: LEASE_MS, failedProbes: 0 }

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

  describe.for(["ioredis", "@redis/client"])("health in Redis, through %s", (kind) => {
    it("keeps the first of two openings, lets one process probe, and tells what changed", async () => {
      const { client, end } = await clientOf(kind, url)
      const store = open(client)
      const first = await store.tripped("a", { known: 0, openForMs: 200 })
      const opened = { key: "a", state: "open", failedProbes: 0, probeForMs: 0 }
      expect(first).toMatchObject({ done: true, circuit: opened })
      const { version, openForMs } = first.circuit
      expect(openForMs).toBeGreaterThan(100)
      const second = await store.tripped("a", { known: 0, openForMs: 60_000 })
      expect(second).toMatchObject({ done: false, circuit: { version } })
      expect(second.circuit.openForMs).toBeLessThanOrEqual(200)
      const early = await store.claimProbe("a", { ...PROBE, known: version, probe: "early" })
      expect(early).toMatchObject({ done: false, circuit: { version } })

      await passed(200)
      const claims = await Promise.all(
        ["p", "q", "r"].map((probe) => store.claimProbe("a", { ...PROBE, known: version, probe })),
      )
      expect(claims.map(({ done }) => done)).toEqual([true, false, false])
      const failed = { probe: "p", how: "badly", openForMs: 100, failedProbes: 1 } as const
      expect(await store.probeEnded("a", { ...failed, probe: "q", known: 0 })).toMatchObject({
        done: false,
        circuit: { failedProbes: 0 },
      })
      const { circuit: reopened } = await store.probeEnded("a", { ...failed, known: 0 })
      expect(reopened).toMatchObject({ state: "open", failedProbes: 1, probeForMs: 0 })

      const changes = await store.changesSince(version)
      expect(changes).toMatchObject({ version: reopened.version, circuits: [{ key: "a", failedProbes: 1 }] })
      expect(await store.changesSince(changes.version)).toEqual({
        version: reopened.version,
        circuits: [],
        cooldowns: [],
      })
      end()
    })

    it("keeps the longest cooldown until somebody ends it", async () => {
      const { client, end } = await clientOf(kind, url)
      const store = open(client)
      await store.cool("a b", 60_000, "rate limited: 5 a minute")
      const { version, forMs } = await store.cool("a b", 1_000, "overloaded")
      expect(forMs).toBeGreaterThan(59_000)
      expect((await store.changesSince(0)).cooldowns).toMatchObject([
        { key: "a b", because: "rate limited: 5 a minute" },
      ])
      await store.warm("a b")
      expect((await store.changesSince(version)).cooldowns).toMatchObject([{ key: "a b", forMs: 0 }])
      end()
    })
  })

  it("gives the place of a lost probe away when its lease is over, and hears the lost one no more", async () => {
    const store = open()
    expect(await store.claimProbe("a", { ...PROBE, probe: "lost" })).toMatchObject({ done: true })
    const { circuit } = await store.claimProbe("a", { ...PROBE, probe: "next" })
    expect(circuit.probeForMs).toBeGreaterThan(0)
    const early = await store.claimProbe("a", { ...PROBE, known: circuit.version, probe: "next" })
    expect(early.done).toBe(false)
    await passed(LEASE_MS)
    const next = await store.claimProbe("a", { ...PROBE, known: circuit.version, probe: "next" })
    expect(next.done).toBe(true)
    const end = { known: 0, how: "well", openForMs: 1, failedProbes: 0 } as const
    expect(await store.probeEnded("a", { ...end, probe: "lost" })).toMatchObject({ done: false })
    const ended = await store.probeEnded("a", { ...end, probe: "next" })
    expect(ended).toMatchObject({ done: true, circuit: { state: "closed" } })
  })

  it("changes nothing for a process that has not seen the latest", async () => {
    const store = open()
    const { circuit } = await store.claimProbe("a", { ...PROBE, probe: "p" })
    const end = { probe: "p", openForMs: 1, failedProbes: 0, known: 0 } as const
    const { circuit: closed } = await store.probeEnded("a", { ...end, how: "well" })
    const stale = { known: circuit.version, openForMs: 1_000 }
    const notDone = { done: false, circuit: closed }
    expect(await store.tripped("a", stale)).toEqual(notDone)
    expect(await store.claimProbe("a", { ...PROBE, ...stale, probe: "q" })).toEqual(notDone)
    expect(await store.probeEnded("a", { ...end, probe: "q", how: "badly" })).toEqual(notDone)
    const seen = await store.tripped("a", { ...stale, known: closed.version })
    expect(seen).toMatchObject({ done: true, circuit: { state: "open" } })
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

import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import KeyvRedis from "@keyv/redis"
import KeyvSqlite from "@keyv/sqlite"
import { RedisCache } from "@langchain/community/caches/ioredis"
import { type BaseCache, InMemoryCache } from "@langchain/core/caches"
import { HumanMessage } from "@langchain/core/messages"
import { MemorySaver } from "@langchain/langgraph"
import { ChatOpenAI } from "@langchain/openai"
import { Redis } from "ioredis"
import Keyv from "keyv"
import { createAgent } from "langchain"
import { keyvCache } from "tierwise"
import { describe, expect, it } from "vitest"
import { describeWithService } from "../services.ts"
import { openWorld, usageOf } from "./world.ts"

describe("keyvCache over memory", () => {
  it("answers a plain ChatOpenAI that asks again [L7.keyv-response-cache]", async () => {
    expect(await askPlainModelTwice(keyvCache(new Keyv()))).toEqual(ONE_ANSWER)
  })

  it("answers the router that asks again [L7.keyv-response-cache]", async () => {
    expect(await askRouter(keyvCache(new Keyv()))).toEqual({ ...ONE_ANSWER, callsOfBothTenants: 2 })
  })
})

describe("keyvCache over SQLite", () => {
  it("answers a plain ChatOpenAI that asks again, also after the file was closed [L7.keyv-response-cache]", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tierwise-cache-"))
    const open = () => new Keyv(new KeyvSqlite(`sqlite://${join(folder, "cache.sqlite")}`))
    try {
      const first = open()
      expect(await askPlainModelTwice(keyvCache(first))).toEqual(ONE_ANSWER)
      await keyvCache(first).update("kept", "m", [{ text: "Hi" }])
      await first.disconnect()
      const second = open()
      expect(await keyvCache(second).lookup("kept", "m")).toEqual([{ text: "Hi" }])
      expect(await findBeforeAndAfterItsTime(second)).toEqual([true, false])
      await second.disconnect()
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe("LangChain's InMemoryCache", () => {
  it("answers the router that asks again, and hands out no shared message", async () => {
    expect(await askRouter(new InMemoryCache())).toEqual({ ...ONE_ANSWER, callsOfBothTenants: 2 })
  })
})

describe("a cached answer inside an agent", () => {
  it("is found again, whatever LangGraph hands down for each run", async () => {
    await using world = await openWorld({ cache: keyvCache(new Keyv()) })
    const agent = createAgent({ model: world.router, tools: [], checkpointer: new MemorySaver() })
    const messages = [new HumanMessage("Hello")]
    const run = async () => {
      const state = await agent.invoke({ messages }, { configurable: { thread_id: randomUUID() } })
      return state.messages.at(-1)
    }
    const [first, second] = [await run(), await run()]
    expect(world.bodies()).toHaveLength(1)
    expect(second?.text).toBe(first?.text)
    expect(second?.id).not.toBe(first?.id)
  })
})

describeWithService("redis", (url) => {
  it("answers a plain ChatOpenAI that asks again, from another process's connection too [L7.keyv-response-cache]", async () => {
    await using one = openRedis(url)
    expect(await askPlainModelTwice(keyvCache(one.keyv))).toEqual(ONE_ANSWER)
    await keyvCache(one.keyv).update("kept", "m", [{ text: "Hi" }])
    await using other = openRedis(url, one.namespace)
    expect(await keyvCache(other.keyv).lookup("kept", "m")).toEqual([{ text: "Hi" }])
  })

  it("answers the router that asks again, and no other tenant [L7.keyv-response-cache] [N10.cache]", async () => {
    await using redis = openRedis(url)
    expect(await askRouter(keyvCache(redis.keyv))).toEqual({ ...ONE_ANSWER, callsOfBothTenants: 2 })
  })

  it("forgets after the time to live", async () => {
    await using redis = openRedis(url)
    expect(await findBeforeAndAfterItsTime(redis.keyv)).toEqual([true, false])
  })

  it("answers the router through @langchain/community's cache [L7.community-caches]", async () => {
    const client = new Redis(url)
    try {
      expect(await askRouter(new RedisCache(client, { ttl: 60 }))).toEqual({
        ...ONE_ANSWER,
        callsOfBothTenants: 2,
      })
    } finally {
      client.disconnect()
    }
  })

  it("that goes away in the middle costs nobody an answer, and is used again when it is back", async () => {
    await using line = await openLine(url)
    await using redis = openRedis(line.url)
    const errors: unknown[] = []
    const cache = keyvCache(redis.keyv, { timeoutMs: 100, onError: (error) => errors.push(error) })
    await using world = await openWorld()
    const model = plainModel(world.simulator.baseUrl, cache)
    await model.invoke("Hello")
    await model.invoke("Hello")
    expect(world.bodies()).toHaveLength(1)
    await cache.update("kept", "m", [{ text: "Hi" }])

    await line.cut()
    const startedAt = performance.now()
    expect((await model.invoke("Hello")).text).not.toBe("")
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    expect(world.bodies()).toHaveLength(2)
    expect(errors).not.toEqual([])

    await line.mend()
    await expect.poll(() => cache.lookup("kept", "m"), { timeout: 10_000, interval: 100 }).not.toBeNull()
  })

  it("that stops answering costs the router no answer", async () => {
    await using line = await openLine(url)
    const client = new Redis(line.url)
    try {
      await using world = await openWorld({ cache: new RedisCache(client, { ttl: 60 }) })
      await client.ping()
      line.freeze()
      const startedAt = performance.now()
      expect((await world.router.invoke("Hello")).text).not.toBe("")
      expect((await world.router.invoke("Hello")).text).not.toBe("")
      expect(performance.now() - startedAt).toBeLessThan(2_000)
      expect(world.bodies()).toHaveLength(2)
    } finally {
      client.disconnect()
    }
  })
})

/** What two equal questions come to: one call, one bill, one answer. */
const ONE_ANSWER = { calls: 1, same: true, firstIsBilled: true, secondTokens: 0 }

async function askPlainModelTwice(cache: BaseCache): Promise<typeof ONE_ANSWER> {
  await using world = await openWorld()
  const model = plainModel(world.simulator.baseUrl, cache)
  const question = `What is ${randomUUID()}?`
  const [first, second] = [await model.invoke(question), await model.invoke(question)]
  const parts = [first, second].map(({ content, id, response_metadata }) =>
    JSON.stringify({ content, id, response_metadata }),
  )
  return { ...bill(first, second), calls: world.bodies().length, same: parts[0] === parts[1] }
}

/** The router's own: the first reader changes what it got, and a second tenant asks the same. */
async function askRouter(cache: BaseCache): Promise<typeof ONE_ANSWER & { callsOfBothTenants: number }> {
  await using world = await openWorld({ cache })
  const question = `What is ${randomUUID()}?`
  const ask = (tenant: string) => world.router.invoke(question, { scopes: { tenant } })
  const first = await ask("a")
  const text = first.text
  const reader = await ask("a")
  Object.assign(reader, { content: "changed by its reader" })
  const second = await ask("a")
  const calls = world.bodies().length
  await ask("b")
  return {
    ...bill(first, second),
    calls,
    same: text === second.text,
    callsOfBothTenants: world.bodies().length,
  }
}

function bill(first: object, second: object) {
  return {
    firstIsBilled: (usageOf(first)?.total_tokens ?? 0) > 0,
    secondTokens: usageOf(second)?.total_tokens ?? Number.NaN,
  }
}

/** Whether an entry is there at once, and whether it is after its time to live. */
async function findBeforeAndAfterItsTime(keyv: Keyv): Promise<readonly [boolean, boolean]> {
  const cache = keyvCache(keyv, { ttlMs: 300 })
  await cache.update("brief", "m", [{ text: "Hi" }])
  const before = await cache.lookup("brief", "m")
  await wait(350)
  return [before !== null, (await cache.lookup("brief", "m")) !== null]
}

function plainModel(baseURL: string, cache: BaseCache): ChatOpenAI {
  return new ChatOpenAI({ model: "sim-small", apiKey: "none", configuration: { baseURL }, cache })
}

/** A Keyv on Redis with a namespace of its own, which is emptied at the end. */
function openRedis(url: string, namespace = `test-${randomUUID()}`) {
  const keyv = new Keyv(new KeyvRedis(url), { namespace })
  return {
    keyv,
    namespace,
    [Symbol.asyncDispose]: async () => {
      await keyv.clear()
      await keyv.disconnect()
    },
  }
}

/** A way to a server that can be cut, mended and frozen without touching the server, which others use too. */
async function openLine(url: string) {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(Number(port), hostname)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      socket.pipe(other)
      socket.on("error", () => other.destroy())
      socket.on("close", () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  const listen = (at: number) => new Promise<void>((resolve) => server.listen(at, "127.0.0.1", resolve))
  await listen(0)
  const own = (server.address() as AddressInfo).port
  const cut = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  return {
    url: `redis://127.0.0.1:${own}`,
    cut,
    mend: () => listen(own),
    freeze: () => {
      for (const socket of sockets) socket.unpipe()
    },
    [Symbol.asyncDispose]: cut,
  }
}

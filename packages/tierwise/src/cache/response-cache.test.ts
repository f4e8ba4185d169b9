import { getEventListeners } from "node:events"
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises"
import { BaseCache, InMemoryCache } from "@langchain/core/caches"
import { AIMessage, HumanMessage } from "@langchain/core/messages"
import type { Generation } from "@langchain/core/outputs"
import { describe, expect, it } from "vitest"
import type { CacheKey } from "./cache-key.ts"
import { type Flight, type Recalled, type ResponseCacheOptions, responseCache } from "./response-cache.ts"

const call = { request: { messages: [new HumanMessage("Hello")] }, callOptions: {} }
const usage = { input_tokens: 9, output_tokens: 3, total_tokens: 12 }

describe("a kept answer", () => {
  it("comes back for the same question, with its metadata and no usage", async () => {
    const { cache, key } = openCache()
    const answer = new AIMessage({
      content: [{ type: "text", text: "Hi" }],
      additional_kwargs: { reasoning_content: "hm" },
      response_metadata: { finish_reason: "stop", tierwise: { tier: "light" } },
      tool_calls: [{ name: "wave", args: { hand: "left" }, id: "c1", type: "tool_call" }],
    })
    Object.assign(answer, { usage_metadata: usage })
    await keep(await missOf(cache.recall(key)), answer)
    const hit = await hitOf(cache.recall(key))
    expect(hit).toMatchObject({
      content: [{ type: "text", text: "Hi" }],
      additional_kwargs: { reasoning_content: "hm" },
      response_metadata: { finish_reason: "stop", tierwise: { tier: "light" } },
      tool_calls: [{ name: "wave", args: { hand: "left" }, id: "c1" }],
      usage_metadata: { input_tokens: 0, output_tokens: 0, total_tokens: 0 },
    })
    expect(AIMessage.isInstance(hit)).toBe(true)
    expect(answer).toMatchObject({ usage_metadata: usage })
  })

  it("is a message of its own each time, which a caller may change", async () => {
    const { cache, key } = openCache()
    const answer = new AIMessage({ content: "Hi", id: "msg-1", response_metadata: { a: { b: 1 } } })
    await keep(await missOf(cache.recall(key)), answer)
    const first = await hitOf(cache.recall(key))
    first.name = "clerk"
    Object.assign(first.response_metadata["a"] as object, { b: 2 })
    const second = await hitOf(cache.recall(key))
    expect(second.name).toBeUndefined()
    expect(second.response_metadata).toEqual({ a: { b: 1 } })
    // A graph's list of messages would take it for the first answer.
    expect([first.id, second.id]).toEqual([undefined, undefined])
  })

  it("is not found under another key", async () => {
    const { cache, key } = openCache()
    const other = cache.keyOf({ ...call, request: { ...call.request, scopes: { tenant: "b" } } }) as CacheKey
    await keep(await missOf(cache.recall(key)), new AIMessage("Hi"))
    expect(await cache.recall(other)).toHaveProperty("miss")
  })

  it("is not taken from a store that answers with what is merely similar [N10.cache]", async () => {
    const { cache, key } = openCache({ cache: new SimilarityCache() })
    const other = cache.keyOf({ ...call, request: { ...call.request, scopes: { tenant: "b" } } }) as CacheKey
    await keep(await missOf(cache.recall(key)), new AIMessage("Hi"))
    expect(await hitOf(cache.recall(key))).toMatchObject({ content: "Hi" })
    expect(await cache.recall(other)).toHaveProperty("miss")
  })

  it.each([
    ["nothing", () => ""],
    ["half an entry", () => "{"],
    ["null", () => "null"],
    ["an entry without a key", () => '{"fields":{}}'],
    ["an entry without an answer", (key: string) => JSON.stringify({ key })],
    ["an entry without a whole answer", (key: string) => JSON.stringify({ key, fields: { content: "Hi" } })],
  ])("is a miss if the store holds %s", async (_, rubbish) => {
    const store = new InMemoryCache()
    const { cache, key } = openCache({ cache: store })
    await keep(await missOf(cache.recall(key)), new AIMessage("Hi"))
    const [entry] = (await store.lookup(key.prompt, key.llmKey)) ?? []
    Object.assign(entry as Generation, { text: rubbish(key.id) })
    expect(await cache.recall(key)).toHaveProperty("miss")
  })

  it("is handed to those who wait, but not stored, where JSON would change it", async () => {
    const store = new InMemoryCache()
    const { cache, key } = openCache({ cache: store })
    const flight = await missOf(cache.recall(key))
    const waiter = cache.recall(key)
    const data = new Uint8Array([1, 2])
    await keep(flight, new AIMessage({ content: [{ type: "image", mimeType: "image/png", data }] }))
    expect(await hitOf(waiter)).toMatchObject({ content: [{ data }] })
    expect(await cache.recall(key)).toHaveProperty("miss")
    expect(await store.lookup(key.prompt, key.llmKey)).toBeNull()
  })
})

describe("equal calls at once", () => {
  it("are answered once", async () => {
    const { cache, key } = openCache()
    const calls = Array.from({ length: 50 }, () => cache.recall(key))
    const flight = await missOf(calls[0] as Promise<Recalled>)
    await keep(flight, new AIMessage("Hi"))
    const hits = await Promise.all(calls.slice(1).map(hitOf))
    expect(hits.map(({ content }) => content)).toEqual(Array.from({ length: 49 }, () => "Hi"))
    expect(new Set(hits).size).toBe(49)
  })

  it("are answered once also while the store is dead", async () => {
    const { cache, key } = openCache({ cache: new DeadCache("hang") })
    const calls = Array.from({ length: 3 }, () => cache.recall(key))
    const flight = await missOf(calls[0] as Promise<Recalled>)
    flight.keep(new AIMessage("Hi"))
    for (const one of calls.slice(1)) expect(await hitOf(one)).toMatchObject({ content: "Hi" })
  })

  it("that come while the answer is being stored do not ask again", async () => {
    const store = new SlowCache()
    const { cache, key } = openCache({ cache: store, timeoutMs: 5_000 })
    const flight = await missOf(cache.recall(key))
    await keep(flight, new AIMessage("Hi"))
    expect(await hitOf(cache.recall(key))).toMatchObject({ content: "Hi" })
    store.release()
  })

  it("go on alone, all at once, when the one they wait for gives up", async () => {
    const { cache, key } = openCache()
    const [first, ...others] = Array.from({ length: 5 }, () => cache.recall(key))
    const flight = await missOf(first as Promise<Recalled>)
    flight.abandon()
    const alone = await Promise.all(others.map(missOf))
    await keep(alone[0] as Flight, new AIMessage("Hi"))
    expect(await hitOf(cache.recall(key))).toMatchObject({ content: "Hi" })
    for (const one of alone.slice(1)) one.abandon()
    expect(await hitOf(cache.recall(key))).toMatchObject({ content: "Hi" })
  })

  it("go on alone when the answer is left to its reader, and find it once it is kept", async () => {
    const { cache, key } = openCache()
    const flight = await missOf(cache.recall(key))
    const waiter = cache.recall(key)
    flight.release()
    expect(await waiter).toHaveProperty("miss")
    await keep(flight, new AIMessage("Hi"))
    expect(await hitOf(cache.recall(key))).toMatchObject({ content: "Hi" })
  })

  it("go on alone when it takes too long: it may be waiting for them", async () => {
    const { cache, key } = openCache({ waitMs: 20 })
    await missOf(cache.recall(key))
    expect(await cache.recall(key)).toHaveProperty("miss")
  })

  it("wait for the one that took over, whatever becomes of the first", async () => {
    const { cache, key } = openCache()
    const first = await missOf(cache.recall(key))
    first.release()
    const second = await missOf(cache.recall(key))
    first.abandon()
    const waiter = cache.recall(key)
    await keep(second, new AIMessage("Hi"))
    expect(await hitOf(waiter)).toMatchObject({ content: "Hi" })
  })

  it("are closed by the first close", async () => {
    const { cache, key } = openCache()
    const flight = await missOf(cache.recall(key))
    flight.abandon()
    await keep(flight, new AIMessage("too late"))
    const next = await missOf(cache.recall(key))
    await keep(next, new AIMessage("Hi"))
    next.abandon()
    expect(await hitOf(cache.recall(key))).toMatchObject({ content: "Hi" })
  })

  it("let one go whose signal aborts, at once and with its reason, and keep the others waiting", async () => {
    const { cache, key } = openCache()
    const flight = await missOf(cache.recall(key))
    const leaving = new AbortController()
    const left = cache.recall(key, leaving.signal)
    const staying = cache.recall(key, new AbortController().signal)
    const reason = { why: "the reader left" }
    leaving.abort(reason)
    await expect(left).rejects.toBe(reason)
    await keep(flight, new AIMessage("Hi"))
    expect(await hitOf(staying)).toMatchObject({ content: "Hi" })
  })

  it("go on when the first aborts while it looks into a store that hangs", async () => {
    const { cache, key } = openCache({ cache: new DeadCache("hang"), timeoutMs: 40 })
    const leaving = new AbortController()
    const left = cache.recall(key, leaving.signal)
    const next = cache.recall(key)
    leaving.abort("gone")
    await expect(left).rejects.toBe("gone")
    expect(await next).toHaveProperty("miss")
  })

  it("reject at once where the signal has aborted before", async () => {
    const { cache, key } = openCache()
    await expect(cache.recall(key, AbortSignal.abort("gone"))).rejects.toBe("gone")
    expect(await cache.recall(key)).toHaveProperty("miss")
  })

  it("take over where the answer cannot be copied", async () => {
    const { cache, key, problems } = openCache()
    const flight = await missOf(cache.recall(key))
    const waiter = cache.recall(key)
    await keep(flight, new AIMessage({ content: "Hi", additional_kwargs: { call: () => 1 } }))
    expect(await waiter).toHaveProperty("miss")
    expect(problems).toMatchObject([{ name: "DataCloneError" }])
  })

  it("leave nothing behind: neither listeners on a signal nor memory of the key", async () => {
    const { cache, key } = openCache({ cache: new DeadCache("reject") })
    const { signal } = new AbortController()
    for (let i = 0; i < 20; i++) {
      const flight = await missOf(cache.recall(key, signal))
      const waiter = cache.recall(key, signal)
      await keep(flight, new AIMessage(`Hi ${i}`))
      expect(await hitOf(waiter)).toMatchObject({ content: `Hi ${i}` })
    }
    expect(getEventListeners(signal, "abort")).toEqual([])
  })
})

describe("a store that fails", () => {
  it.each(["throw", "reject", "hang"] as const)("by a %s is a miss, and is told of", async (way) => {
    const { cache, key, problems } = openCache({ cache: new DeadCache(way), timeoutMs: 20 })
    const startedAt = performance.now()
    const flight = await missOf(cache.recall(key))
    await keep(flight, new AIMessage("Hi"))
    expect(performance.now() - startedAt).toBeLessThan(200)
    expect(problems).not.toEqual([])
  })
})

describe("keyOf", () => {
  it("gives no key, and tells, where the user's normalize throws or gives no text", () => {
    for (const normalize of [() => 7 as unknown as string, () => JSON.parse("{") as string]) {
      const { cache, problems } = openCache({ rules: { normalize } })
      problems.length = 0
      expect(cache.keyOf(call)).toBeUndefined()
      expect(problems).toHaveLength(1)
    }
  })

  it("never throws, whatever an option is", () => {
    const { cache } = openCache()
    const rude = new Proxy({}, { ownKeys: () => ["a"], get: () => JSON.parse("{") as unknown })
    let deep: unknown = 1
    for (let i = 0; i < 50_000; i++) deep = [deep]
    for (const extra of [rude, deep, Symbol("s"), new WeakMap(), Object.create(null), document]) {
      expect(() => cache.keyOf({ ...call, callOptions: { extra } })).not.toThrow()
    }
    expect(cache.keyOf({ ...call, request: { messages: null as never } })).toBeUndefined()
  })
})

/** As odd as what a browser's window holds. */
const document = {
  get body(): unknown {
    return this
  },
  [Symbol.toPrimitive]: () => 1,
}

function openCache(options: Partial<ResponseCacheOptions> = {}) {
  const problems: unknown[] = []
  const cache = responseCache({
    cache: new InMemoryCache(),
    identity: "deployments",
    sampled: false,
    onProblem: (error) => problems.push(error),
    ...options,
  })
  return { cache, problems, key: cache.keyOf(call) as CacheKey }
}

/** Keeps it, and lets the store have it. */
async function keep(flight: Flight, message: AIMessage): Promise<void> {
  flight.keep(message)
  await turn()
}

async function missOf(recalled: Promise<Recalled>): Promise<Flight> {
  const found = await recalled
  if ("miss" in found) return found.miss
  throw new Error("it was a hit")
}

async function hitOf(recalled: Promise<Recalled>): Promise<AIMessage> {
  const found = await recalled
  if ("hit" in found) return found.hit
  throw new Error("it was a miss")
}

/** Gives the last answer to any question, as a store of embeddings may. */
class SimilarityCache extends BaseCache {
  private last: Generation[] | null = null

  lookup(): Promise<Generation[] | null> {
    return Promise.resolve(this.last)
  }

  update(_prompt: string, _llmKey: string, value: Generation[]): Promise<void> {
    this.last = value
    return Promise.resolve()
  }
}

class DeadCache extends BaseCache {
  private readonly way: "throw" | "reject" | "hang"

  constructor(way: "throw" | "reject" | "hang") {
    super()
    this.way = way
  }

  lookup(): Promise<never> {
    if (this.way === "throw") throw new Error("down")
    return this.way === "reject" ? Promise.reject(new Error("down")) : new Promise(() => {})
  }

  update(): Promise<never> {
    return this.lookup()
  }
}

/** Stores nothing until it is let. */
class SlowCache extends InMemoryCache {
  private readonly gate = Promise.withResolvers<void>()

  release(): void {
    this.gate.resolve()
  }

  override async update(prompt: string, llmKey: string, value: Generation[]): Promise<void> {
    await this.gate.promise
    await wait(0)
    return super.update(prompt, llmKey, value)
  }
}

import { AIMessage, ChatMessage } from "@langchain/core/messages"
import type { ChatGeneration } from "@langchain/core/outputs"
import Keyv, { createKeyv } from "keyv"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../spec/errors.ts"
import { type KeyvStore, keyvCache } from "./keyv-cache.ts"

describe("a cache over Keyv", () => {
  it("gives back what it was given, every field of it [L7.keyv-response-cache]", async () => {
    const cache = keyvCache(new Keyv())
    const message = new AIMessage({
      content: [{ type: "text", text: ":colon first" }],
      id: "msg-1",
      additional_kwargs: { reasoning_content: "hm" },
      tool_calls: [{ name: "wave", args: { hand: "left" }, id: "c1", type: "tool_call" }],
    })
    message.response_metadata = { finish_reason: "stop", model_name: "small" }
    Object.assign(message, { usage_metadata: { input_tokens: 1, output_tokens: 2, total_tokens: 3 } })
    const generation: ChatGeneration = {
      text: ":colon first",
      message,
      generationInfo: { finish_reason: "stop" },
    }
    await cache.update("p", "m", [generation, { text: "a plain one" }])

    const found = await cache.lookup("p", "m")
    expect(found).toMatchObject([
      {
        text: ":colon first",
        generationInfo: { finish_reason: "stop" },
        message: {
          id: "msg-1",
          content: [{ type: "text", text: ":colon first" }],
          additional_kwargs: { reasoning_content: "hm" },
          tool_calls: [{ name: "wave", args: { hand: "left" }, id: "c1", type: "tool_call" }],
          response_metadata: { finish_reason: "stop", model_name: "small" },
          usage_metadata: { input_tokens: 1, output_tokens: 2, total_tokens: 3 },
        },
      },
      { text: "a plain one" },
    ])
    const [first] = found as ChatGeneration[]
    expect(AIMessage.isInstance(first?.message)).toBe(true)
  })

  it("keeps messages of other kinds as LangChain does", async () => {
    const cache = keyvCache(new Keyv())
    await cache.update("p", "m", [generationOf(new ChatMessage("Hi", "narrator"))])
    expect(await cache.lookup("p", "m")).toMatchObject([{ message: { content: "Hi", role: "narrator" } }])
  })

  it("gives a new object each time, also over a Keyv that hands out what it holds", async () => {
    const cache = keyvCache(createKeyv(new Map()))
    const message = new AIMessage({ content: "Hi", response_metadata: { a: { b: 1 } } })
    await cache.update("p", "m", [generationOf(message)])
    Object.assign(message.response_metadata["a"] as object, { b: 2 })
    const [first] = (await cache.lookup("p", "m")) ?? []
    Object.assign((first as ChatGeneration).message.response_metadata["a"] as object, { b: 3 })
    expect(await cache.lookup("p", "m")).toMatchObject([{ message: { response_metadata: { a: { b: 1 } } } }])
  })

  it("tells prompts and models apart, wherever the one ends and the other begins", async () => {
    const cache = keyvCache(new Keyv())
    await cache.update("a", "b_c", [{ text: "one" }])
    expect(await cache.lookup("a_b", "c")).toBeNull()
    await cache.update("\ud800a", "m", [{ text: "two" }])
    expect(await cache.lookup("\ud800\u0461", "m")).toBeNull()
  })

  it("shows the store no word of the prompt", async () => {
    const held = new Map<string, unknown>()
    await keyvCache(new Keyv(held)).update("my secret", "m", [{ text: "Hi" }])
    expect([...held.keys()]).toEqual([expect.stringMatching(/tierwise:cache:v1:[0-9a-f]{64}$/)])
  })

  it("forgets after the time to live, which Keyv is told", async () => {
    const set: unknown[] = []
    const keyv = new Keyv()
    const spied: KeyvStore = {
      get: (key) => keyv.get(key),
      delete: (key) => keyv.delete(key),
      set: (key, value, ttl) => {
        set.push(ttl)
        return keyv.set(key, value, ttl)
      },
    }
    await keyvCache(spied).update("p", "m", [{ text: "Hi" }])
    const cache = keyvCache(spied, { ttlMs: 30 })
    await cache.update("q", "m", [{ text: "Hi" }])
    expect(set).toEqual([86_400_000, 30])
    expect(await cache.lookup("q", "m")).toEqual([{ text: "Hi" }])
    await new Promise((resolve) => setTimeout(resolve, 40))
    expect(await cache.lookup("q", "m")).toBeNull()
  })

  it("leaves out what is longer than the limit, in bytes", async () => {
    const cache = keyvCache(new Keyv(), { maxEntryBytes: 100 })
    await cache.update("short", "m", [{ text: "é".repeat(40) }])
    await cache.update("long", "m", [{ text: "é".repeat(50) }])
    expect(await cache.lookup("short", "m")).not.toBeNull()
    expect(await cache.lookup("long", "m")).toBeNull()
  })

  it("leaves out what JSON would change", async () => {
    const cache = keyvCache(new Keyv())
    const data = new Uint8Array([1])
    await cache.update("p", "m", [
      generationOf(new AIMessage({ content: [{ type: "image", mimeType: "x/y", data }] })),
    ])
    expect(await cache.lookup("p", "m")).toBeNull()
  })

  it("holds so many entries and no more, and lets go of the one that was not asked for the longest", async () => {
    const held = new Map<string, unknown>()
    const cache = keyvCache(new Keyv(held), { maxEntries: 2 })
    for (const prompt of ["a", "b"]) await cache.update(prompt, "m", [{ text: prompt }])
    await cache.lookup("a", "m")
    await cache.update("c", "m", [{ text: "c" }])
    await cache.update("c", "m", [{ text: "c again" }])
    await expect.poll(() => held.size).toBe(2)
    expect(await cache.lookup("a", "m")).toEqual([{ text: "a" }])
    expect(await cache.lookup("b", "m")).toBeNull()
    expect(await cache.lookup("c", "m")).toEqual([{ text: "c again" }])
  })

  it("deletes nothing that it only writes anew", async () => {
    const deleted: string[] = []
    const keyv: KeyvStore = {
      get: async () => undefined,
      set: async () => true,
      delete: async (key) => deleted.push(key),
    }
    const cache = keyvCache(keyv, { maxEntries: 1 })
    for (const prompt of ["a", "a", "b"]) await cache.update(prompt, "m", [{ text: prompt }])
    expect(deleted).toHaveLength(1)
  })

  it.each([
    "not json",
    "{}",
    "[5]",
    '[{"text":1}]',
    '[{"text":"Hi","fields":{"content":5}}]',
    '[{"text":"Hi","message":7}]',
    5,
    {},
  ])("takes a store that holds %j for a miss, and says so", async (rubbish) => {
    const held = new Map<string, unknown>()
    const errors: unknown[] = []
    const keyv = new Keyv(held)
    const cache = keyvCache(keyv, { onError: (error) => errors.push(error) })
    await cache.update("p", "m", [{ text: "Hi" }])
    const [key] = [...held.keys()] as [string]
    await keyv.set(key, rubbish)
    expect(await cache.lookup("p", "m")).toBeNull()
    expect(errors).toMatchObject([{ message: "an entry of the cache cannot be read" }])
  })
})

describe("a Keyv that fails", () => {
  it.each([
    [
      "throws",
      () => {
        throw new Error("down")
      },
    ],
    ["rejects", () => Promise.reject(new Error("down"))],
    ["hangs", () => new Promise<never>(() => {})],
  ])("is a miss where it %s, and is told of", async (_, fails) => {
    const errors: unknown[] = []
    const cache = keyvCache(
      { get: fails, set: fails, delete: fails },
      { timeoutMs: 20, onError: (error) => errors.push(error) },
    )
    const startedAt = performance.now()
    expect(await cache.lookup("p", "m")).toBeNull()
    await cache.update("p", "m", [{ text: "Hi" }])
    expect(performance.now() - startedAt).toBeLessThan(200)
    expect(errors).not.toEqual([])
  })

  it("does not end the process by an error between calls", async () => {
    const keyv = new Keyv()
    expect(() => keyv.emit("error", new Error("unheard"))).toThrow("unheard")
    const errors: unknown[] = []
    keyvCache(keyv, {
      onError: (error) => {
        errors.push(error)
        throw new Error("listener")
      },
    })
    expect(() => keyv.emit("error", new Error("connection lost"))).not.toThrow()
    expect(errors).toMatchObject([{ message: "connection lost" }])
  })
})

describe("keyvCache", () => {
  it.each([
    ["a store that is none", () => keyvCache({} as never), "keyv"],
    ["nothing", () => keyvCache(undefined as never), "keyv"],
    ["a time to live of nothing", () => keyvCache(new Keyv(), { ttlMs: 0 }), "keyvCache.ttlMs"],
    ["half an entry", () => keyvCache(new Keyv(), { maxEntries: 1.5 }), "keyvCache.maxEntries"],
    ["a negative size", () => keyvCache(new Keyv(), { maxEntryBytes: -1 }), "keyvCache.maxEntryBytes"],
    [
      "an endless timeout",
      () => keyvCache(new Keyv(), { timeoutMs: Number.POSITIVE_INFINITY }),
      "keyvCache.timeoutMs",
    ],
  ])("refuses %s, naming the option", (_, make, path) => {
    expect(make).toThrow(ConfigError)
    expect(make).toThrow(new RegExp(`^${path}: `))
  })
})

function generationOf(message: AIMessage | ChatMessage): ChatGeneration {
  return { text: message.text, message }
}

import { BaseCache, deserializeStoredGeneration, serializeGeneration } from "@langchain/core/caches"
import { AIMessage, type StoredGeneration } from "@langchain/core/messages"
import type { ChatGeneration, Generation } from "@langchain/core/outputs"
import { sha256 } from "@langchain/core/utils/hash"
import { LRUCache } from "lru-cache"
import { ConfigError } from "../spec/errors.ts"
import { utf8Bytes } from "../tokens/utf8-bytes.ts"
import { areFields, fieldsOf, type MessageFields, messageFrom } from "./message-fields.ts"
import { plainJson } from "./plain-json.ts"
import { DEFAULT_CACHE_TIMEOUT_MS, entryOf } from "./response-cache.ts"
import { type AskStore, storeGuard, teller } from "./store-guard.ts"

/** A `Keyv` of version 5 or 6, with any store. */
export interface KeyvStore {
  get(key: string): Promise<unknown>
  set(key: string, value: unknown, ttl?: number): Promise<unknown>
  delete(key: string): Promise<unknown>
  on?(event: "error", listener: (error: unknown) => void): unknown
}

export interface KeyvCacheOptions {
  /** How long an answer is kept, ms; given to Keyv with each entry. Default 24 hours. */
  readonly ttlMs?: number | undefined
  /** A longer answer is not stored; UTF-8 bytes of its JSON. Default 256 KiB. */
  readonly maxEntryBytes?: number | undefined
  /**
   * The most entries that this process leaves in the store; the one that was not asked for the longest goes first.
   * Default 10,000. A store that is shared or outlives the process holds more: there the store's own limit rules.
   */
  readonly maxEntries?: number | undefined
  /** How long the store may take to answer, ms; then it is a miss. Default 250. */
  readonly timeoutMs?: number | undefined
  /** Told what goes wrong in the store, also between calls. No call fails for it. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Epoch ms. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

const OPTIONS: ReadonlySet<string> = new Set([
  "ttlMs",
  "maxEntryBytes",
  "maxEntries",
  "timeoutMs",
  "onError",
  "now",
] satisfies (keyof KeyvCacheOptions)[])

const DEFAULT_TTL_MS = 86_400_000
const DEFAULT_MAX_ENTRY_BYTES = 262_144
const DEFAULT_MAX_ENTRIES = 10_000

/** Before every key of ours. The number changes when an entry's form does, so that old entries are not found. */
const PREFIX = "tierwise:cache:v1:"

/**
 * A LangChain cache over any Keyv store, for `cache` of the router and of any LangChain model.
 *
 * Keys are SHA-256 digests. Each hit is a new object. A store that is away, slow or holds rubbish is a miss and never
 * an error; the listener this puts on Keyv's `error` event also keeps a store's failures from ending the process. An
 * answer that JSON would change (bytes, dates) is not stored.
 *
 * @example
 * import Keyv from "keyv"
 * import KeyvRedis from "@keyv/redis"
 * const cache = keyvCache(new Keyv(new KeyvRedis("redis://localhost:6379")), { ttlMs: 3_600_000 })
 * const model = new ChatOpenAI({ model: "small", cache })
 *
 * @throws ConfigError for what is no Keyv, and for a limit that is no positive number.
 */
export function keyvCache(keyv: KeyvStore, options: KeyvCacheOptions = {}): BaseCache {
  for (const method of ["get", "set", "delete"] as const) {
    if (typeof (keyv as Partial<KeyvStore> | undefined)?.[method] === "function") continue
    throw new ConfigError("keyv", `it has no ${method}()`, "pass a Keyv: keyvCache(new Keyv())")
  }
  const unknown = Object.keys(options).find((name) => !OPTIONS.has(name))
  if (unknown !== undefined) {
    throw new ConfigError(`keyvCache.${unknown}`, "there is no such option", `use ${[...OPTIONS].join(", ")}`)
  }
  return new KeyvCache(keyv, {
    ttlMs: positive("ttlMs", options.ttlMs ?? DEFAULT_TTL_MS),
    maxEntryBytes: positive("maxEntryBytes", options.maxEntryBytes ?? DEFAULT_MAX_ENTRY_BYTES),
    maxEntries: positive("maxEntries", options.maxEntries ?? DEFAULT_MAX_ENTRIES),
    timeoutMs: positive("timeoutMs", options.timeoutMs ?? DEFAULT_CACHE_TIMEOUT_MS),
    onError: teller(options.onError),
    now: options.now ?? Date.now,
  })
}

function positive(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new ConfigError(`keyvCache.${name}`, `${value} is no positive integer`, "give one, or leave it out")
}

/** A generation as it lies in the store. */
interface Stored {
  readonly text: string
  readonly generationInfo?: Record<string, unknown> | undefined
  /** A chat model's answer. */
  readonly fields?: MessageFields | undefined
  /** A message of another kind, in LangChain's own form. */
  readonly message?: StoredGeneration["message"]
}

class KeyvCache extends BaseCache {
  protected override keyEncoder = (...parts: string[]): string => sha256(JSON.stringify(parts)) as string
  private readonly keyv: KeyvStore
  private readonly ask: AskStore
  private readonly settings: {
    readonly [Name in keyof KeyvCacheOptions]-?: NonNullable<KeyvCacheOptions[Name]>
  }
  /** What this process has written, the least recently used first. */
  private readonly written: LRUCache<string, true>

  constructor(keyv: KeyvStore, settings: KeyvCache["settings"]) {
    super()
    const { timeoutMs, onError, now, maxEntries } = settings
    this.keyv = keyv
    this.settings = settings
    this.ask = storeGuard({ timeoutMs, onProblem: onError, now })
    this.written = new LRUCache({
      max: maxEntries,
      dispose: (_, key, reason) => {
        if (reason === "evict") void this.ask(() => this.keyv.delete(key))
      },
    })
    keyv.on?.("error", onError)
  }

  override async lookup(prompt: string, llmKey: string): Promise<Generation[] | null> {
    const key = this.keyOf(prompt, llmKey)
    const entry = await this.ask(() => this.keyv.get(key))
    if (entry === undefined || entry === null) return null
    this.written.get(key)
    return this.read(entry)
  }

  override async update(prompt: string, llmKey: string, generations: Generation[]): Promise<void> {
    const entry = this.write(generations)
    if (entry === undefined || utf8Bytes(entry) > this.settings.maxEntryBytes) return
    const key = this.keyOf(prompt, llmKey)
    this.written.set(key, true)
    await this.ask(() => this.keyv.set(key, entry, this.settings.ttlMs))
  }

  private keyOf(prompt: string, llmKey: string): string {
    return PREFIX + this.keyEncoder(prompt, llmKey)
  }

  /** A text, whatever the store's own form: it then cannot hand out the same object twice. */
  private write(generations: readonly Generation[]): string | undefined {
    try {
      return plainJson(generations.map(stored))
    } catch (error) {
      this.settings.onError(error)
      return undefined
    }
  }

  private read(entry: unknown): Generation[] | null {
    try {
      return (JSON.parse(entry as string) as readonly Stored[]).map(restored)
    } catch (error) {
      this.settings.onError(new Error("an entry of the cache cannot be read", { cause: error }))
      return null
    }
  }
}

function stored(generation: Generation): Stored {
  const { text, generationInfo } = generation
  const { message } = generation as Partial<ChatGeneration>
  const info = generationInfo && { generationInfo }
  if (message === undefined) return { text, ...info }
  // The router's own entries hold the message in their text already.
  if (entryOf(text) !== undefined) return { text, ...info }
  if (AIMessage.isInstance(message)) return { text, ...info, fields: fieldsOf(message) }
  return { ...(serializeGeneration(generation) as Stored), ...info }
}

/** @throws TypeError for what `stored` did not make. */
function restored({ text, generationInfo, fields, message }: Stored): Generation {
  if (typeof text !== "string") throw new TypeError("it has no text")
  const info = generationInfo && { generationInfo }
  if (message !== undefined) return { ...deserializeStoredGeneration({ text, message }), ...info }
  if (fields === undefined) {
    const own = entryOf(text)
    return { text, ...info, ...(own && { message: messageFrom(own.fields) }) }
  }
  if (!areFields(fields)) throw new TypeError("its message is not whole")
  return { text, ...info, message: messageFrom(fields) } as ChatGeneration
}

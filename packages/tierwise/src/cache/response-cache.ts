import type { BaseCache } from "@langchain/core/caches"
import type { AIMessage } from "@langchain/core/messages"
import type { ChatGeneration } from "@langchain/core/outputs"
import { type CacheableCall, type CacheKey, type CacheKeyOptions, cacheKey } from "./cache-key.ts"
import { areFields, fieldsOf, type MessageFields, messageFrom } from "./message-fields.ts"
import { plainJson } from "./plain-json.ts"
import { storeGuard, teller } from "./store-guard.ts"

/** The answers that were given before, for as long as their store keeps them. */
export interface ResponseCache {
  /** Undefined: this call is never cached. Never throws. */
  keyOf(call: CacheableCall): CacheKey | undefined
  /**
   * The stored answer as a message of its own, or the duty to make it. Waits while another call of this process makes
   * it; if that one brings no answer, everybody who waited goes on alone.
   *
   * @throws the signal's reason, the moment it aborts; those who wait beside are not disturbed.
   */
  recall(key: CacheKey, signal?: AbortSignal): Promise<Recalled>
}

export type Recalled = { readonly hit: AIMessage } | { readonly miss: Flight }

/** An answer being made. Close it on every way out: those who asked the same are waiting. The first close counts. */
export interface Flight {
  /** For an answer that was accepted: hands it to those who wait, then stores it. Never throws. */
  keep(message: AIMessage): void
  /** Those who wait go on alone, because nobody knows how long this will take; the answer may be kept all the same. */
  release(): void
  /** There is no answer. */
  abandon(): void
}

export interface ResponseCacheOptions extends CacheKeyOptions {
  /** Any of LangChain's caches. It is shown a digest of the question, and the answer as JSON. */
  readonly cache: BaseCache
  /** How long the store may take to answer, ms; then it is a miss. Default 250. */
  readonly timeoutMs?: number | undefined
  /**
   * How long a call waits for one that asked the same before, ms; then it goes on alone. Default 10,000. It may be asked
   * from inside the other one, by a validator, which would wait for ever.
   */
  readonly waitMs?: number | undefined
  /** Told what the store, or a user's `normalize`, did wrong. No call fails for it. */
  readonly onProblem?: ((error: unknown) => void) | undefined
  /** Epoch ms. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

export const DEFAULT_CACHE_TIMEOUT_MS = 250

const DEFAULT_WAIT_MS = 10_000

/**
 * What the router does with a cache. Equal calls that come at once are answered once: the first makes the answer, the
 * others wait for it, whether or not the store works.
 *
 * A hit is a fresh copy without an id, because a graph's list of messages replaces what has the same id; its usage is
 * zero, as LangChain counts hits, and its response metadata is the kept answer's.
 */
export function responseCache(options: ResponseCacheOptions): ResponseCache {
  const { cache, timeoutMs = DEFAULT_CACHE_TIMEOUT_MS, waitMs = DEFAULT_WAIT_MS } = options
  const { onProblem, now = Date.now } = options
  const tell = teller(onProblem)
  const ask = storeGuard({ timeoutMs, onProblem, now })
  /** Keys whose answer is being looked up, made or stored. Undefined in the end: there was none. */
  const flights = new Map<string, Promise<MessageFields | undefined>>()

  return {
    keyOf(call) {
      try {
        return cacheKey(call, options)
      } catch (error) {
        tell(error)
        return undefined
      }
    },

    async recall(key, signal) {
      signal?.throwIfAborted()
      const flight = flights.get(key.id)
      if (flight === undefined) return lead(key, signal)
      const landed = await untilAborted(atMost(waitMs, flight), signal)
      return landed === undefined ? { miss: alone(key) } : { hit: messageFrom(landed) }
    },
  }

  async function lead(key: CacheKey, signal: AbortSignal | undefined): Promise<Recalled> {
    const flight = takeOff(key)
    try {
      const stored = await untilAborted(lookUp(key), signal)
      if (stored === undefined) return { miss: flight }
      flight.land(stored)
      return { hit: messageFrom(stored) }
    } catch (error) {
      flight.abandon()
      throw error
    }
  }

  function takeOff(key: CacheKey): Flight & { land(fields: MessageFields | undefined): void } {
    const { promise, resolve } = Promise.withResolvers<MessageFields | undefined>()
    let inMap = promise
    flights.set(key.id, promise)
    let isOpen = true
    const leave = () => {
      if (flights.get(key.id) === inMap) flights.delete(key.id)
    }
    const land = (fields: MessageFields | undefined) => {
      leave()
      resolve(fields)
    }
    const once = (close: () => void) => () => {
      if (isOpen) close()
      isOpen = false
    }
    return {
      land,
      release: () => {
        // An answer that was kept is there for everybody.
        if (isOpen) land(undefined)
      },
      abandon: once(() => land(undefined)),
      keep: (message) =>
        once(() => {
          const fields = copyOf(message)
          if (fields === undefined) return land(undefined)
          resolve(fields)
          // Whoever comes while it is being stored would not find it there yet; those who waited may be gone already.
          if (!flights.has(key.id)) {
            inMap = Promise.resolve(fields)
            flights.set(key.id, inMap)
          }
          void store(key, fields).finally(leave)
        })(),
    }
  }

  /** For a call that waited in vain: nobody waits for it. */
  function alone(key: CacheKey): Flight {
    const nothing = () => {}
    return { keep: (message) => void store(key, copyOf(message)), release: nothing, abandon: nothing }
  }

  async function lookUp(key: CacheKey): Promise<MessageFields | undefined> {
    const found = await ask(() => cache.lookup(key.prompt, key.llmKey))
    const text: unknown = found?.[0]?.text
    return typeof text === "string" ? readEntry(text, key) : undefined
  }

  async function store(key: CacheKey, fields: MessageFields | undefined): Promise<void> {
    const text = fields && plainJson({ key: key.id, fields })
    if (fields === undefined || text === undefined) return
    // The text is ours, and exact in any store. The message is for LangChain's readers, and every store has its own way with it.
    const generation: ChatGeneration = { text, message: messageFrom(fields) }
    await ask(() => cache.update(key.prompt, key.llmKey, [generation]))
  }

  function copyOf(message: AIMessage): MessageFields | undefined {
    try {
      const { id: _, ...fields } = fieldsOf(message)
      return { ...fields, usage_metadata: { input_tokens: 0, output_tokens: 0, total_tokens: 0 } }
    } catch (error) {
      tell(error)
      return undefined
    }
  }
}

/** An entry names its key: a store that answers with what is merely similar, or alike as text, has no answer. */
function readEntry(text: string, key: CacheKey): MessageFields | undefined {
  const entry = entryOf(text)
  return entry?.key === key.id ? entry.fields : undefined
}

/** The router's entry in the text of a stored generation. */
export function entryOf(text: string): { readonly key: unknown; readonly fields: MessageFields } | undefined {
  if (!text.startsWith('{"')) return undefined
  try {
    const { key, fields } = JSON.parse(text) as { key?: unknown; fields?: unknown }
    return areFields(fields) ? { key, fields } : undefined
  } catch {
    return undefined
  }
}

/** `promise`, or undefined if it takes longer than `ms`. */
async function atMost<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), ms)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** `promise`, or the signal's reason the moment it aborts. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener("abort", onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener("abort", onAbort)
  }
}

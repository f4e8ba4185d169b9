import { hash } from "node:crypto"
import type { ChatRequest } from "./protocol.ts"
import type { PromptTokens } from "./tokens.ts"

/** Which beginnings of conversations a model has read lately. */
export interface PromptCache {
  /** What of this prompt is known already; from now on all of it is. */
  read(request: ChatRequest, tokens: PromptTokens): CachedTokens
}

/** Both are parts of the prompt, and no part of each other. */
export interface CachedTokens {
  readonly read: number
  readonly written: number
}

// OpenAI's prompt caching guide: from 1,024 tokens, in steps of 128, cleared after 5 to 10 minutes without use.
const LEAST_TOKENS = 1_024
const STEP = 128
const LIFETIME_MS = 5 * 60_000
const MOST_ENTRIES = 10_000

/** Remembers prefixes at the ends of messages; a real provider does it at every step of tokens. */
export function promptCache(now: () => number): PromptCache {
  const expiries = new Map<string, number>()
  return {
    read: (request, tokens) => {
      if (tokens.total < LEAST_TOKENS) return { read: 0, written: 0 }
      const at = now()
      let prefix = hash("sha256", JSON.stringify([request.model, request.tools, request.response_format]))
      let read = 0
      let kept = 0
      request.messages.forEach((message, index) => {
        prefix = hash("sha256", prefix + JSON.stringify(message))
        const through = tokens.through[index] ?? 0
        if (through < LEAST_TOKENS) return
        kept = Math.floor(through / STEP) * STEP
        if ((expiries.get(prefix) ?? 0) > at) read = kept
        expiries.delete(prefix)
        expiries.set(prefix, at + LIFETIME_MS)
      })
      for (const oldest of expiries.keys()) {
        if (expiries.size <= MOST_ENTRIES) break
        expiries.delete(oldest)
      }
      return { read, written: kept - read }
    },
  }
}

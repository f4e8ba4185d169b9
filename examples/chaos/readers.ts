import { ChatOpenAI } from "@langchain/openai"
import { healthBook, isRestart, RouterChatModel } from "tierwise"
import { MODELS } from "./schedule.ts"

/** What a call may take, and how long nothing may come, ms. */
const DEADLINE_MS = 3_000
const STALL_MS = 400

type Chunks = AsyncIterable<{ readonly text: string; readonly response_metadata: Record<string, unknown> }>

/** Whoever can be asked for a stream. */
export interface Reader {
  /** @param number Of the call: who has only a list begins each time at another place of it. */
  stream(question: string, number: number, signal: AbortSignal): Promise<Chunks>
}

/** What a reader has in the end who forgets what he is told to forget. */
export async function ask(
  reader: Reader,
  question: string,
  number: number,
  signal: AbortSignal,
): Promise<string> {
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)])
  let words = ""
  for await (const chunk of await reader.stream(question, number, inTime)) {
    words = isRestart(chunk) ? "" : words + chunk.text
  }
  return words
}

/** One router for all of them. */
export function openRouter(baseUrl: string) {
  const health = healthBook({ breaker: { openMs: 1_000, longestOpenMs: 4_000 } })
  const router = new RouterChatModel({
    tiers: ["only"],
    deployments: MODELS.map(({ id, price }) => ({ id, tier: "only", model: chatModel(baseUrl, id), price })),
    order: "weighted",
    health,
    midStream: "restart",
    attemptTimeoutMs: STALL_MS,
    stallTimeoutMs: STALL_MS,
    maxFallbackAttempts: MODELS.length - 1,
  })
  const reader: Reader = { stream: (question, _, signal) => router.stream(question, { signal }) }
  return { reader, state: (id: string) => health.report(id).breaker }
}

/** The same models, each with the others to fall back on. */
export function openFallbacks(baseUrl: string): Reader {
  const chains = MODELS.map((_, first) => {
    const ids = [...MODELS.slice(first), ...MODELS.slice(0, first)].map(({ id }) => id)
    const [primary, ...others] = ids.map((id) => chatModel(baseUrl, id, STALL_MS))
    return (primary as ChatOpenAI).withFallbacks(others)
  })
  return {
    stream: (question, number, signal) =>
      (chains[number % chains.length] as (typeof chains)[number]).stream(question, { signal }),
  }
}

/** @param timeoutMs Until an answer begins; undefined: whoever calls it has a timer of his own. */
function chatModel(baseURL: string, model: string, timeoutMs?: number): ChatOpenAI {
  const timeout = timeoutMs === undefined ? {} : { timeout: timeoutMs }
  return new ChatOpenAI({
    model,
    apiKey: "not-needed",
    configuration: { baseURL },
    maxRetries: 0,
    ...timeout,
  })
}

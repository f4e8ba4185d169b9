import { ChatOpenAI } from "@langchain/openai"
import { createAgent, modelFallbackMiddleware } from "langchain"
import { isRestart, RouterChatModel, retryBudget } from "tierwise"
import { DEADLINE_MS, DEPLOYMENTS, type DeploymentId, STALL_MS } from "./schedule.ts"
import { type HealthSeen, NOTHING_SEEN, type WatchedHealth, watchedHealth } from "./watched-health.ts"

/** What is compared. */
export const SYSTEMS = ["tierwise", "withFallbacks", "modelFallbackMiddleware"] as const

export type SystemName = (typeof SYSTEMS)[number]

/** One of them, as a process holds it. */
export interface System {
  /**
   * What the reader of a stream has in the end.
   *
   * @param caller Callers of what cannot balance each begin with another deployment.
   */
  ask(question: string, caller: number): Promise<string>
  /** Of the health book, since it was opened. */
  seen(): HealthSeen
  close(): Promise<void>
}

export interface SystemOptions {
  readonly baseUrl: string
  readonly redisUrl: string
  /** Names the health that processes share. */
  readonly name: string
}

export const OPEN: Readonly<Record<SystemName, (options: SystemOptions) => System>> = {
  tierwise: openRouter,
  withFallbacks: openFallbacks,
  modelFallbackMiddleware: openAgents,
}

/**
 * Shorter than the defaults, for a pass of a minute; and quicker, for a bar of one second: each process sees a deployment's
 * failures as seldom as six times a second.
 */
export const BREAKER = { failures: 4, openMs: 1_000, longestOpenMs: 8_000 }
export const POLL_MS = 100

function openRouter({ baseUrl, redisUrl, name }: SystemOptions): System {
  const watched: WatchedHealth = watchedHealth({ redisUrl, name, breaker: BREAKER, pollMs: POLL_MS })
  const router = new RouterChatModel({
    tiers: ["only"],
    deployments: DEPLOYMENTS.map((id) => ({
      id,
      tier: "only",
      model: chatModel(baseUrl, id),
      price: { inputPerMTok: 1, outputPerMTok: 1 },
    })),
    order: "weighted",
    health: watched.health,
    midStream: "restart",
    deadlineMs: DEADLINE_MS,
    attemptTimeoutMs: STALL_MS,
    stallTimeoutMs: STALL_MS,
    maxFallbackAttempts: DEPLOYMENTS.length - 1,
    retryBudget: retryBudget(),
  })
  return {
    async ask(question) {
      let words = ""
      for await (const chunk of await router.stream(question)) {
        words = isRestart(chunk) ? "" : words + chunk.text
      }
      return words
    },
    seen: () => watched.seen(),
    close: () => watched.close(),
  }
}

/** Whoever has only a list spreads his load by beginning at different places of it. */
function rotations(): readonly (readonly DeploymentId[])[] {
  return DEPLOYMENTS.map((_, first) => [...DEPLOYMENTS.slice(first), ...DEPLOYMENTS.slice(0, first)])
}

function openFallbacks({ baseUrl }: SystemOptions): System {
  const chains = rotations().map((ids) => {
    const [first, ...others] = ids.map((id) => chatModel(baseUrl, id, STALL_MS))
    return (first as ChatOpenAI).withFallbacks(others)
  })
  return {
    async ask(question, caller) {
      const chain = chains[caller % chains.length] as (typeof chains)[number]
      const signal = AbortSignal.timeout(DEADLINE_MS)
      let words = ""
      for await (const chunk of await chain.stream(question, { signal })) {
        words += chunk.text
      }
      return words
    },
    seen: () => NOTHING_SEEN,
    close: async () => {},
  }
}

function openAgents({ baseUrl }: SystemOptions): System {
  const agents = rotations().map((ids) => {
    const [first, ...others] = ids.map((id) => chatModel(baseUrl, id, STALL_MS))
    return createAgent({
      model: first as ChatOpenAI,
      tools: [],
      middleware: [modelFallbackMiddleware(...others)],
    })
  })
  return {
    async ask(question, caller) {
      const agent = agents[caller % agents.length] as (typeof agents)[number]
      const signal = AbortSignal.timeout(DEADLINE_MS)
      let words = ""
      let message: string | undefined
      const messages = [{ role: "user", content: question }]
      for await (const [chunk] of await agent.stream({ messages }, { signal, streamMode: "messages" })) {
        // In its favour: a reader who notices that another message begins forgets the one before.
        if (chunk.id !== message) words = ""
        message = chunk.id
        words += chunk.text
      }
      return words
    },
    seen: () => NOTHING_SEEN,
    close: async () => {},
  }
}

/** @param timeoutMs Until the answer's headers; undefined: whoever calls it has a timer. */
function chatModel(baseURL: string, model: DeploymentId, timeoutMs?: number): ChatOpenAI {
  return new ChatOpenAI({
    model,
    apiKey: "none",
    configuration: { baseURL },
    maxRetries: 0,
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
  })
}

import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { ChatOpenAI, type ChatOpenAIFields } from "@langchain/openai"
import {
  type DeploymentOptions,
  type RouteRecord,
  RouterChatModel,
  type RouterChatModelFields,
} from "tierwise"

/** Answers the nth request as told; the last way of answering stays. */
export type Way = (response: ServerResponse, request: IncomingMessage) => void

/** A provider that says what no well-behaved one says, and a router over it with two tiers. */
export interface OddWorld {
  readonly baseUrl: string
  /** Bodies received so far. */
  readonly bodies: readonly Record<string, unknown>[]
  readonly records: readonly RouteRecord[]
  router(options?: Partial<RouterChatModelFields>, model?: Partial<ChatOpenAIFields>): RouterChatModel
  [Symbol.asyncDispose](): Promise<void>
}

export async function openOddWorld(...ways: readonly Way[]): Promise<OddWorld> {
  const bodies: Record<string, unknown>[] = []
  const records: RouteRecord[] = []
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on("end", () => {
      bodies.push(JSON.parse(body) as Record<string, unknown>)
      ways[Math.min(bodies.length, ways.length) - 1]?.(response, request)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  const observer = {
    on: (event: { readonly type: string; readonly record?: RouteRecord }) => {
      if (event.record !== undefined) records.push(event.record)
    },
  }
  return {
    baseUrl,
    bodies,
    records,
    router: (options = {}, model = {}) =>
      new RouterChatModel({
        tiers: ["light", "heavy"],
        deployments: ["light", "heavy"].map((tier, index) => deployment(tier, 1 + 9 * index, baseUrl, model)),
        maxOutputTokens: 100,
        retryBaseMs: 1,
        ...options,
        observers: [observer],
      }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function deployment(
  tier: string,
  price: number,
  baseURL: string,
  model: Partial<ChatOpenAIFields>,
): DeploymentOptions {
  return {
    id: tier,
    tier,
    model: new ChatOpenAI({ model: tier, apiKey: "none", configuration: { baseURL }, ...model }),
    price: { inputPerMTok: price, outputPerMTok: 10 * price },
    profile: { maxInputTokens: 32_000, toolCalling: true, structuredOutput: true },
  }
}

const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }

/** A chat completion; `more` replaces fields of it. */
export const answers =
  (content: string, more: object = {}): Way =>
  (response) => {
    const choices = [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }]
    const body = { id: "c-1", object: "chat.completion", created: 1, model: "m", choices, usage, ...more }
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body))
  }

/** A 200 with any body. */
export const says =
  (body: string, contentType = "application/json"): Way =>
  (response) => {
    response.writeHead(200, { "content-type": contentType }).end(body)
  }

/** Promises a longer body than it sends, and hangs up. */
export const cutsItsBody: Way = (response) => {
  response.writeHead(200, { "content-type": "application/json", "content-length": "9999" })
  response.write('{"id":"c-1","choices":[{"index":0,"message":{"role":"assistant","content":"Fir')
  setTimeout(() => response.destroy(), 20)
}

/** A stream of deltas, words or others; ends as told. `short`: well, but without a finish reason. */
export const streams =
  (deltas: readonly (string | object)[], end: "done" | "cut" | "silent" | "short" = "done"): Way =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    const chunk = (delta: object, finish_reason: string | null) =>
      `data: ${JSON.stringify({ id: "c-1", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason }] })}\n\n`
    for (const delta of deltas) {
      const said = typeof delta === "string" ? { content: delta } : delta
      response.write(chunk({ role: "assistant", ...said }, null))
    }
    if (end === "silent") return
    if (end === "cut") {
      setTimeout(() => response.destroy(), 20)
      return
    }
    if (deltas.length > 0 && end === "done") response.write(chunk({}, "stop"))
    response.end("data: [DONE]\n\n")
  }

import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { anthropicMessages } from "./protocols-anthropic.ts"
import { ollamaChat } from "./protocols-ollama.ts"
import { openaiChat } from "./protocols-openai-chat.ts"
import { openaiResponses } from "./protocols-openai-responses.ts"

export type Body = Readonly<Record<string, unknown>>

/** What a provider is told to say next, in nobody's protocol. */
export interface Turn {
  readonly text?: string
  readonly thinking?: string
  readonly calls?: readonly Call[]
  /** Where the text is from, in the form that the provider has for it. */
  readonly cited?: string
}

export interface Call {
  /** Of servers that make up their ids as they like; else the provider's own. */
  readonly id?: string
  readonly name: string
  readonly args: Readonly<Record<string, unknown>>
}

/** One turn of a conversation as a provider has received it, in nobody's protocol. */
export type Said =
  | { readonly by: "human" | "system"; readonly text: string }
  | { readonly by: "ai"; readonly text: string; readonly calls: readonly Call[] }
  | { readonly by: "tool"; readonly text: string; readonly of: Call | undefined }

/** What a provider has given out and takes back from the same model alone: signatures, encrypted items, ids of items. */
export interface Issued {
  issue(prefix: string, model: string): string
  /** An id that goes with its call wherever that goes. */
  callId(prefix: string): string
  /** True if it was given out by this model. */
  isOf(secret: unknown, model: string): boolean
  all(): readonly string[]
}

/** How a provider's HTTP interface speaks, and what it refuses. */
export interface Protocol {
  readonly contentType: string
  /** Why it refuses this request; undefined: it does not. */
  refusal(body: Body, issued: Issued): string | undefined
  answer(turn: Turn, model: string, issued: Issued): object
  /** The answer in pieces, as they stand on the wire. */
  stream(turn: Turn, model: string, issued: Issued): readonly string[]
  read(body: Body): readonly Said[]
  /** The provider's own package, pointed at a server. */
  model(baseUrl: string, name: string): BaseChatModel
}

export const PROTOCOLS = {
  "openai-chat": openaiChat,
  "openai-responses": openaiResponses,
  anthropic: anthropicMessages,
  ollama: ollamaChat,
} as const satisfies Readonly<Record<string, Protocol>>

export type ProtocolName = keyof typeof PROTOCOLS

/** A provider on loopback. Close it with `await using`. */
export interface Provider {
  readonly protocol: Protocol
  readonly issued: Issued
  /** Bodies received so far, refused ones too. */
  readonly bodies: readonly Body[]
  /** What it says from now on. */
  says(turn: Turn): void
  model(name: string): BaseChatModel
  [Symbol.asyncDispose](): Promise<void>
}

export async function openProvider(name: ProtocolName): Promise<Provider> {
  const protocol: Protocol = PROTOCOLS[name]
  const issued = issuer()
  const bodies: Body[] = []
  let turn: Turn = { text: "Hello!" }
  const server = createServer((request, response) => {
    let received = ""
    request.on("data", (chunk: Buffer) => {
      received += chunk.toString()
    })
    request.on("end", () => {
      const body = JSON.parse(received) as Body
      bodies.push(body)
      const refusal = protocol.refusal(body, issued)
      if (refusal !== undefined) {
        const error = { type: "invalid_request_error", message: refusal }
        response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ error }))
        return
      }
      const model = String(body["model"])
      if (body["stream"] === true) {
        response.writeHead(200, { "content-type": protocol.contentType })
        for (const piece of protocol.stream(turn, model, issued)) response.write(piece)
        response.end()
        return
      }
      const answer = JSON.stringify(protocol.answer(turn, model, issued))
      response.writeHead(200, { "content-type": "application/json" }).end(answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    protocol,
    issued,
    bodies,
    says: (next) => {
      turn = next
    },
    model: (modelName) => protocol.model(baseUrl, modelName),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function issuer(): Issued {
  const owners = new Map<string, string>()
  let count = 0
  const next = (prefix: string) => `${prefix}${String(++count).padStart(24, "0")}`
  return {
    issue: (prefix, model) => {
      const secret = next(prefix)
      owners.set(secret, model)
      return secret
    },
    callId: next,
    isOf: (secret, model) => typeof secret === "string" && owners.get(secret) === model,
    all: () => [...owners.keys()],
  }
}

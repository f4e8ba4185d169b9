import { readdirSync, readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { ChatAnthropic } from "@langchain/anthropic"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { type Price, type RouteRecord, RouterChatModel, type Usage } from "tierwise"
import { type Body, PROTOCOLS, type Protocol, type ProtocolName } from "./protocols.ts"
import { sse } from "./protocols-rules.ts"

/**
 * One call of a provider as it publishes its answers, and the invoice that follows from its published prices, worked out
 * by hand. The figures are those of the provider's page on the day that is given with them.
 */
export interface GoldenCall {
  readonly name: string
  readonly shows: string
  readonly speaks: ProtocolName
  readonly model: string
  /** The page that shows the answer's shape. */
  readonly payload: string
  readonly price: Price
  /** `provider/model` in the maintained price list, which must say the same. */
  readonly listed?: string
  readonly whole: Body
  /** The same answer as a stream. */
  readonly stream: readonly Body[]
  /** Counts that are not 0; null: the provider reports none. */
  readonly usage: Partial<Usage> | null
  readonly invoice: {
    /** What is charged, and for how much, NanoUsd. */
    readonly lines: readonly (readonly [what: string, nanoUsd: number])[]
    readonly nanoUsd: number
  } | null
  /** The requirement it proves. */
  readonly proves: string | null
}

const folder = new URL("../golden/", import.meta.url)

export const GOLDEN_CALLS: readonly GoldenCall[] = readdirSync(folder)
  .filter((file) => file.endsWith(".json"))
  .map((file) => ({
    ...(JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Omit<GoldenCall, "name">),
    name: file.replace(".json", ""),
  }))

/** A provider on loopback that gives a golden answer to whatever it is asked, and a router over its own package. */
export interface GoldenWorld {
  readonly router: RouterChatModel
  readonly records: readonly RouteRecord[]
  [Symbol.asyncDispose](): Promise<void>
}

export async function openGoldenWorld({
  speaks,
  model,
  price,
  whole,
  stream,
}: GoldenCall): Promise<GoldenWorld> {
  const protocol: Protocol = PROTOCOLS[speaks]
  const server = createServer((request, response) => {
    let received = ""
    request.on("data", (chunk: Buffer) => {
      received += chunk.toString()
    })
    request.on("end", () => {
      if ((JSON.parse(received) as Body)["stream"] !== true) {
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(whole))
        return
      }
      response.writeHead(200, { "content-type": protocol.contentType })
      for (const event of stream) response.write(onWire(speaks, event))
      response.end(speaks === "openai-chat" ? "data: [DONE]\n\n" : undefined)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const records: RouteRecord[] = []
  const router = new RouterChatModel({
    tiers: ["only"],
    deployments: [
      { tier: "only", model: modelOf(speaks, model, baseUrl), price, profile: { maxInputTokens: 1_000_000 } },
    ],
    observers: [
      {
        on: (event) => {
          if (event.type === "request-ended") records.push(event.record)
        },
      },
    ],
  })
  return {
    router,
    records,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The protocol's own model of Anthropic thinks, in a way that not every model takes. */
function modelOf(speaks: ProtocolName, model: string, baseUrl: string): BaseChatModel {
  if (speaks !== "anthropic") return PROTOCOLS[speaks].model(baseUrl, model)
  return new ChatAnthropic({ model, apiKey: "none", anthropicApiUrl: baseUrl })
}

function onWire(speaks: ProtocolName, event: Body): string {
  if (speaks === "ollama") return `${JSON.stringify(event)}\n`
  return sse(event, speaks === "openai-chat" ? undefined : String(event["type"]))
}

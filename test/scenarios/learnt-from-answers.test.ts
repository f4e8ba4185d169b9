import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { ChatAnthropic } from "@langchain/anthropic"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { AIMessageChunk } from "@langchain/core/messages"
import { ChatOllama } from "@langchain/ollama"
import { ChatOpenAI } from "@langchain/openai"
import { startSimulator } from "@tierwise/simulator"
import {
  type DeploymentOptions,
  type HeaderSource,
  RouterChatModel,
  type RouterChatModelFields,
  responseHeaders,
} from "tierwise"
import { describe, expect, it } from "vitest"
import { type Issued, PROTOCOLS, type Protocol, type ProtocolName } from "./protocols.ts"
import { onCue, settled, talking } from "./registry-world.ts"
import { chatModel, replyMetadata } from "./world.ts"

const START = Date.UTC(2026, 0, 15)
const RESET_MS = 30_000

/** "Nothing is left for 30 s", as each provider says it with a good answer. */
const NOTHING_LEFT: Readonly<Record<ProtocolName, Readonly<Record<string, string>>>> = {
  "openai-chat": { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30s" },
  "openai-responses": { "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "30s" },
  anthropic: {
    "anthropic-ratelimit-requests-remaining": "0",
    "anthropic-ratelimit-requests-reset": new Date(START + RESET_MS).toISOString(),
  },
  // Ollama says nothing; what stands before it may.
  ollama: { ratelimit: '"default";r=0;t=30' },
}

type Fetch = typeof globalThis.fetch

/** Each provider's own package, with a fetch. */
const CHATS: Readonly<Record<ProtocolName, (baseUrl: string, fetch: Fetch) => BaseChatModel>> = {
  "openai-chat": (baseURL, fetch) => new ChatOpenAI({ ...asked, configuration: { baseURL, fetch } }),
  "openai-responses": (baseURL, fetch) =>
    new ChatOpenAI({ ...asked, useResponsesApi: true, configuration: { baseURL, fetch } }),
  anthropic: (anthropicApiUrl, fetch) =>
    new ChatAnthropic({ ...asked, anthropicApiUrl, clientOptions: { fetch } }),
  ollama: (baseUrl, fetch) => new ChatOllama({ model: "m-1", maxRetries: 0, baseUrl, fetch }),
}
const asked = { model: "m-1", apiKey: "none", maxRetries: 0 }

/** A provider on loopback that answers well, with these headers. Close it with `await using`. */
async function openProvider(name: ProtocolName, headers: Readonly<Record<string, string>>) {
  const protocol: Protocol = PROTOCOLS[name]
  const turn = { text: "Hello!" }
  const server = createServer((request, response) => {
    let received = ""
    request.on("data", (chunk: Buffer) => {
      received += chunk.toString()
    })
    request.on("end", () => {
      const { stream: isStream } = JSON.parse(received) as { readonly stream?: boolean }
      response.writeHead(200, {
        "content-type": isStream === true ? protocol.contentType : "application/json",
        ...headers,
      })
      const pieces =
        isStream === true
          ? protocol.stream(turn, "m-1", ISSUED)
          : [JSON.stringify(protocol.answer(turn, "m-1", ISSUED))]
      for (const piece of pieces) response.write(piece)
      response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Nothing is given back here that a provider would have to know again. */
const ISSUED: Issued = {
  issue: (prefix) => `${prefix}1`,
  callId: (prefix) => `${prefix}1`,
  isOf: () => true,
  all: () => [],
}

/** The deployment given is asked first, and `spare` when it cannot be. The clock is moved by hand. */
function routerOver(deployment: Partial<DeploymentOptions> & Pick<DeploymentOptions, "model">) {
  const clock = { at: START }
  const router = routerOf({ now: () => clock.at }, [
    { id: "first", tier: "light", price: "free", weight: 1, ...deployment },
    talking("light", "spare", { price: { costWeight: 10 } }),
  ])
  return { clock, router }
}

function routerOf(
  options: Partial<RouterChatModelFields>,
  deployments: readonly DeploymentOptions[],
): RouterChatModel {
  return new RouterChatModel({ tiers: ["light"], thresholds: [], ...options, deployments })
}

const invoked = async (router: RouterChatModel) => replyMetadata(await router.invoke("Hello")).deployment

async function streamed(router: RouterChatModel): Promise<string | undefined> {
  let text = ""
  let last: AIMessageChunk | undefined
  for await (const chunk of await router.stream("Hello")) {
    text += chunk.text
    last = chunk
  }
  expect(text).not.toBe("")
  return last && replyMetadata(last).deployment
}

const WAYS = { invoke: invoked, stream: streamed }

const CASES = (Object.keys(CHATS) as ProtocolName[]).flatMap((name) =>
  (Object.keys(WAYS) as (keyof typeof WAYS)[]).map((way) => ({ name, way })),
)

describe("the headers of answers", () => {
  it.each(CASES)(
    "leave a provider alone that said with a good one that nothing is left: $name, $way [A4.graceful-degradation]",
    async ({ name, way }) => {
      await using provider = await openProvider(name, NOTHING_LEFT[name])
      const headers = responseHeaders()
      const { clock, router } = routerOver({ model: CHATS[name](provider.baseUrl, headers.fetch), headers })
      const ask = WAYS[way]
      expect(await ask(router)).toBe("first")
      expect(await ask(router)).toBe("spare")
      clock.at = START + RESET_MS - 1
      const reply = await router.invoke("Hello")
      expect(replyMetadata(reply).attempts).toMatchObject([
        { deployment: "first", outcome: "skipped", because: "cooling-down" },
        { deployment: "spare", outcome: "answered" },
      ])
      clock.at = START + RESET_MS
      expect(await ask(router)).toBe("first")
    },
  )

  it("keep calls within the limits that they tell of", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([{ headers: { "x-ratelimit-limit-requests": "2" }, times: 10 }])
    const headers = responseHeaders()
    const configuration = { baseURL: simulator.baseUrl, fetch: headers.fetch }
    const model = new ChatOpenAI({ model: "sim-small", apiKey: "none", configuration })
    const { clock, router } = routerOver({ model, headers })
    const three = async () => [await invoked(router), await streamed(router), await invoked(router)]
    expect(await three()).toEqual(["first", "first", "spare"])
    clock.at += 61_001
    expect(await three()).toEqual(["first", "first", "spare"])
  })

  it("are not heard without a source of them", async () => {
    await using provider = await openProvider("openai-chat", NOTHING_LEFT["openai-chat"])
    const { router } = routerOver({ model: CHATS["openai-chat"](provider.baseUrl, fetch) })
    expect([await invoked(router), await invoked(router)]).toEqual(["first", "first"])
  })

  it("come with an answer that is as it was, whoever listens and throws", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const handedOver: boolean[] = []
    const kept: Response[] = []
    const headers = responseHeaders({
      fetch: async (...request) => {
        const response = await fetch(...request)
        kept.push(response)
        return response
      },
    })
    headers.listen(() => {
      throw new Error("not my day")
    })
    const watched: Fetch = async (...request) => {
      const response = await headers.fetch(...request)
      handedOver.push(response === kept.at(-1) && !response.bodyUsed)
      return response
    }
    const configuration = { baseURL: simulator.baseUrl, fetch: watched }
    const model = new ChatOpenAI({ model: "sim-small", apiKey: "none", configuration })
    const { router } = routerOver({ model, headers })
    expect([await invoked(router), await streamed(router)]).toEqual(["first", "first"])
    expect(handedOver).toEqual([true, true])
    simulator.script([{ status: 401 }])
    const error = await model.invoke("Hello").catch((thrown: unknown) => thrown)
    const plain = chatModel(simulator, "sim-small")
    simulator.script([{ status: 401 }])
    const usual = await plain.invoke("Hello").catch((thrown: unknown) => thrown)
    expect(String(error)).toBe(String(usual))
    expect(error).toMatchObject({ status: 401 })
  })

  it("are for all deployments that share a source", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([
      { headers: { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30s" } },
    ])
    const headers = responseHeaders()
    const configuration = { baseURL: simulator.baseUrl, fetch: headers.fetch }
    const model = new ChatOpenAI({ model: "sim-small", apiKey: "none", configuration })
    const shared = { tier: "light", model, headers, price: "free" } as const
    const router = routerOf({}, [
      { ...shared, id: "one" },
      { ...shared, id: "two" },
      talking("light", "spare", { price: { costWeight: 10 } }),
    ])
    expect(["one", "two"]).toContain(await invoked(router))
    expect(await invoked(router)).toBe("spare")
  })
})

describe("a router from the environment", () => {
  const served: readonly (readonly [string, ProtocolName, string, object])[] = [
    ["openai", "openai-chat", "OPENAI_BASE_URL", { OPENAI_API_KEY: "none" }],
    ["vllm", "openai-chat", "VLLM_BASE_URL", {}],
    ["openai-compatible", "openai-chat", "OPENAI_COMPATIBLE_BASE_URL", {}],
    ["anthropic", "anthropic", "ANTHROPIC_BASE_URL", { ANTHROPIC_API_KEY: "none" }],
    ["ollama", "ollama", "OLLAMA_BASE_URL", {}],
  ]

  it.each(served)(
    "hears what %s says, without a line of code",
    async (provider, protocol, variable, keys) => {
      await using simulator = await startSimulator({ timeScale: 0 })
      await using limited = await openProvider(protocol, NOTHING_LEFT[protocol])
      const large = `openai-compatible/sim-large@${simulator.baseUrl}`
      const prices = { MODEL_LIGHT_PRICE: "free", MODEL_STANDARD_PRICE: "free", MODEL_HEAVY_PRICE: "free" }
      const models = { MODEL_LIGHT: `${provider}/m-1`, MODEL_STANDARD: large, MODEL_HEAVY: large }
      const clock = { at: START }
      await using router = await RouterChatModel.fromEnv({
        env: { ...models, ...prices, ...keys, [variable]: limited.baseUrl },
        envFile: false,
        router: { now: () => clock.at },
      })
      expect(await invoked(router)).toBe("light/m-1")
      expect(await invoked(router)).toBe("standard/sim-large")
      clock.at += RESET_MS
      expect(await streamed(router)).toBe("light/m-1")
    },
  )

  it("hears what the models of a registry say", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    await using limited = await openProvider("openai-chat", NOTHING_LEFT["openai-chat"])
    const clock = { at: START }
    const common = { provider: "openai-compatible", price: "free" }
    const document = {
      tiers: ["light"],
      deployments: [
        { ...common, id: "first", tier: "light", model: "m-1", baseUrl: limited.baseUrl },
        { ...common, id: "spare", tier: "light", model: "sim-small", baseUrl: simulator.baseUrl, weight: 0 },
      ],
    }
    const server = createServer((_, response) => void response.end(JSON.stringify(document)))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models.json`
    try {
      await using router = await RouterChatModel.fromEnv({
        env: {},
        envFile: false,
        registry: { url },
        router: { now: () => clock.at, thresholds: [] },
      })
      expect([await invoked(router), await invoked(router)]).toEqual(["first", "spare"])
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})

/** Counts who listens. */
function countedSource(): HeaderSource & { readonly listening: number } {
  let listening = 0
  return {
    get listening() {
      return listening
    },
    listen() {
      listening++
      let isOpen = true
      return () => {
        if (isOpen) listening--
        isOpen = false
      }
    },
  }
}

describe("a source of headers", () => {
  it("is left by whoever is replaced or removed, when nobody calls them any more", async () => {
    const [old, next] = [countedSource(), countedSource()]
    const cue = onCue()
    const router = routerOf({}, [
      talking("light", "a", { headers: old, reply: cue.reply }),
      talking("light", "b", { weight: 0 }),
    ])
    expect(old.listening).toBe(1)
    const call = router.invoke("Hello")
    await settled()
    const gone = router.registry.replace("a", talking("light", "a", { headers: next }))
    expect([old.listening, next.listening]).toEqual([1, 1])
    cue.say("Hello!")
    await call
    await gone
    expect([old.listening, next.listening]).toEqual([0, 1])
    await router.registry.remove("a")
    expect(next.listening).toBe(0)
  })

  it.each([{}, null, 3, { listen: true }])("is refused if it is %o", (headers) => {
    expect(() =>
      routerOf({}, [talking("light", "a"), talking("light", "b", { headers: headers as never })]),
    ).toThrowError(expect.objectContaining({ code: "invalid-config", path: "deployments[1].headers" }))
  })

  it("is nothing that can be written down, whenever it came", () => {
    const writtenDown = (router: RouterChatModel) => JSON.parse(JSON.stringify(router)) as unknown
    const first = talking("light", "a")
    expect(writtenDown(routerOf({}, [first]))).toMatchObject({ type: "constructor" })
    const heard = talking("light", "b", { headers: responseHeaders() })
    expect(writtenDown(routerOf({}, [heard]))).toMatchObject({ type: "not_implemented" })
    const router = routerOf({}, [first])
    router.registry.add(heard)
    expect(writtenDown(router)).toMatchObject({ type: "not_implemented" })
  })
})

import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { ChatAnthropic } from "@langchain/anthropic"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { ChatOllama } from "@langchain/ollama"
import { AzureChatOpenAI, ChatOpenAI } from "@langchain/openai"
import { MiddlewareError } from "langchain"
import { classifyFailure, FAILURE_HANDLING, type FailureContext, type FailureKind } from "tierwise"
import { describe, expect, it } from "vitest"
import { type Arrival, FAILURE_ANSWERS, type FailureAnswer } from "./failure-answers.ts"

const fromProvider: FailureContext = { callerAborted: false, timedOut: false, fromProvider: true }
const kindOf = (error: unknown) => classifyFailure(error, fromProvider)

/** Packages that are installed here; what the others throw is kept with the answers. */
const CHATS: Readonly<Record<string, (baseUrl: string) => BaseChatModel>> = {
  "openai-chat": (baseURL) => new ChatOpenAI({ ...asked, configuration: { baseURL } }),
  "openai-responses": (baseURL) =>
    new ChatOpenAI({ ...asked, useResponsesApi: true, configuration: { baseURL } }),
  "azure-openai": (azureOpenAIEndpoint) =>
    new AzureChatOpenAI({
      maxRetries: 0,
      azureOpenAIEndpoint,
      azureOpenAIApiKey: "none",
      azureOpenAIApiDeploymentName: "m",
      azureOpenAIApiVersion: "2024-10-21",
    }),
  anthropic: (anthropicApiUrl) => new ChatAnthropic({ ...asked, anthropicApiUrl }),
  ollama: (baseUrl) => new ChatOllama({ model: "m", maxRetries: 0, baseUrl }),
}
const asked = { model: "m", apiKey: "none", maxRetries: 0 }

const CASES = FAILURE_ANSWERS.flatMap(({ provider, answers }) =>
  answers.flatMap((answer) =>
    answer.arrives.map((arrival) => ({ name: `${provider}: ${answer.shows}`, answer, arrival })),
  ),
)
const [live, kept] = [true, false].map((isLive) =>
  CASES.filter(({ arrival }) => arrival.through in CHATS === isLive),
)

describe("what a provider answers when it fails", () => {
  it.each(live ?? [])("$name ($arrival.through)", async ({ answer, arrival }) => {
    await using provider = await openFailingProvider(answer)
    const model = CHATS[arrival.through]?.(provider.baseUrl)
    // A stream's error is told to those who stream.
    const asking = answer.stream === undefined ? [invoked, streamed] : [streamed]
    for (const ask of asking) {
      const error = await ask(model as BaseChatModel)
      expect(kindOf(error)).toBe(answer.kind)
      expect({ ...shapeOf(error), through: arrival.through }).toMatchObject(arrival)
      expect(kindOf(MiddlewareError.wrap(error, "retry"))).toBe(answer.kind)
    }
  })

  it.each(kept ?? [])("$name, as $arrival.through throws it", ({ answer, arrival }) => {
    const error = rebuilt(arrival)
    expect(kindOf(error)).toBe(answer.kind)
    expect(kindOf(MiddlewareError.wrap(error, "retry"))).toBe(answer.kind)
  })

  it.each<[number, FailureKind]>([
    [502, "server-error"],
    [503, "overloaded"],
    [504, "timeout"],
    [524, "timeout"],
  ])("a proxy's page with status %i", async (status, kind) => {
    const page = "<html><head><title>Bad day</title></head><body>nginx</body></html>"
    await using provider = await openFailingProvider({ status, body: page })
    for (const chat of Object.values(CHATS)) {
      expect(kindOf(await invoked(chat(provider.baseUrl)))).toBe(kind)
    }
  })

  it("nothing, because nobody listens", async () => {
    const gone = await openFailingProvider({ status: 500, body: "" })
    await gone[Symbol.asyncDispose]()
    for (const chat of Object.values(CHATS)) {
      expect(kindOf(await invoked(chat(gone.baseUrl)))).toBe("network")
    }
  })
})

describe("the answers that are kept", () => {
  it("say where they are from, and when", () => {
    for (const { answer } of CASES) {
      expect(answer.source).toMatch(/^https:\/\//)
      expect(answer.seen).toMatch(/^20\d\d-\d\d-\d\d$/)
      expect(["shown", "described"]).toContain(answer.basis)
    }
  })

  it("are of every provider that is promised, and of most kinds", () => {
    expect(FAILURE_ANSWERS.map(({ provider }) => provider)).toEqual([
      "Amazon Bedrock",
      "Anthropic",
      "Azure OpenAI",
      "Google",
      "Groq",
      "Mistral",
      "Ollama",
      "OpenAI",
      "OpenRouter",
      "llama.cpp",
      "vLLM",
    ])
    expect([...new Set(CASES.map(({ answer }) => answer.kind))].toSorted()).toEqual([
      "authentication",
      "content-filtered",
      "context-overflow",
      "invalid-request",
      "not-found",
      "overloaded",
      "quota-exhausted",
      "rate-limited",
      "server-error",
    ])
  })
})

describe("docs/guide/failures.md", () => {
  const page = readFileSync(new URL("../../docs/guide/failures.md", import.meta.url), "utf8")

  it("says what the code does with each kind", () => {
    const retry = { backoff: "after a pause", "if-last": "if nobody else is left", never: "no" }
    const pause = (ms: number | undefined) =>
      ms === undefined ? "–" : ms < 60_000 ? `${ms / 1_000} s` : `${ms / 60_000} min`
    const yes = (value: boolean) => (value ? "yes" : "no")
    const rows = Object.entries(FAILURE_HANDLING).map(([kind, handling]) => [
      `\`${kind}\``,
      retry[handling.retry],
      handling.onlyLargerContext ? "with a larger context" : yes(handling.fallback),
      pause(handling.coolDownMs),
      yes(handling.tripsBreaker),
      yes(handling.mayBeBilled),
    ])
    expect(tableUnder(page, "## What follows")).toEqual(rows)
  })

  it("lists the answers that are kept", () => {
    const rows = FAILURE_ANSWERS.flatMap(({ provider, answers }) =>
      answers.map(({ shows, status, kind }) => [provider, shows, `${status}`, `\`${kind}\``]),
    )
    expect(tableUnder(page, "## What providers answer")).toEqual(rows)
  })
})

/** The rows of the first table below the heading, without its head. */
function tableUnder(page: string, heading: string): readonly (readonly string[])[] {
  const lines = page.slice(page.indexOf(`\n${heading}\n`)).split("\n")
  const table = lines.slice(lines.findIndex((line) => line.startsWith("|")))
  const end = table.findIndex((line) => !line.startsWith("|"))
  const rows = table.slice(2, end === -1 ? undefined : end)
  return rows.map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

async function invoked(model: BaseChatModel): Promise<unknown> {
  return model.invoke("Hello").then(
    () => undefined,
    (error: unknown) => error,
  )
}

async function streamed(model: BaseChatModel): Promise<unknown> {
  try {
    for await (const _ of await model.stream("Hello"));
    return undefined
  } catch (error) {
    return error
  }
}

function shapeOf(error: unknown): object {
  const { name, ...own } = error as Error
  return { class: (error as Error).constructor.name, name, ...own }
}

/** The error that a package threw at this answer, made anew from what was kept of it. */
function rebuilt(arrival: Arrival): Error {
  const made = { [arrival.class]: class extends Error {} }[arrival.class] ?? Error
  return Object.assign(new made(), arrival, { headers: new Headers(arrival.headers) })
}

async function openFailingProvider(answer: Partial<FailureAnswer> & Pick<FailureAnswer, "status">) {
  const { status, headers = {}, body, stream } = answer
  const said = stream ?? (typeof body === "string" ? body : JSON.stringify(body))
  const type =
    stream === undefined ? (typeof body === "string" ? "text/html" : "application/json") : "text/event-stream"
  const server = createServer((request, response) => {
    request
      .resume()
      .on("end", () => response.writeHead(status, { "content-type": type, ...headers }).end(said))
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

import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { ChatAnthropic } from "@langchain/anthropic"
import { type Simulator, startSimulator } from "@tierwise/simulator"
import { FallbackChain, RouterChatModel } from "tierwise"
import { chatModelContract } from "tierwise/testing"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Body, type Call, type Issued, PROTOCOLS, type Said, type Turn } from "./protocols.ts"
import { chatModel, deploymentOf } from "./world.ts"

/*
 * ChatAnthropic is another kind of package: what is bound to it is a binding, content comes in blocks, and a stream is
 * made of events. Behind its protocol the simulator answers, so that the same questions have the same answers.
 */

let simulator: Simulator
let anthropic: Awaited<ReturnType<typeof openAnthropic>>

beforeAll(async () => {
  simulator = await startSimulator({ timeScale: 0 })
  anthropic = await openAnthropic(simulator.baseUrl)
})
afterAll(async () => {
  await anthropic.close()
  await simulator.close()
})

const supports = { deterministic: true }

const chain = () =>
  new FallbackChain({
    links: [
      { tier: "light", runnable: anthropic.model("sim-small") },
      { tier: "heavy", runnable: chatModel(simulator, "sim-large") },
    ],
  })

const chainToAnthropic = () =>
  new FallbackChain({
    links: [
      { tier: "light", runnable: chatModel(simulator, "sim-unknown") },
      { tier: "heavy", runnable: anthropic.model("sim-small") },
    ],
  })

const router = (gate: "off" | "full") =>
  new RouterChatModel({
    deployments: [
      { ...deploymentOf(simulator, "light", "sim-small"), model: anthropic.model("sim-small") },
      deploymentOf(simulator, "heavy", "sim-large"),
    ],
    tiers: ["light", "heavy"],
    gate,
  })

/** Of the package: it does not parse a tool's input that comes in pieces. */
const SCHEMA_GAPS = [
  "streams towards the whole answer under a zod schema",
  "streams towards the whole answer under a zod 3 schema",
  "streams towards the whole answer under JSON Schema",
]

/** Cases that a subject is known to fail. A chain cannot do better than the only link that is up. */
const GAPS: Readonly<Record<string, readonly string[]>> = {
  ChatAnthropic: [
    ...SCHEMA_GAPS,
    "streams under one id while it is traced",
    "answers as before where the list of tools is empty",
    "answers under a schema although tools were bound before",
    "stays a chat model when it is configured",
  ],
  "FallbackChain over OpenAI, which is down, then Anthropic": SCHEMA_GAPS,
}

const SUBJECTS = {
  ChatAnthropic: () => anthropic.model("sim-small"),
  "FallbackChain over Anthropic, then OpenAI": chain,
  "FallbackChain over OpenAI, which is down, then Anthropic": chainToAnthropic,
  'RouterChatModel over Anthropic and OpenAI, gate "off"': () => router("off"),
  'RouterChatModel over Anthropic and OpenAI, gate "full"': () => router("full"),
}

describe.each(Object.entries(SUBJECTS))("%s", (subject, make) => {
  const cases = chatModelContract({ make, supports })
  const known = cases.filter(({ name }) => GAPS[subject]?.includes(name))

  it.each(cases.filter((one) => !known.includes(one)))("$name", async ({ run }) => {
    await expect(run()).resolves.toBeUndefined()
  })

  it.each(known)("is known not to do this: $name", async ({ run }) => {
    await expect(run()).rejects.toBeInstanceOf(Error)
  })
})

/** The simulator, speaking Anthropic's protocol. */
async function openAnthropic(openaiUrl: string) {
  const protocol = PROTOCOLS.anthropic
  const issued = issuer()
  const server = createServer((request, response) => {
    let received = ""
    request.on("data", (chunk: Buffer) => {
      received += chunk.toString()
    })
    request.on("end", () => void answer(JSON.parse(received) as Body, response))
  })
  const answer = async (body: Body, response: ServerResponse) => {
    const asked = await fetch(`${openaiUrl}/chat/completions`, {
      method: "POST",
      body: JSON.stringify(openaiBody(body, protocol.read(body))),
    })
    if (!asked.ok) {
      response.writeHead(asked.status, { "content-type": "application/json" }).end(await asked.text())
      return
    }
    const turn = turnOf((await asked.json()) as Completion)
    const model = String(body["model"])
    if (body["stream"] === true) {
      response.writeHead(200, { "content-type": protocol.contentType })
      for (const piece of protocol.stream(turn, model, issued)) response.write(piece)
      response.end()
      return
    }
    response.writeHead(200, { "content-type": "application/json" })
    response.end(JSON.stringify(protocol.answer(turn, model, issued)))
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const anthropicApiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    model: (model: string) => new ChatAnthropic({ model, apiKey: "none", anthropicApiUrl, maxTokens: 1_000 }),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface AnthropicTool {
  readonly name: string
  readonly description?: string
  readonly input_schema: object
}

function openaiBody(body: Body, said: readonly Said[]): object {
  const {
    model,
    stop_sequences: stop,
    tools,
    tool_choice: choice,
    output_config: output,
  } = body as {
    readonly model?: string
    readonly stop_sequences?: readonly string[]
    readonly tools?: readonly AnthropicTool[]
    readonly tool_choice?: { readonly type: string; readonly name?: string }
    readonly output_config?: { readonly format?: { readonly schema: object } }
  }
  const schema = output?.format?.schema
  return {
    model,
    messages: messagesOf(said),
    ...(stop && { stop }),
    ...(tools && { tools: tools.map(functionOf), tool_choice: choiceOf(choice) }),
    ...(schema && { response_format: { type: "json_schema", json_schema: { name: "extract", schema } } }),
  }
}

/** What the package says of a schema that has no description; the simulator would take it for the tool's purpose. */
const PLACEHOLDER = "A function available to call."

function functionOf({ name, description, input_schema: parameters }: AnthropicTool): object {
  const said = description === PLACEHOLDER ? undefined : description
  return { type: "function", function: { name, description: said, parameters } }
}

function choiceOf(choice: { readonly type: string; readonly name?: string } | undefined): unknown {
  if (choice?.type === "tool") return { type: "function", function: { name: choice.name } }
  return choice?.type === "any" ? "required" : (choice?.type ?? "auto")
}

function messagesOf(said: readonly Said[]): readonly object[] {
  const ids = new Map<Call | undefined, string>()
  const idOf = (call: Call | undefined) => {
    if (!ids.has(call)) ids.set(call, `call_${ids.size}`)
    return ids.get(call)
  }
  return said.map((one) => {
    if (one.by === "tool") return { role: "tool", content: one.text, tool_call_id: idOf(one.of) }
    if (one.by !== "ai") return { role: one.by === "human" ? "user" : "system", content: one.text }
    const calls = one.calls.map((call) => {
      const { name, args } = call
      return { id: idOf(call), type: "function", function: { name, arguments: JSON.stringify(args) } }
    })
    return { role: "assistant", content: one.text, ...(calls.length > 0 && { tool_calls: calls }) }
  })
}

interface Completion {
  readonly choices: readonly {
    readonly message: {
      readonly content: string | null
      readonly tool_calls?: readonly {
        readonly function: { readonly name: string; readonly arguments: string }
      }[]
    }
  }[]
}

function turnOf({ choices }: Completion): Turn {
  const { content, tool_calls } = choices[0]?.message ?? { content: "" }
  const calls = (tool_calls ?? []).map(({ function: { name, arguments: args } }) => ({
    name,
    args: JSON.parse(args) as Record<string, unknown>,
  }))
  return { ...(content !== null && content !== "" && { text: content }), ...(calls.length > 0 && { calls }) }
}

/** Ids that nobody else has. */
function issuer(): Issued {
  let count = 0
  const next = (prefix: string) => `${prefix}${++count}`
  return { issue: next, callId: next, isOf: () => true, all: () => [] }
}

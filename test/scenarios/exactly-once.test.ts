import { LangChainInstrumentation } from "@arizeai/openinference-instrumentation-langchain"
import type { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import * as callbackManagerModule from "@langchain/core/callbacks/manager"
import { awaitAllCallbacks } from "@langchain/core/callbacks/promises"
import { AIMessage, type AIMessageChunk, type BaseMessage } from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { BaseTracer, type Run } from "@langchain/core/tracers/base"
import { LangChainTracer, type LangChainTracerFields } from "@langchain/core/tracers/tracer_langchain"
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace"
import type { ScriptedFault } from "@tierwise/simulator"
import { createAgent } from "langchain"
import { lowConfidence, type RouterChatModel, type RouterChatModelFields } from "tierwise"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { openWorld, replyMetadata, usageOf, type World } from "./world.ts"

const QUESTION = "Hello"
const NOTE = "Turn this note into a record.\n\nName: Ada. Put down 36 as the age."
const POOR = "I'm not sure about that."
const person = z.object({ name: z.string(), age: z.number().int() })
const weather = tool(async ({ city }) => `It is 21 °C in ${city}.`, {
  name: "get_weather",
  description: "Current weather of a city",
  schema: z.object({ city: z.string().describe("Name of the city") }),
})

/** One way of calling the router, and what goes wrong on the way. */
interface Call {
  readonly name: string
  /** Calls that reach the provider, those that fail included. */
  readonly providerCalls: number
  readonly options?: Partial<RouterChatModelFields>
  readonly faults?: readonly ScriptedFault[]
  /** The messages that the router gave back. */
  run(router: RouterChatModel, config: { callbacks: BaseCallbackHandler[] }): Promise<readonly BaseMessage[]>
}

const escalates = { options: { validator: lowConfidence() }, faults: [{ answer: POOR }] }
const fallsBack = { options: { maxRetries: 0 }, faults: [{ status: 500 }] }
const invoke: Call["run"] = async (router, config) => [await router.invoke(QUESTION, config)]
const stream: Call["run"] = async (router, config) => {
  const chunks: AIMessageChunk[] = []
  for await (const chunk of await router.stream(QUESTION, config)) chunks.push(chunk)
  return [joined(chunks)]
}
const WEATHER_ASKED = { messages: [{ role: "user", content: "What is the weather in Rome?" }] }
const agent: Call["run"] = async (router, config) => {
  const { messages } = await createAgent({ model: router, tools: [weather] }).invoke(WEATHER_ASKED, config)
  return messages.filter((message) => AIMessage.isInstance(message))
}
const streamedAgent: Call["run"] = async (router, config) => {
  const streamMode = ["messages", "values"] as ["messages", "values"]
  let messages: readonly BaseMessage[] = []
  for await (const [mode, piece] of await createAgent({ model: router, tools: [weather] }).stream(
    WEATHER_ASKED,
    {
      ...config,
      streamMode,
    },
  ))
    if (mode === "values") messages = piece.messages
  return messages.filter((message) => AIMessage.isInstance(message))
}

const CALLS: readonly Call[] = [
  { name: "invoke", providerCalls: 1, run: invoke },
  { name: "stream", providerCalls: 1, run: stream },
  {
    name: "batch",
    providerCalls: 3,
    run: (router, config) => router.batch([QUESTION, "Good morning", "Good evening"], config),
  },
  {
    name: "streamEvents",
    providerCalls: 1,
    run: async (router, config) => {
      const chunks: AIMessageChunk[] = []
      for await (const { event, data, metadata } of router.streamEvents(QUESTION, {
        ...config,
        version: "v2",
      }))
        if (event === "on_chain_stream" && !("ls_provider" in metadata))
          chunks.push(data.chunk as AIMessageChunk)
      return [joined(chunks)]
    },
  },
  { name: "an escalated invoke", providerCalls: 2, run: invoke, ...escalates },
  { name: "an escalated stream", providerCalls: 2, run: stream, ...escalates },
  { name: "an invoke that falls back", providerCalls: 2, run: invoke, ...fallsBack },
  { name: "a stream that falls back", providerCalls: 2, run: stream, ...fallsBack },
  {
    name: "structured output",
    providerCalls: 1,
    run: async (router, config) => {
      const { raw } = await router.withStructuredOutput(person, { includeRaw: true }).invoke(NOTE, config)
      return [raw]
    },
  },
  {
    // Under a zod schema the package parses for itself, and throws an answer that breaks it away with its usage.
    name: "structured output that escalates",
    providerCalls: 2,
    faults: [{ answer: POOR }],
    run: async (router, config) => {
      const asked = { includeRaw: true, method: "functionCalling" } as const
      const { raw } = await router.withStructuredOutput(person, asked).invoke(NOTE, config)
      return [raw]
    },
  },
  { name: "an agent", providerCalls: 2, run: agent },
  { name: "an agent whose first step escalates", providerCalls: 3, run: agent, ...escalates },
  { name: "a streamed agent", providerCalls: 2, run: streamedAgent },
  { name: "a streamed agent whose first step escalates", providerCalls: 3, run: streamedAgent, ...escalates },
  { name: "an agent whose first step falls back", providerCalls: 3, run: agent, ...fallsBack },
]

/** What somebody who watches LangChain's callbacks has counted. */
interface Count {
  /** Tokens of each run of a model; 0 for one that failed. */
  readonly perModelRun: readonly number[]
  /** Tokens claimed by anything that is no run of a model. */
  readonly elsewhere: number
}

interface Watcher {
  readonly name: string
  /** Opens its eyes; the handlers are given to the call. */
  open(): { readonly handlers: BaseCallbackHandler[]; readonly count: () => Count }
}

const WATCHERS: readonly Watcher[] = [
  { name: "LangSmith's tracer", open: langSmith },
  { name: "a tracer of one's own", open: ownTracer },
  { name: "OpenInference's OpenTelemetry spans [L5.usage-once]", open: openInference },
]

describe.for(CALLS)("$name", (call) => {
  it.for(WATCHERS)("has one run and its tokens per provider call, says $name", async (watcher) => {
    await using world = await openWorld(call.options)
    world.simulator.script(call.faults ?? [])
    const { handlers, count } = watcher.open()
    await call.run(world.router, { callbacks: handlers })
    await awaitAllCallbacks()
    const billed = world.simulator
      .invoices()
      .map(({ outcome, inputTokens, outputTokens }) =>
        outcome === "completed" ? inputTokens + outputTokens : 0,
      )
    expect(billed).toHaveLength(call.providerCalls)
    const { perModelRun, elsewhere } = count()
    expect(perModelRun.toSorted(ascending)).toEqual(billed.toSorted(ascending))
    expect(elsewhere).toBe(0)
  })

  it("gives back the winner's usage, and what all of it cost", async () => {
    await using world = await openWorld(call.options)
    world.simulator.script(call.faults ?? [])
    const replies = await call.run(world.router, { callbacks: [] })
    expect(replies.map((reply) => usageOf(reply)?.total_tokens).toSorted(ascending)).toEqual(
      winners(world).toSorted(ascending),
    )
    const stories = replies.map((reply) => replyMetadata(reply))
    expect(stories.flatMap(({ attempts }) => attempts)).toHaveLength(call.providerCalls)
    const billed = world.simulator.invoices().reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0)
    expect(Math.round(stories.reduce((sum, { costUsd }) => sum + costUsd, 0) * 1e9)).toBe(billed)
  })
})

const ascending = (a = 0, b = 0) => a - b

/** Tokens of the provider calls whose answer was returned, by the provider's bill. */
function winners({ simulator, records }: World): readonly number[] {
  const completed = simulator.invoices().filter(({ outcome }) => outcome === "completed")
  return records.flatMap(({ answeredBy }) => {
    const at = completed.findLastIndex(({ model }) => model === answeredBy?.deploymentId)
    return completed.splice(at, 1).map(({ inputTokens, outputTokens }) => inputTokens + outputTokens)
  })
}

function langSmith() {
  interface Sent {
    readonly run_type?: string
    readonly extra?: { readonly metadata?: { readonly usage_metadata?: { readonly total_tokens: number } } }
    readonly outputs?: { readonly usage_metadata?: { readonly total_tokens: number } }
  }
  const runs = new Map<string, Sent>()
  const client = {
    createRun: async (run: Sent & { readonly id: string }) => void runs.set(run.id, run),
    updateRun: async (id: string, run: Sent) => void runs.set(id, { ...runs.get(id), ...run }),
  }
  const tracer = new LangChainTracer({ client } as unknown as LangChainTracerFields)
  const tokensOf = ({ extra, outputs }: Sent) =>
    (extra?.metadata?.usage_metadata ?? outputs?.usage_metadata)?.total_tokens ?? 0
  return {
    handlers: [tracer],
    count: () => countOf([...runs.values()], ({ run_type }) => run_type === "llm", tokensOf),
  }
}

function ownTracer() {
  const runs: Run[] = []
  class Tracer extends BaseTracer {
    override readonly name = "own"
    protected override async persistRun(run: Run): Promise<void> {
      collect(run)
    }
  }
  const collect = (run: Run) => {
    runs.push(run)
    for (const child of run.child_runs) collect(child)
  }
  const tokensOf = ({ outputs }: Run) => {
    const generations = (outputs?.["generations"] ?? []) as { readonly message?: object }[][]
    return generations
      .flat()
      .reduce((sum, { message }) => sum + (usageOf(message ?? {})?.total_tokens ?? 0), 0)
  }
  return {
    handlers: [new Tracer()],
    count: () => countOf(runs, ({ run_type }) => run_type === "llm", tokensOf),
  }
}

function openInference() {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  new LangChainInstrumentation({ tracerProvider }).manuallyInstrument(callbackManagerModule)
  return {
    handlers: [],
    count: () =>
      countOf(
        exporter.getFinishedSpans().map(({ attributes }) => attributes),
        (attributes) => attributes["openinference.span.kind"] === "LLM",
        (attributes) => Number(attributes["llm.token_count.total"] ?? 0),
      ),
  }
}

function countOf<T>(
  runs: readonly T[],
  isModelRun: (run: T) => boolean,
  tokensOf: (run: T) => number,
): Count {
  return {
    perModelRun: runs.filter(isModelRun).map(tokensOf),
    elsewhere: runs.filter((run) => !isModelRun(run)).reduce((sum, run) => sum + tokensOf(run), 0),
  }
}

/** All of a stream in one message. Only one chunk may carry the story: LangChain adds its numbers and glues its words. */
function joined(chunks: readonly AIMessageChunk[]): AIMessageChunk {
  expect(chunks.filter(({ response_metadata }) => "tierwise" in response_metadata)).toHaveLength(1)
  return chunks.reduce((whole, chunk) => whole.concat(chunk))
}

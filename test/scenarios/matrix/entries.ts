import type { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { type AIMessageChunk, type BaseMessage, HumanMessage } from "@langchain/core/messages"
import { StringOutputParser } from "@langchain/core/output_parsers"
import { ChatPromptTemplate } from "@langchain/core/prompts"
import { tool } from "@langchain/core/tools"
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph"
import { createReactAgent } from "@langchain/langgraph/prebuilt"
import { createAgent, providerStrategy, toolStrategy } from "langchain"
import { z } from "zod"

/** How a caller calls, and what shows the words to the user meanwhile. */
export interface Caller {
  readonly signal?: AbortSignal | undefined
  readonly callbacks: BaseCallbackHandler[]
  /** Called with every piece of text that reaches the reader, in order. */
  show(text: string): void
}

/**
 * How an entry reads an answer that nobody gated.
 * - `whole`: when it is complete.
 * - `live`: word by word, so that nothing can be taken back.
 * - `schema`: whole, and gated by default wherever somebody reads along.
 */
export type Reading = "whole" | "live" | "schema"

/** One way into a chat model. It drives any chat model: what a plain one gives is what the router has to give. */
export interface Entry {
  readonly name: string
  /** Requirements that its cells prove. */
  readonly proves: string
  readonly reading: Reading
  /** What the first answer is made of. */
  readonly firstAnswer: "words" | "tool call"
  /** Answers it asks for when nothing goes wrong. */
  readonly calls: number
  /** What a weak model says here, in the form that the entry asks for. */
  readonly poorAnswer: string
  /** Runs one whole request. Returns what the caller ends up with, as plain data. */
  drive(model: BaseChatModel, caller: Caller): Promise<unknown>
}

/** Stands in every poor answer, and in no other. */
export const POOR = "nobody"

const STORY = "Write a short story about a lighthouse keeper."
const EXTRACT = "Turn this note into a record.\n\nName: Ada. Put down 36 as the age."
const WEATHER = "What is the weather in Rome?"
const POOR_TEXT = `As far as I know, ${POOR} knows that, and it may well be otherwise.`
const POOR_RECORD = JSON.stringify({ name: POOR, age: 1 })

const person = z.object({ name: z.string(), age: z.number().int() })
const weather = tool(async ({ city }) => `It is 21 °C in ${city}.`, {
  name: "get_weather",
  description: "Current weather of a city",
  schema: z.object({ city: z.string().describe("Name of the city") }),
})

export const ENTRIES: readonly Entry[] = [
  {
    name: "invoke",
    proves: "[L1.invoke]",
    reading: "whole",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => (await model.invoke(STORY, configOf(caller))).text,
  },
  {
    name: "stream",
    proves: "[L1.stream]",
    reading: "live",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      let whole: AIMessageChunk | undefined
      for await (const chunk of await model.stream(STORY, configOf(caller))) {
        caller.show(chunk.text)
        whole = whole?.concat(chunk) ?? chunk
      }
      return whole?.text
    },
  },
  {
    name: "batch",
    proves: "[L1.batch]",
    reading: "whole",
    firstAnswer: "words",
    calls: 3,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const replies = await model.batch([STORY, STORY, STORY], configOf(caller))
      return replies.map(({ text }) => text)
    },
  },
  {
    name: "streamEvents v2",
    proves: "[L1.stream-events]",
    reading: "live",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      let text: string | undefined
      for await (const { event, data } of model.streamEvents(STORY, { ...configOf(caller), version: "v2" })) {
        if (event === "on_chat_model_stream") caller.show((data.chunk as AIMessageChunk).text)
        if (event === "on_chat_model_end") text = (data.output as AIMessageChunk).text
      }
      return text
    },
  },
  {
    name: "streamEvents",
    proves: "[L1.stream-events]",
    reading: "live",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const stream = model.streamEvents(STORY, configOf(caller))
      for await (const event of stream) {
        if (event.event === "content-block-delta" && event.delta.type === "text-delta")
          caller.show(event.delta.text)
        if (event.event === "error") throw new Error(event.message)
      }
      return (await stream).text
    },
  },
  {
    name: "streamLog",
    proves: "[L1.stream]",
    reading: "live",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      let text = ""
      for await (const patch of model.streamLog(STORY, configOf(caller))) {
        for (const { op, path, ...rest } of patch.ops) {
          if (op !== "add" || path !== "/streamed_output/-") continue
          const chunk = (rest as { readonly value: AIMessageChunk }).value
          caller.show(chunk.text)
          text += chunk.text
        }
      }
      return text
    },
  },
  {
    name: "bindTools, streamed",
    proves: "[L1.bind-tools]",
    reading: "live",
    firstAnswer: "tool call",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const bound = model.bindTools?.([weather])
      let whole: AIMessageChunk | undefined
      for await (const chunk of (await bound?.stream(WEATHER, configOf(caller))) ?? []) {
        showChunk(caller, chunk)
        whole = whole?.concat(chunk) ?? chunk
      }
      return whole && said({ messages: [whole] })
    },
  },
  {
    name: "prompt, model, parser, streamed",
    proves: "[L1.lcel-pipes]",
    reading: "live",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const prompt = ChatPromptTemplate.fromTemplate("{question}")
      const chain = prompt.pipe(model).pipe(new StringOutputParser())
      let text = ""
      for await (const piece of await chain.stream({ question: STORY }, configOf(caller))) {
        caller.show(piece)
        text += piece
      }
      return text
    },
  },
  {
    name: "withStructuredOutput",
    proves: "[L1.with-structured-output]",
    reading: "schema",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_RECORD,
    drive: async (model, caller) =>
      await model.withStructuredOutput(person, { method: "jsonSchema" }).invoke(EXTRACT, configOf(caller)),
  },
  {
    name: "withStructuredOutput, streamed",
    proves: "[L1.with-structured-output]",
    reading: "schema",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_RECORD,
    drive: async (model, caller) => {
      const parsed: unknown[] = []
      const structured = model.withStructuredOutput(person, { method: "jsonSchema" })
      for await (const piece of await structured.stream(EXTRACT, configOf(caller))) parsed.push(piece)
      return parsed.at(-1)
    },
  },
  {
    name: "createAgent, tool strategy",
    proves: "[L1.create-agent]",
    reading: "whole",
    firstAnswer: "tool call",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const agent = createAgent({ model, tools: [], responseFormat: toolStrategy(person) })
      return said(await agent.invoke(asking(EXTRACT), configOf(caller)))
    },
  },
  {
    name: "createAgent, provider strategy",
    proves: "[L1.create-agent]",
    reading: "schema",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_RECORD,
    drive: async (model, caller) => {
      const agent = createAgent({ model, tools: [], responseFormat: providerStrategy(person) })
      return said(await agent.invoke(asking(EXTRACT), configOf(caller)))
    },
  },
  {
    name: "createAgent, messages",
    proves: "[L1.create-agent] [L1.bind-tools]",
    reading: "live",
    firstAnswer: "tool call",
    calls: 2,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const agent = createAgent({ model, tools: [weather] })
      const config = { ...configOf(caller), streamMode: ["messages" as const, "values" as const] }
      return read(await agent.stream(asking(WEATHER), config), caller)
    },
  },
  {
    name: "createAgent, v3 messages",
    proves: "[L1.create-agent] [L1.stream-events]",
    reading: "live",
    firstAnswer: "tool call",
    calls: 2,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const agent = createAgent({ model, tools: [weather] })
      const run = await agent.streamEvents(asking(WEATHER), { ...configOf(caller), version: "v3" })
      const reading = (async () => {
        for await (const message of run.messages) for await (const text of message.text) caller.show(text)
      })()
      const [state] = await Promise.all([run.output, reading])
      return said(state)
    },
  },
  {
    name: "createReactAgent",
    proves: "[L1.langgraph] [L1.bind-tools]",
    reading: "whole",
    firstAnswer: "tool call",
    calls: 2,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const agent = createReactAgent({ llm: model, tools: [weather] })
      return said(await agent.invoke(asking(WEATHER), configOf(caller)))
    },
  },
  {
    name: "StateGraph, messages",
    proves: "[L1.langgraph]",
    reading: "live",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const config = { ...configOf(caller), streamMode: ["messages" as const, "values" as const] }
      return read(await graphOf(model).stream(asking(STORY), config), caller)
    },
  },
  {
    name: "StateGraph, custom",
    proves: "[L1.langgraph]",
    reading: "live",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const graph = new StateGraph(MessagesAnnotation)
        .addNode("model", async ({ messages }, config) => {
          let whole: AIMessageChunk | undefined
          for await (const chunk of await model.stream(messages, config)) {
            config.writer(chunk.text)
            whole = whole?.concat(chunk) ?? chunk
          }
          return { messages: whole === undefined ? [] : [whole] }
        })
        .addEdge(START, "model")
        .addEdge("model", END)
        .compile()
      const config = { ...configOf(caller), streamMode: ["custom" as const, "values" as const] }
      return read(await graph.stream(asking(STORY), config), caller)
    },
  },
  {
    name: "StateGraph, values",
    proves: "[L1.langgraph]",
    reading: "whole",
    firstAnswer: "words",
    calls: 1,
    poorAnswer: POOR_TEXT,
    drive: async (model, caller) => {
      const config = { ...configOf(caller), streamMode: ["values" as const] }
      return read(await graphOf(model).stream(asking(STORY), config), caller)
    },
  },
]

function configOf({ signal, callbacks }: Caller): { callbacks: BaseCallbackHandler[]; signal?: AbortSignal } {
  return { callbacks, ...(signal && { signal }) }
}

function asking(question: string): { messages: BaseMessage[] } {
  return { messages: [new HumanMessage(question)] }
}

function graphOf(model: BaseChatModel) {
  return new StateGraph(MessagesAnnotation)
    .addNode("model", async ({ messages }, config) => ({ messages: [await model.invoke(messages, config)] }))
    .addEdge(START, "model")
    .addEdge("model", END)
    .compile()
}

/** Reads a graph to its end: words to the reader, and the last state as the result. */
async function read(stream: AsyncIterable<unknown>, caller: Caller): Promise<unknown> {
  let state: unknown
  for await (const part of stream) {
    const [mode, data] = part as [string, unknown]
    if (mode === "custom") caller.show(data as string)
    if (mode === "values") state = data
    if (mode === "messages") {
      const [message] = data as [BaseMessage]
      if (message.type === "ai") showChunk(caller, message as AIMessageChunk)
    }
  }
  return said(state as Said)
}

/** Words and tool calls, as a reader who shows both puts them together. */
function showChunk(caller: Caller, chunk: AIMessageChunk): void {
  caller.show(chunk.text)
  const { tool_call_chunks: calls } = chunk as {
    readonly tool_call_chunks?: readonly { name?: string; args?: string }[]
  }
  for (const { name = "", args = "" } of calls ?? []) caller.show(`${name}${args}`)
}

interface Said {
  readonly messages: readonly BaseMessage[]
  readonly structuredResponse?: unknown
}

/** What a run said, without the ids that differ from run to run. */
function said({ messages, structuredResponse }: Said): unknown {
  return {
    messages: messages.map((message) => {
      const { tool_calls: calls } = message as {
        readonly tool_calls?: readonly { name: string; args: unknown }[]
      }
      return {
        type: message.type,
        text: message.text,
        calls: (calls ?? []).map(({ name, args }) => ({ name: uncounted(name), args })),
      }
    }),
    ...(structuredResponse !== undefined && { structuredResponse }),
  }
}

/** LangChain numbers the tools that stand for a schema: extract-1, extract-2, … */
function uncounted(name: string): string {
  return name.replace(/-\d+$/, "")
}

import type { AIMessage, AIMessageChunk, BaseMessage } from "@langchain/core/messages"
import { HumanMessage } from "@langchain/core/messages"
import type { StructuredToolInterface } from "@langchain/core/tools"
import { createAgent } from "langchain"
import { isRestart, type MidStream, type RouterChatModel } from "tierwise"

/** What is asked, and what may be used for it. */
export interface Asked {
  readonly question: string
  readonly tools: readonly StructuredToolInterface[]
  readonly signal: AbortSignal
  readonly reader: Reader
  /** Whose money is spent. */
  readonly scopes: Readonly<Record<string, string>>
}

/** Puts words together as they come, and forgets those that a restart takes back. */
export interface Reader {
  show(id: string | undefined, words: string): void
  forget(): void
  /** What it has of each message, in order. */
  texts(): readonly string[]
  /** What it had when it was last told to forget; undefined: it never was. */
  forgotten(): string | undefined
}

/** One message of a model's. */
export interface Reply {
  readonly text: string
  readonly calls: readonly { readonly name: string; readonly args: unknown }[]
  /** Calls whose arguments are no JSON. */
  readonly brokenCalls: number
  /** The reason it gives for having ended, if that says that it is not whole. */
  readonly saysCut: string | undefined
  /** How often another model went on with it, as its reader is told. */
  readonly continuations: number
}

/** All that a caller ends up with after its question. */
export interface Heard {
  readonly replies: readonly Reply[]
  /** Of all messages, in order: `human`, `ai`, `tool`. */
  readonly types: readonly string[]
}

/** One column of the matrix. */
export interface Way {
  readonly name: string
  readonly isAgent: boolean
  /** Words are read as they come, so that they cannot be taken back in silence. */
  readonly isLive: boolean
  readonly midStream: MidStream
  ask(model: RouterChatModel, asked: Asked): Promise<Heard>
}

export const WAYS: readonly Way[] = [
  { name: "invoke", isAgent: false, isLive: false, midStream: "error", ask: invoke },
  { name: "stream", isAgent: false, isLive: true, midStream: "error", ask: stream },
  { name: "stream, restart", isAgent: false, isLive: true, midStream: "restart", ask: stream },
  { name: "stream, continue", isAgent: false, isLive: true, midStream: "continue", ask: stream },
  { name: "agent", isAgent: true, isLive: false, midStream: "error", ask: agent },
  { name: "agent, messages", isAgent: true, isLive: true, midStream: "error", ask: agentMessages },
  { name: "agent, messages, restart", isAgent: true, isLive: true, midStream: "restart", ask: agentMessages },
]

export function newReader(): Reader {
  let words = new Map<string, string>()
  let forgotten: string | undefined
  return {
    show: (id = "", text) => {
      if (text !== "") words.set(id, (words.get(id) ?? "") + text)
    },
    forget: () => {
      forgotten = [...words.values()].join("")
      words = new Map()
    },
    texts: () => [...words.values()],
    forgotten: () => forgotten,
  }
}

async function invoke(model: RouterChatModel, asked: Asked): Promise<Heard> {
  return heard([await withTools(model, asked).invoke(asked.question, configOf(asked))])
}

async function stream(model: RouterChatModel, asked: Asked): Promise<Heard> {
  let whole: AIMessageChunk | undefined
  for await (const chunk of await withTools(model, asked).stream(asked.question, configOf(asked))) {
    if (isRestart(chunk)) {
      whole = undefined
      asked.reader.forget()
      continue
    }
    whole = whole?.concat(chunk) ?? chunk
    // All chunks of a stream are one message, whatever their ids.
    asked.reader.show("the answer", chunk.text)
  }
  return heard(whole === undefined ? [] : [whole])
}

async function agent(model: RouterChatModel, asked: Asked): Promise<Heard> {
  const { messages } = await agentOf(model, asked).invoke(asking(asked), configOf(asked))
  return heard(messages)
}

async function agentMessages(model: RouterChatModel, asked: Asked): Promise<Heard> {
  const config = { ...configOf(asked), streamMode: ["messages" as const, "values" as const] }
  let messages: readonly BaseMessage[] = []
  for await (const part of await agentOf(model, asked).stream(asking(asked), config)) {
    const [mode, data] = part as [string, unknown]
    if (mode === "values") ({ messages } = data as { readonly messages: readonly BaseMessage[] })
    if (mode !== "messages") continue
    const [message] = data as [BaseMessage]
    if (message.type === "ai") asked.reader.show(message.id, message.text)
  }
  return heard(messages)
}

function withTools(model: RouterChatModel, { tools }: Asked): RouterChatModel {
  return tools.length === 0 ? model : model.bindTools([...tools])
}

function agentOf(model: RouterChatModel, { tools }: Asked) {
  return createAgent({ model, tools: [...tools] })
}

function configOf({ signal, scopes }: Asked) {
  return { signal, configurable: { tierwise: { scopes } } }
}

function asking({ question }: Asked): { messages: BaseMessage[] } {
  return { messages: [new HumanMessage(question)] }
}

function heard(messages: readonly BaseMessage[]): Heard {
  return {
    types: messages.map(({ type }) => type),
    replies: messages.filter(({ type }) => type === "ai").map((message) => replyOf(message as AIMessage)),
  }
}

function replyOf({
  text,
  tool_calls: calls,
  invalid_tool_calls: broken,
  response_metadata,
}: AIMessage): Reply {
  const reason = response_metadata["finish_reason"]
  return {
    text,
    calls: (calls ?? []).map(({ name, args }) => ({ name, args })),
    brokenCalls: broken?.length ?? 0,
    saysCut: typeof reason === "string" && CUT_REASONS.has(reason) ? reason : undefined,
    continuations: Number(response_metadata["tierwise_continuations"] ?? 0),
  }
}

/** OpenAI's, for answers that are not whole. */
const CUT_REASONS: ReadonlySet<string> = new Set(["content_filter", "length"])

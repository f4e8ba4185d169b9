import { AIMessage, type AIMessageFields, type UsageMetadata } from "@langchain/core/messages"
import { parseToolCall } from "@langchain/core/output_parsers/openai_tools"
import type { CallIds } from "./history-call-ids.ts"
import type { Dialect } from "./history-origin.ts"

/** Where a reply is sent, and what follows it there. */
interface Destination {
  readonly ids: CallIds
  readonly dialect: Dialect | undefined
  /** Ids of the calls whose results follow. */
  readonly answered: ReadonlySet<string>
}

type Block = Readonly<Record<string, unknown>> & { readonly type?: unknown }

interface Call {
  readonly id?: string | undefined
  readonly name: string
  readonly args: Record<string, unknown>
}

/**
 * What of a content block outlives its provider. All others are the provider's own: thinking and its signatures, calls
 * (they are in `tool_calls`), its own tools' calls and results, indexes of a stream.
 */
const LASTING_BLOCKS: ReadonlyMap<unknown, "words" | "media"> = new Map([
  ["text", "words"],
  ["output_text", "words"],
  ["text_delta", "words"],
  ["text-plain", "words"],
  ["refusal", "words"],
  ["image", "media"],
  ["image_url", "media"],
  ["audio", "media"],
  ["video", "media"],
  ["file", "media"],
])

/**
 * A reply as another model takes it: its words, its tool calls, and who it was; nothing of it is left (undefined) if it
 * had neither, because providers refuse an empty turn. The reply itself if there is nothing to leave out.
 */
export function portableReply(reply: AIMessage, destination: Destination): AIMessage | undefined {
  const { ids, dialect } = destination
  ids.next()
  const content = contentOf(reply, dialect)
  const calls = callsOf(reply, destination)
  const tool_calls = calls.map(({ id, name, args }) => ({
    type: "tool_call" as const,
    id: ids.ofCall(id),
    name: nameFor(name, dialect),
    args,
  }))
  const kwargs = keptKwargs(reply, dialect)
  if (content.length === 0 && calls.length === 0 && kwargs === undefined) return undefined
  if (content === reply.content && isSame(tool_calls, reply.tool_calls) && isBare(reply, dialect))
    return reply
  const { id, name } = reply
  const usage_metadata = reply.usage_metadata as UsageMetadata | undefined
  const fields = {
    content,
    tool_calls,
    additional_kwargs: kwargs ?? {},
    invalid_tool_calls: reply.invalid_tool_calls?.filter((call) => !isAnswered(call, destination)) ?? [],
    ...(id !== undefined && !looksOwn(id, dialect) && { id }),
    ...(name !== undefined && { name }),
    ...(usage_metadata !== undefined && { usage_metadata }),
  }
  return new AIMessage(fields as unknown as AIMessageFields)
}

/** Words as one string; with what else a package of unknown form may take, as blocks. */
function contentOf(
  { content, additional_kwargs }: AIMessage,
  dialect: Dialect | undefined,
): AIMessage["content"] {
  if (typeof content === "string") return wordsOr(content, additional_kwargs)
  let words = ""
  let isApart = false
  const media: Block[] = []
  for (const block of content as readonly Block[]) {
    const text = textOf(block, dialect)
    if (text !== undefined && text !== "") {
      // Blocks that stand side by side are one text in pieces; what stood between two is gone.
      words += words !== "" && isApart ? `\n\n${text}` : text
      isApart = false
    } else if (text === undefined) {
      isApart = true
      if (LASTING_BLOCKS.get(block.type) === "media") media.push(block)
    }
  }
  const said = wordsOr(words, additional_kwargs)
  if (media.length === 0) return said
  return [...(said === "" ? [] : [{ type: "text", text: said }]), ...media] as AIMessage["content"]
}

/** No known package can send what a model has drawn or said back in its own turn. */
function textOf(block: Block, dialect: Dialect | undefined): string | undefined {
  const kind = LASTING_BLOCKS.get(block.type)
  if (kind === "media" && dialect !== undefined) return `[${String(block.type)}]`
  if (kind !== "words") return undefined
  const { text, refusal } = block
  return typeof text === "string" ? text : typeof refusal === "string" ? refusal : ""
}

/** Blank words are refused by Anthropic; a refusal and spoken words stand beside the content. */
function wordsOr(words: string, { refusal, audio }: AIMessage["additional_kwargs"]): string {
  if (words.trim() !== "") return words
  const { transcript } = (audio ?? {}) as { readonly transcript?: unknown }
  return (
    [refusal, transcript].find((said): said is string => typeof said === "string" && said.trim() !== "") ?? ""
  )
}

/** Every call that is to be sent: no result may be left without its call. */
function callsOf(reply: AIMessage, destination: Destination): readonly Call[] {
  const calls = reply.tool_calls ?? []
  const known = calls.length > 0 ? calls : callsElsewhere(reply)
  const malformed = (reply.invalid_tool_calls ?? []).filter((call) => isAnswered(call, destination))
  return [
    ...known,
    ...malformed.map(({ id, name, args }) => ({
      id,
      name: name ?? "unknown",
      args: { malformed: args ?? "" },
    })),
  ]
}

function isAnswered({ id }: { readonly id?: string | undefined }, { answered }: Destination): boolean {
  return id !== undefined && answered.has(id)
}

/** Replies that were not made by a package may hold their calls in the provider's form alone. */
function callsElsewhere({ content, additional_kwargs }: AIMessage): readonly Call[] {
  const blocks = typeof content === "string" ? [] : (content as readonly Block[])
  const used = blocks.filter(({ type }) => type === "tool_use")
  if (used.length > 0) return used.map(({ id, name, input }) => ({ id, name, args: input }) as Call)
  const raw: unknown = additional_kwargs.tool_calls
  return Array.isArray(raw) ? raw.flatMap(parsedCall) : []
}

function parsedCall(raw: Record<string, unknown>): readonly Call[] {
  try {
    const call = parseToolCall(raw, { returnId: true }) as Call | null
    return call === null ? [] : [call]
  } catch {
    // It is among the invalid calls, if anywhere.
    return []
  }
}

/** OpenAI and Anthropic refuse other characters, also in the name of a tool that a model has made up. */
function nameFor(name: string, dialect: Dialect | undefined): string {
  return dialect === "openai" || dialect === "anthropic" ? name.replace(/[^\w-]/gu, "_").slice(0, 64) : name
}

/** The old form of a tool call has no other place. */
function keptKwargs({ additional_kwargs }: AIMessage, dialect: Dialect | undefined): object | undefined {
  const function_call: unknown = additional_kwargs.function_call
  return function_call && dialect !== "anthropic" ? { function_call } : undefined
}

/** OpenAI takes a message's id for that of an item of its own; Anthropic's ids begin alike. */
function looksOwn(id: string, dialect: Dialect | undefined): boolean {
  return dialect === "openai" && /^(?:msg|resp|rs|fc)_/.test(id)
}

function isSame(calls: readonly Call[], others: readonly Call[] | undefined): boolean {
  if (calls.length !== (others?.length ?? 0)) return false
  return calls.every(({ id, name }, index) => id === others?.[index]?.id && name === others?.[index]?.name)
}

/** True for a reply that holds nothing beside its words and calls that a package would send. */
function isBare(
  { additional_kwargs, response_metadata, id }: AIMessage,
  dialect: Dialect | undefined,
): boolean {
  const isEmpty = (value: unknown) => value === undefined || value === null
  return (
    Object.values(additional_kwargs).every(isEmpty) &&
    isEmpty(response_metadata["output"]) &&
    !(id !== undefined && looksOwn(id, dialect))
  )
}

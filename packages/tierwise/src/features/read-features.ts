import type { BaseMessage } from "@langchain/core/messages"
import { InvalidRequestError } from "../spec/errors.ts"
import type { AskedText, RequestFeatures, RouteRequest } from "../spec/request.ts"
import { utf8Bytes } from "../tokens/utf8-bytes.ts"
import { sample } from "./asked-text.ts"
import { languageOf } from "./language.ts"
import { looksLikeCode } from "./looks-like-code.ts"
import { readBlock } from "./media.ts"
import { OVERHEAD, type Size, sizeOfJson, sizeOfText } from "./overhead.ts"
import { type ToolSizes, toolSize } from "./tool-size.ts"

/** Declared retrieved context beyond this many tokens counts no more: larger than the windows models have. */
export const MAX_CONTEXT_LENGTH = 1_000_000

/** Human turns before the present one that estimators get to read. */
const MAX_EARLIER = 3

/**
 * What can be seen of a request without asking anyone. The system prompt, tool definitions and tool results count as
 * input, but are no part of the asked text, so their bulk makes nothing look harder; of retrieved context only the
 * declared size counts. Media are counted beside the text: a quote adds its own bound for them.
 * Linear in the request's text. A tool is measured once per `known`; default: anew in each call.
 * @throws InvalidRequestError for a tool or a response schema that cannot be written as JSON.
 */
export function readFeatures(
  request: RouteRequest,
  known: ToolSizes = new WeakMap(),
): { readonly features: RequestFeatures; readonly text: AskedText } {
  const tally = newTally()
  add(tally, OVERHEAD.request)
  let turns = 0
  let askTokens = 0
  const humanTexts: string[] = []
  for (const message of request.messages) {
    const tokensOfOthers = tally.textTokens
    const text = countMessage(tally, message)
    if (!isHuman(message) || bringsToolResult(message)) continue
    turns++
    askTokens = tally.textTokens - tokensOfOthers
    humanTexts.unshift(text)
    humanTexts.length = Math.min(humanTexts.length, 1 + MAX_EARLIER)
  }
  countTools(tally, request.tools ?? [], known)
  countSchema(tally, request)

  const [ask = "", ...earlier] = humanTexts.map(sample)
  const features: RequestFeatures = {
    inputTokens: tally.tokens,
    inputBytes: tally.bytes,
    askTokens,
    messages: request.messages.length,
    turns,
    toolsOffered: request.tools?.length ?? 0,
    toolResultsPending: endsWithToolResult(request.messages),
    images: tally.images,
    audioClips: tally.audioClips,
    files: tally.files,
    mediaBytes: tally.mediaBytes,
    wantsSchema: request.responseFormat !== undefined,
    hasCode: looksLikeCode(ask),
    language: languageOf(ask),
    taskType: request.taskType,
    capabilities: request.capabilities ?? [],
    contextLength: declaredContext(request.contextLength),
  }
  return { features, text: { ask, earlier } }
}

/** What has been counted so far; filled in place, because a request may have thousands of blocks. */
interface Tally {
  tokens: number
  bytes: number
  /** Part of `tokens`: words of messages, without overhead, tool calls and other JSON. */
  textTokens: number
  images: number
  audioClips: number
  files: number
  mediaBytes: number
}

function newTally(): Tally {
  return { tokens: 0, bytes: 0, textTokens: 0, images: 0, audioClips: 0, files: 0, mediaBytes: 0 }
}

function add(tally: Tally, { tokens, bytes }: Size): void {
  tally.tokens += tokens
  tally.bytes += bytes
}

/** Counts a message and returns the words in it. */
function countMessage(tally: Tally, message: BaseMessage): string {
  add(tally, OVERHEAD.message)
  for (const label of labelsOf(message)) add(tally, sizeOfText(label))
  const hasCalls = countToolCalls(tally, message)
  const { content } = message
  if (typeof content !== "string") return countBlocks(tally, content, hasCalls).join("\n")
  countText(tally, content)
  return content
}

/** Short strings that are sent beside the content. */
function labelsOf(message: BaseMessage): readonly string[] {
  const { name, tool_call_id, role } = message as BaseMessage & { tool_call_id?: unknown; role?: unknown }
  return [name, tool_call_id, role].filter((label) => typeof label === "string" && label !== "") as string[]
}

/** Counts a message's calls, and says whether it lists any. */
function countToolCalls(tally: Tally, message: BaseMessage): boolean {
  const lists = message as BaseMessage & { tool_calls?: unknown; invalid_tool_calls?: unknown }
  const calls: readonly unknown[] = [lists.tool_calls, lists.invalid_tool_calls].filter(Array.isArray).flat()
  for (const call of calls) {
    add(tally, OVERHEAD.toolCall)
    countJson(tally, call)
  }
  // The same calls in the provider's own form, and whatever else a chat model keeps there to send it back.
  for (const [key, value] of Object.entries(message.additional_kwargs)) {
    const repeated = calls.length > 0 && (key === "tool_calls" || key === "function_call")
    if (!repeated) countJson(tally, value)
  }
  return calls.length > 0
}

function countText(tally: Tally, text: string): void {
  const size = sizeOfText(text)
  add(tally, size)
  tally.textTokens += size.tokens
}

/** Counts content blocks and returns the words in them. */
function countBlocks(tally: Tally, blocks: unknown, hasCalls: boolean): readonly string[] {
  const texts: string[] = []
  if (!Array.isArray(blocks)) return texts
  for (const block of blocks) {
    const content = readBlock(block)
    switch (content.kind) {
      case "text":
        countText(tally, content.text)
        texts.push(content.text)
        break
      case "image":
      case "audio":
      case "file":
        tally[MEDIA_COUNTERS[content.kind]]++
        tally.mediaBytes += content.inlineBytes
        tally.bytes += utf8Bytes(content.url)
        break
      case "tool-result":
        countToolResult(tally, content.content)
        break
      case "tool-call":
        if (!hasCalls) countJson(tally, block)
        break
      case "other":
        countJson(tally, block)
    }
  }
  return texts
}

/** A tool's words are input, but nobody's question. */
function countToolResult(tally: Tally, content: unknown): void {
  const { textTokens } = tally
  if (typeof content === "string") countText(tally, content)
  else countBlocks(tally, content, false)
  tally.textTokens = textTokens
}

const MEDIA_COUNTERS = { image: "images", audio: "audioClips", file: "files" } as const

/** Counts something of unknown shape as its JSON. What has none is not sent either. */
function countJson(tally: Tally, value: unknown): void {
  try {
    const json: unknown = JSON.stringify(value)
    if (typeof json === "string") add(tally, sizeOfJson(json))
  } catch {
    // A cycle: no provider's client could send it.
  }
}

function countTools(tally: Tally, tools: readonly unknown[], known: ToolSizes): void {
  if (tools.length > 0) add(tally, OVERHEAD.firstTool)
  tools.forEach((tool, index) => {
    add(tally, toolSize(tool, index, known))
  })
}

function countSchema(tally: Tally, { responseFormat }: RouteRequest): void {
  if (responseFormat === undefined) return
  add(tally, OVERHEAD.schema)
  add(tally, sizeOfText(responseFormat.name))
  try {
    add(tally, sizeOfJson(JSON.stringify(responseFormat.schema)))
  } catch {
    const fix = "pass a JSON Schema, without cycles"
    throw new InvalidRequestError("responseFormat.schema", "it cannot be written as JSON", fix)
  }
}

function isHuman(message: BaseMessage): boolean {
  if (message.type === "human") return true
  const role = (message as BaseMessage & { role?: unknown }).role
  return message.type === "generic" && (role === "user" || role === "human")
}

/** Some providers want a tool's result inside a user message; nobody has said anything there. */
function bringsToolResult({ content }: BaseMessage): boolean {
  if (!Array.isArray(content) || content.length === 0) return false
  return content.every((block) => (block as { type?: unknown } | null)?.type === "tool_result")
}

function endsWithToolResult(messages: readonly BaseMessage[]): boolean {
  const last = messages.at(-1)
  return last !== undefined && (last.type === "tool" || last.type === "function" || bringsToolResult(last))
}

function declaredContext(contextLength: number | undefined): number {
  if (contextLength === undefined || !(contextLength > 0)) return 0
  return Math.min(contextLength, MAX_CONTEXT_LENGTH)
}

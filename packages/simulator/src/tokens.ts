import { countTokens, decode, encode } from "gpt-tokenizer/encoding/o200k_base"
import type { ChatMessage, ChatRequest } from "./protocol.ts"

/** A part of an answer as it leaves the model: usually one token, more where one token is not yet a character. */
export interface TextPiece {
  readonly text: string
  readonly tokens: number
}

// `<|endoftext|>` in a user's text is text.
const PLAIN_TEXT = { disallowedSpecial: new Set<string>() }

// One long "word" costs the tokenizer quadratic time, so long texts are counted in slices.
const SLICE = 1_024

/** OpenAI cookbook, "How to count tokens with tiktoken": every reply is primed with `<|start|>assistant<|message|>`. */
const TOKENS_PER_REPLY = 3
/** The same source: 3 tokens around each message, 1 for a name. */
const TOKENS_PER_MESSAGE = 3
const TOKENS_PER_NAME = 1
/** OpenAI's vision guide: 85 for low detail, 765 for 1024 × 1024 in high detail, which stands for all others. */
const TOKENS_PER_IMAGE = { low: 85, high: 765 }
/** Around one tool call in a message or an answer. Not documented by OpenAI; a choice of this simulator. */
export const TOKENS_PER_TOOL_CALL = 4

/**
 * Tokens of `text` in `o200k_base`. Exact up to 1,024 characters and for spaced prose of any length; a word without
 * spaces that is longer than that is cut, which adds at most a token per cut.
 */
export function countText(text: string): number {
  if (text.length <= SLICE) return text === "" ? 0 : countTokens(text, PLAIN_TEXT)
  let tokens = 0
  for (const slice of slicesOf(text)) tokens += countTokens(slice, PLAIN_TEXT)
  return tokens
}

/** `text` as the model would stream it. The pieces joined are the text. */
export function piecesOf(text: string): readonly TextPiece[] {
  const pieces: TextPiece[] = []
  for (const slice of slicesOf(text)) {
    let at = 0
    let open: number[] = []
    for (const token of encode(slice, PLAIN_TEXT)) {
      open.push(token)
      const piece = decode(open)
      if (piece === "" || !slice.startsWith(piece, at)) continue
      pieces.push({ text: piece, tokens: open.length })
      at += piece.length
      open = []
    }
    if (at < slice.length) pieces.push({ text: slice.slice(at), tokens: open.length })
  }
  return pieces
}

/** Input tokens up to and including each message, and all of them with what the reply is primed with. */
export interface PromptTokens {
  /** Running totals, the tools and the schema counted before the first message, as providers cache them. */
  readonly through: readonly number[]
  readonly total: number
}

/**
 * Input tokens of a request: the messages with their documented overhead, and the compact JSON of tools and schema.
 * @param count The counter, so that a caller can keep what was counted before.
 */
export function countPrompt(request: ChatRequest, count: (text: string) => number = countText): PromptTokens {
  let total = 0
  for (const tool of request.tools ?? []) total += count(JSON.stringify(tool.function))
  if (request.response_format?.type === "json_schema")
    total += count(JSON.stringify(request.response_format.json_schema))
  const through = request.messages.map((message) => {
    total += countMessage(message, count)
    return total
  })
  return { through, total: total + TOKENS_PER_REPLY }
}

/** A bounded memory for the counts of short texts: system prompts and benchmark questions come again and again. */
export function rememberedCount(entries = 2_000): (text: string) => number {
  const known = new Map<string, number>()
  return (text) => {
    if (text.length > 4_096) return countText(text)
    const before = known.get(text)
    if (before !== undefined) return before
    const tokens = countText(text)
    if (known.size >= entries) for (const oldest of known.keys()) if (known.delete(oldest)) break
    known.set(text, tokens)
    return tokens
  }
}

function countMessage(message: ChatMessage, count: (text: string) => number): number {
  let tokens = TOKENS_PER_MESSAGE + count(message.role)
  if (message.name !== undefined) tokens += TOKENS_PER_NAME + count(message.name)
  if (typeof message.content === "string") tokens += count(message.content)
  else {
    for (const part of message.content ?? []) {
      if (part.text !== undefined) tokens += count(part.text)
      if (part.type === "image_url")
        tokens += part.image_url?.detail === "low" ? TOKENS_PER_IMAGE.low : TOKENS_PER_IMAGE.high
    }
  }
  for (const { function: call } of message.tool_calls ?? [])
    tokens += TOKENS_PER_TOOL_CALL + count(call.name) + count(call.arguments)
  return tokens
}

function* slicesOf(text: string): Generator<string> {
  let start = 0
  while (text.length - start > SLICE) {
    const end = cutBefore(text, start + SLICE, start + SLICE / 2)
    yield text.slice(start, end)
    start = end
  }
  yield text.slice(start)
}

// In o200k_base a word takes the space before it along, so a cut before " word" changes no token.
function cutBefore(text: string, end: number, notBefore: number): number {
  for (let at = end; at > notBefore; at -= 1) {
    if (text[at] === " " && /\S/.test(text[at - 1] ?? "") && /\p{L}/u.test(text[at + 1] ?? "")) return at
  }
  const splitsPair = /[\uDC00-\uDFFF]/.test(text[end] ?? "")
  return splitsPair ? end - 1 : end
}

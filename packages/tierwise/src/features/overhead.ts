import { estimateTokens } from "../tokens/estimate-tokens.ts"
import { utf8Bytes } from "../tokens/utf8-bytes.ts"

/** What something takes of the input: the likely tokens, and bytes that no tokenizer exceeds. */
export interface Size {
  readonly tokens: number
  readonly bytes: number
}

export const NO_SIZE: Size = { tokens: 0, bytes: 0 }

export type Overhead = "request" | "message" | "toolCall" | "firstTool" | "tool" | "schema"

/**
 * What chat templates add around the caller's own text. `tokens` are OpenAI's published counts (cookbook, "How to
 * count tokens with tiktoken": 3 a message, 3 to prime the answer; its 12 around tools and 7 for each are in the
 * marks of the tool's JSON, which the model reads in a leaner form: the tool call in OpenAI's API reference is reported
 * with 82 tokens of input, of which 15 are the message, and its tool's JSON has 69). `bytes` are above the
 * largest template we know of: role marks in words (Llama 3 header, ChatML) for a message; for a request the default
 * system line that Qwen and Llama add (about 30 tokens) or the harmony preamble (about 70); for the first tool the
 * hidden instructions of Anthropic (up to 530 tokens) or Qwen (about 160).
 */
export const OVERHEAD: Readonly<Record<Overhead, Size>> = {
  request: { tokens: 3, bytes: 128 },
  message: { tokens: 4, bytes: 24 },
  toolCall: { tokens: 8, bytes: 64 },
  firstTool: { tokens: 0, bytes: 640 },
  tool: { tokens: 0, bytes: 32 },
  schema: { tokens: 12, bytes: 256 },
}

export function sizeOfText(text: string): Size {
  return text === "" ? NO_SIZE : { tokens: estimateTokens(text), bytes: utf8Bytes(text) }
}

/** The size of JSON text in a prompt, in any of the ways in which templates print it. */
export function sizeOfJson(json: string): Size {
  return { tokens: estimateTokens(json), bytes: printedBytes(json) }
}

/**
 * Templates print JSON with spaces or line breaks after its marks, and some write `中` as `\u4e2d`: six bytes for a
 * UTF-16 unit, one more for whatever follows a mark.
 */
function printedBytes(json: string): number {
  let bytes = json.length
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i)
    if (code >= 0x80) bytes += 5
    else if (MARKS.has(code)) bytes += 1
  }
  return bytes
}

const MARKS: ReadonlySet<number> = new Set(Array.from("{}[],:", (mark) => mark.charCodeAt(0)))

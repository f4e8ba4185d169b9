import { hash } from "node:crypto"
import type { ToolCall } from "./prompt.ts"
import type { ChatRequest, JsonObject, WireToolCall } from "./protocol.ts"
import type { Reply } from "./skills/family.ts"
import { countText, piecesOf, TOKENS_PER_TOOL_CALL } from "./tokens.ts"

export type FinishReason = "stop" | "length" | "tool_calls"

/** Something that leaves the model at once; `delta` is what a stream shows of it, and of a thought nothing. */
export interface Piece {
  readonly choice: number
  readonly delta: JsonObject | "thought"
  readonly tokens: number
}

/** One of the `n` answers, within its limits. */
export interface Choice {
  readonly index: number
  readonly pieces: readonly Piece[]
  readonly message: JsonObject
  readonly finishReason: FinishReason
}

export interface ChoiceLimits {
  readonly index: number
  /** Tokens, thoughts included; at least 1. */
  readonly maxTokens: number
  /** Tokens that are thought before the first word. */
  readonly reasoningTokens: number
  /** Names this answer; tool calls get their ids from it. */
  readonly key: string
}

/** Puts a reply into the request's form: stopped at its stop words, cut at its token limit, split as it is streamed. */
export function choiceOf(reply: Reply, request: ChatRequest, limits: ChoiceLimits): Choice {
  const { index, maxTokens, reasoningTokens } = limits
  const thought = Math.min(reasoningTokens, maxTokens)
  const left = { ...limits, maxTokens: maxTokens - thought }
  const said =
    reply.kind === "text"
      ? textChoice(beforeStop(reply.text, request.stop), left)
      : callsChoice(reply.calls, request, left)
  if (thought === 0) return said
  const thoughts = Array.from({ length: thought }, (): Piece => ({ choice: index, ...ONE_THOUGHT }))
  const pieces = [...thoughts, ...said.pieces]
  return { ...said, pieces, finishReason: thought < reasoningTokens ? "length" : said.finishReason }
}

const ONE_THOUGHT = { delta: "thought", tokens: 1 } as const

/** All choices as they are generated side by side: one piece of each in turn. */
export function interleaved(choices: readonly Choice[]): readonly Piece[] {
  const [only] = choices
  if (only !== undefined && choices.length === 1) return only.pieces
  const longest = Math.max(0, ...choices.map(({ pieces }) => pieces.length))
  return Array.from({ length: longest }, (_, index) =>
    choices.flatMap(({ pieces }) => pieces[index] ?? []),
  ).flat()
}

function textChoice(text: string, { index, maxTokens }: ChoiceLimits): Choice {
  const all = piecesOf(text).filter((piece) => piece.text !== "")
  const kept = withinLimit(all, maxTokens)
  return {
    index,
    pieces: kept.map((piece) => ({ choice: index, delta: { content: piece.text }, tokens: piece.tokens })),
    message: { role: "assistant", content: kept.map((piece) => piece.text).join(""), refusal: null },
    finishReason: kept.length < all.length ? "length" : "stop",
  }
}

function callsChoice(
  calls: readonly ToolCall[],
  request: ChatRequest,
  { index, maxTokens, key }: ChoiceLimits,
): Choice {
  const wire = calls.map(({ name, arguments: given }, at): WireToolCall => {
    const id = `call_${hash("sha256", `${key}:${index}:${at}`).slice(0, 24)}`
    return { id, type: "function", function: { name, arguments: JSON.stringify(given) } }
  })
  const all = wire.flatMap((call, at) => piecesOfCall(call, at, index))
  const kept = withinLimit(all, maxTokens)
  const cut = kept.length < all.length
  // OpenAI's function calling guide: a call that was forced by name ends with "stop".
  const finished =
    typeof request.tool_choice === "object" && request.tool_choice !== null ? "stop" : "tool_calls"
  const written = wire.flatMap((call, at) => {
    const text = kept.flatMap((piece) => (piece.call === at ? piece.text : [])).join("")
    const begun = kept.some((piece) => piece.call === at)
    return begun ? [{ ...call, function: { name: call.function.name, arguments: text } }] : []
  })
  return {
    index,
    pieces: kept,
    message: { role: "assistant", content: null, refusal: null, tool_calls: written },
    finishReason: cut ? "length" : finished,
  }
}

interface CallPiece extends Piece {
  readonly call: number
  readonly text: string
}

function piecesOfCall(call: WireToolCall, at: number, choice: number): CallPiece[] {
  const { name, arguments: given } = call.function
  const head = { index: at, id: call.id, type: "function", function: { name, arguments: "" } }
  return [
    {
      choice,
      call: at,
      text: "",
      delta: { tool_calls: [head] },
      tokens: countText(name) + TOKENS_PER_TOOL_CALL,
    },
    ...piecesOf(given).map(({ text, tokens }) => {
      const delta = { tool_calls: [{ index: at, function: { arguments: text } }] }
      return { choice, call: at, text, delta, tokens }
    }),
  ]
}

function beforeStop(text: string, stop: ChatRequest["stop"]): string {
  const ends = [stop ?? []].flat().flatMap((word) => {
    const at = word === "" ? -1 : text.indexOf(word)
    return at === -1 ? [] : [at]
  })
  return ends.length === 0 ? text : text.slice(0, Math.min(...ends))
}

function withinLimit<T extends { readonly tokens: number }>(
  pieces: readonly T[],
  maxTokens: number,
): readonly T[] {
  let total = 0
  const end = pieces.findIndex((piece) => {
    total += piece.tokens
    return total > maxTokens
  })
  return end === -1 ? pieces : pieces.slice(0, end)
}

import type { AIMessage, AIMessageChunk, UsageMetadata } from "@langchain/core/messages"
import { combineUsage, type Usage } from "../spec/usage.ts"

/** LangChain's declaration is narrower than what servers send, and comes out as undefined under strict options. */
type Reported = Partial<UsageMetadata> | undefined

/**
 * What the provider reported on a message, or undefined if it reported nothing that can be believed: a count that is
 * missing, negative or no number would turn into money.
 */
export function reportedUsage(message: AIMessage | AIMessageChunk): Usage | undefined {
  return reportedUsageWithin(message, 0)
}

/**
 * The same of a call whose output cap is known: thinking that only the total mentions is believed up to it.
 *
 * @param maxOutputTokens Of all answers of the call together, as sent to the provider.
 */
export function reportedUsageWithin(
  message: AIMessage | AIMessageChunk,
  maxOutputTokens: number,
): Usage | undefined {
  const { usage_metadata: usage } = message as { readonly usage_metadata?: Reported }
  if (usage === undefined) return undefined
  // What LangChain's form has no field for stands in the provider's own, where its package keeps it.
  const own = ownReport(message)
  const read = tokens(usage.input_tokens) ?? countAt(own, OWN_COUNTS.input)
  const written = tokens(usage.output_tokens) ?? countAt(own, OWN_COUNTS.output)
  if (read === undefined || written === undefined || read + written === 0) return undefined
  const { input_token_details: input, output_token_details: output } = usage
  const cachedInputTokens = tokens(input?.cache_read) ?? countAt(own, OWN_COUNTS.cached) ?? 0
  const cacheWriteTokens = tokens(input?.cache_creation) ?? 0
  const reasoningTokens = tokens(output?.reasoning) ?? 0
  const total = tokens(usage.total_tokens)
  const whole = wholes({
    read,
    written,
    total,
    cached: cachedInputTokens + cacheWriteTokens,
    reasoning: reasoningTokens,
    maxOutputTokens,
  })
  return {
    ...whole,
    cachedInputTokens,
    cacheWriteTokens,
    cacheWrite1hTokens: Math.min(countAt(own, OWN_COUNTS.cacheWrite1h) ?? 0, cacheWriteTokens),
    inputAudioTokens: tokens(input?.audio) ?? 0,
    inputImageTokens: tokens(input?.image) ?? countAt(own, OWN_COUNTS.inputImage) ?? 0,
    reasoningTokens,
    outputAudioTokens: tokens(output?.audio) ?? 0,
    outputImageTokens: tokens(output?.image) ?? countAt(own, OWN_COUNTS.outputImage) ?? 0,
  }
}

/**
 * What the reports on the pieces of one answer say together. LangChain adds them up, and so do we, but for two:
 * - Anthropic counts on: its first event has a token or so of output, its last one has all of it. The sum is too much.
 *   Where its package has added them up already, because a handler wanted to read along, nobody can tell them apart any
 *   more: the sum is an estimate.
 * - A server that repeats its running totals on every piece would be billed for all of them; such reports have the whole
 *   input each time, and never less than before.
 *
 * @param countsOn What `reportsCountOn` says of any of the pieces.
 */
export function usageOfPieces(reports: readonly Usage[], countsOn: boolean): Usage | undefined {
  const [first, ...more] = reports
  if (first === undefined) return undefined
  if (more.length === 0) return countsOn ? { ...first, estimated: true } : first
  const larger = countsOn || repeatTotals(reports)
  return more.reduce((sum, next) => combineUsage(sum, next, larger ? Math.max : (a, b) => a + b), first)
}

/** True for the first piece of an answer whose later reports replace its earlier ones, and for pieces joined with it. */
export function reportsCountOn(message: AIMessage | AIMessageChunk): boolean {
  if (message.response_metadata["model_provider"] !== "anthropic") return false
  // A whole answer's own report is whole; that of a stream's first event is kept without what counts on.
  return countAt(ownReport(message), OWN_COUNTS.output) === undefined
}

function repeatTotals(reports: readonly Usage[]): boolean {
  return reports.every((report, index) => {
    const before = reports[index - 1]
    if (report.inputTokens === 0) return false
    if (before === undefined) return true
    return report.inputTokens >= before.inputTokens && report.outputTokens >= before.outputTokens
  })
}

interface Counts {
  readonly read: number
  readonly written: number
  readonly total: number | undefined
  /** Read from the cache and written to it. */
  readonly cached: number
  readonly reasoning: number
  readonly maxOutputTokens: number
}

/**
 * All that was read and written. Some servers leave the cached tokens out of the input (as Anthropic's own protocol does),
 * the reasoning out of the output (xAI), or both; what their total has beside input and output says which. What it has
 * beyond them is thinking that nothing else mentions (Gemini's OpenAI interface), if the output cap leaves room for it. Else
 * the total is none, perhaps a whole session's: it is not believed, and what is left of the report is an estimate.
 */
function wholes({
  read,
  written,
  total = 0,
  cached,
  reasoning,
  maxOutputTokens,
}: Counts): Pick<Usage, "inputTokens" | "outputTokens" | "estimated"> {
  const apart = total - read - written
  const saysCached = apart !== reasoning && (apart === cached || apart === cached + reasoning)
  const inputTokens = read + (cached > read || saysCached ? cached : 0)
  const rest = Math.max(0, total - inputTokens - written)
  const isTold = rest === 0 || rest === reasoning || written + rest <= maxOutputTokens
  return { inputTokens, outputTokens: written + (isTold ? rest : 0), estimated: !isTold }
}

type Path = readonly string[]

/** Where providers put counts in their own reports, the first that is there. */
const OWN_COUNTS = {
  input: [["prompt_tokens"], ["input_tokens"]],
  output: [["completion_tokens"], ["output_tokens"]],
  // DeepSeek, Moonshot.
  cached: [["prompt_cache_hit_tokens"], ["cached_tokens"]],
  cacheWrite1h: [["cache_creation", "ephemeral_1h_input_tokens"]],
  inputImage: [
    ["prompt_tokens_details", "image_tokens"],
    ["input_tokens_details", "image_tokens"],
  ],
  outputImage: [
    ["completion_tokens_details", "image_tokens"],
    ["output_tokens_details", "image_tokens"],
  ],
} as const satisfies Readonly<Record<string, readonly Path[]>>

function ownReport({ response_metadata }: AIMessage | AIMessageChunk): unknown {
  return (response_metadata as Readonly<Record<string, unknown>> | undefined)?.["usage"]
}

function countAt(report: unknown, paths: readonly Path[]): number | undefined {
  for (const path of paths) {
    let at = report
    for (const field of path) at = (at as Readonly<Record<string, unknown>> | null | undefined)?.[field]
    const count = tokens(at)
    if (count !== undefined) return count
  }
  return undefined
}

/** A hundred million tokens is more than any call can have. */
const MOST_TOKENS = 1e8

function tokens(count: unknown): number | undefined {
  if (typeof count !== "number" || !(count >= 0 && count <= MOST_TOKENS)) return undefined
  return Math.ceil(count)
}

/** How many tool calls begin in a message or chunk. */
export function generatedCalls(message: AIMessage | AIMessageChunk): number {
  if (!("tool_call_chunks" in message)) return message.tool_calls?.length ?? 0
  return (message.tool_call_chunks ?? []).filter(({ name }) => name !== undefined && name !== "").length
}

/** What a message or chunk says, as far as it was generated: text, thoughts that are shown, tool names and arguments. */
export function generatedText(message: AIMessage | AIMessageChunk): string {
  const said = shownThoughts(message) + textOf(message)
  if ("tool_call_chunks" in message) {
    const calls = message.tool_call_chunks ?? []
    return said + calls.map(({ name, args }) => (name ?? "") + (args ?? "")).join("")
  }
  const calls = message.tool_calls ?? []
  return said + calls.map(({ name, args }) => name + JSON.stringify(args)).join("")
}

/** LangChain's own `text` translates the content into blocks first, which each chunk of a stream would pay for. */
function textOf(message: AIMessage | AIMessageChunk): string {
  return typeof message.content === "string" ? message.content : message.text
}

/** Anthropic shows thoughts as parts of the content, DeepSeek and its like beside it. */
function shownThoughts({ content, additional_kwargs }: AIMessage | AIMessageChunk): string {
  const beside = (additional_kwargs as Readonly<Record<string, unknown>> | undefined)?.["reasoning_content"]
  const parts = typeof content === "string" ? [] : (content as readonly Readonly<Record<string, unknown>>[])
  const thoughts = [
    beside,
    ...parts.map(({ type, thinking }) => (type === "thinking" ? thinking : undefined)),
  ]
  return thoughts.filter((thought) => typeof thought === "string").join("")
}

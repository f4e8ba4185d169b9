import type { JsonObject, JsonValue } from "./protocol.ts"

/** What goes wrong in a call: it is refused, or answered in a way that it should not be. */
export interface Fault {
  /** Refuse with this HTTP status, 400 … 599. */
  readonly status?: number | undefined
  /** Refuse in the words of a certain provider, with its status. */
  readonly refusal?: RefusalName | undefined
  /** When a refusal says to come back. Default: 1 s with 429 and 503, what the provider says with `refusal`, else nothing. */
  readonly retryAfter?: RetryAfter | undefined
  /** The refusal's body, or that of an error inside a 200. Default: what providers send with that status, or with 500. */
  readonly body?: JsonValue | undefined
  /** A web page instead of JSON: this one, or with `true` a usual one. Sent with `status`, or with 200 without it. */
  readonly html?: true | string | undefined
  /** Added to the answer's headers, or to the refusal's; one that it has anyway, such as `content-type`, is replaced. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Adds a header of so many bytes, 1 … 1,048,576. */
  readonly headerBytes?: number | undefined
  /** Real milliseconds to wait first, whatever the time scale. The call stands in line: it costs nothing to leave. */
  readonly delayMs?: number | undefined
  /** Answer with this text instead of thinking. */
  readonly answer?: string | undefined
  /** Something happens to the answer on its way. */
  readonly breaks?: Breaking | undefined
  /** `breaks: { how: "cut", at: { chunks } }`. */
  readonly cutAfterChunks?: number | undefined
  /** `breaks: { how: "error", at: { chunks } }`. */
  readonly errorAfterChunks?: number | undefined
  /** Answer without any choice. Nothing is generated. */
  readonly emptyChoices?: true | undefined
  /** Report other usage than is billed. */
  readonly usage?: WrongUsage | undefined
  /** Send every token of a stream twice. They are billed once. */
  readonly duplicateChunks?: true | undefined
  /** Send the body so many bytes at a time, so many real milliseconds apart. Characters of several bytes come apart. */
  readonly drip?: { readonly bytes: number; readonly everyMs: number } | undefined
}

/** Refusals that are not the usual ones of their status. `vllm-context-overflow-flat` has no `error` around it. */
export type RefusalName =
  | "openai-context-overflow"
  | "vllm-context-overflow"
  | "vllm-context-overflow-flat"
  | "azure-content-filter"
  | "azure-rate-limit"
  | "openai-quota-exhausted"

/** `date`: so many seconds from now, as an HTTP date. `none`: the header is left out. */
export type RetryAfter = "none" | { readonly seconds: number } | { readonly date: number }

/**
 * - `cut`: the connection breaks, after what was sent before. `reset`: with a TCP reset, which may lose what was sent.
 * - `ends`: the answer ends here as if it were complete: a stream without finish reason and `[DONE]`.
 * - `unfinished`: the answer ends here, properly, but its finish reason is null.
 * - `content-filter`: the answer ends here, properly, with the finish reason `content_filter`.
 * - `error`: an error inside a 200: the last event of a stream, or all there is of a whole answer.
 * - `truncated`: an event with half its JSON is the last; of a whole answer half the JSON is sent.
 * - `garbled`: noise that is no event and an event that is no JSON come in between, and the stream goes on.
 * - `stalls`: nothing comes for `forMs` real milliseconds, default for ever; then the answer goes on.
 * - `endless`: the last word is said again and again, every `everyMs` real milliseconds (default 10), until the reader
 *   leaves; in a tool call it is white space. Who waits for a whole answer waits for ever.
 */
export type Breaking =
  | { readonly how: "stalls"; readonly at?: FaultPlace | undefined; readonly forMs?: number | undefined }
  | { readonly how: "endless"; readonly at?: FaultPlace | undefined; readonly everyMs?: number | undefined }
  | { readonly how: PlainBreak; readonly at?: FaultPlace | undefined }

export type PlainBreak =
  | "cut"
  | "reset"
  | "ends"
  | "unfinished"
  | "content-filter"
  | "error"
  | "truncated"
  | "garbled"

/**
 * Where in an answer. Default `first-token`. A place that the answer does not have is its end.
 *
 * - `arrival`: before the prompt is read, so that nothing is billed (for `cut`, `reset` and `stalls`).
 * - `start`: the prompt is read, and no byte was sent, headers included. `first-token`: after the first token.
 * - `tool-call`: inside the arguments of the first tool call. `end`: all tokens were sent, the finish reason was not.
 * - `chunks`: after so many chunks of a stream, of which the first are one for each choice with its role.
 * - `bytes`: after the headers and so many bytes of the body (for `cut`, `reset`, `ends` and `stalls`).
 *
 * An answer that is not streamed is generated up to the place, and sent when it is whole: only `bytes` lets a part of
 * it out.
 */
export type FaultPlace =
  | "arrival"
  | "start"
  | "first-token"
  | "tool-call"
  | "end"
  | { readonly chunks: number }
  | { readonly bytes: number }

/** `too-high`: ten times as much. `wrong-total`: the total is more than its parts. An object replaces these fields. */
export type WrongUsage = "missing" | "negative" | "too-high" | "wrong-total" | JsonObject

/** What is to happen to a coming call instead of, or on top of, a normal answer. */
export interface ScriptedFault extends Fault {
  /** Only calls of this model. Default: any. */
  readonly model?: string | undefined
  /** How many matching calls it is for. Default 1. */
  readonly times?: number | undefined
}

/** A fault that happens to a share of the calls. */
export interface FaultRate extends Fault {
  /** Only calls of this model. Default: any. */
  readonly model?: string | undefined
  /** 0 … 1, of all calls; the shares that concern a model add up to 1 at most. */
  readonly share: number
}

/** A fault that happens to every call that arrives in a stretch of time. Milliseconds since the simulator started. */
export interface Outage extends Fault {
  /** Only calls of this model. Default: any. */
  readonly model?: string | undefined
  /** Default 0. */
  readonly fromMs?: number | undefined
  /** Not included. Default: for ever. */
  readonly toMs?: number | undefined
  /** The same stretch again in every such period, which is no shorter than `toMs`. Default: once. */
  readonly everyMs?: number | undefined
}

import type { FailureKind } from "../spec/dispatch.ts"

/** Which of our signals had fired when the error came: two identical abort errors are told apart by it. */
export interface FailureContext {
  readonly callerAborted: boolean
  readonly timedOut: boolean
  /** The error came out of a provider's package: what looks like a defect there is an answer it did not understand. */
  readonly fromProvider: boolean
}

type Shape = Record<string, unknown>

/**
 * One error → one `FailureKind`. Looks at our own signals first, then at LangChain's stamps, the HTTP status, the
 * provider's code and the network cause. An error that carries none of these is `unknown`: it came out of a
 * provider call, so another provider may do better. Never throws.
 */
export function classifyFailure(error: unknown, context: FailureContext): FailureKind {
  if (context.callerAborted) return "aborted"
  if (context.timedOut) return "timeout"
  if (typeof error !== "object" || error === null) return "unknown"
  const shape = error as Shape
  const kind = byName(shape) ?? byCode(shape) ?? byStatus(shape) ?? byCause(shape, new Set()) ?? "unknown"
  return context.fromProvider ? (SAID_BY_PROVIDER[kind] ?? kind) : kind
}

/** An interrupt asks a person, and a command moves a graph: neither is a failure of whoever threw it. */
export function isControlFlow(error: unknown): boolean {
  return (
    classifyFailure(error, { callerAborted: false, timedOut: false, fromProvider: false }) === "control-flow"
  )
}

/**
 * True for an error that was told inside a 200, in the middle of a stream or instead of its first word: OpenAI's and
 * Anthropic's clients throw it with the headers of the answer and without a status. What refuses a call outright has a
 * status, and what never reached anybody has no headers. The prompt was taken, and may be billed, whatever the error says.
 */
export function cameInsideAnAnswer(error: unknown): boolean {
  const { headers, status } = (error ?? {}) as Shape
  return typeof headers === "object" && headers !== null && status === undefined
}

/** A body that is no JSON was cut or garbled; one of an unexpected form broke the package that reads it. Both were sent. */
const SAID_BY_PROVIDER: Partial<Readonly<Record<FailureKind, FailureKind>>> = {
  unparseable: "truncated",
  defect: "truncated",
}

const BY_NAME: Readonly<Record<string, FailureKind>> = {
  TimeoutError: "timeout",
  APIConnectionTimeoutError: "timeout",
  APIConnectionError: "network",
  ContextOverflowError: "context-overflow",
  TruncatedError: "truncated",
  SyntaxError: "unparseable",
  OutputParserException: "unparseable",
  ZodError: "unparseable",
  $ZodError: "unparseable",
  GraphInterrupt: "control-flow",
  NodeInterrupt: "control-flow",
  GraphBubbleUp: "control-flow",
  ParentCommand: "control-flow",
  TypeError: "defect",
  RangeError: "defect",
  ReferenceError: "defect",
}

function byName(shape: Shape): FailureKind | undefined {
  if (shape["is_bubble_up"] === true) return "control-flow"
  const names = [shape["name"], (shape["constructor"] as { name?: unknown } | undefined)?.name]
  const kind = names.map((name) => lookUp(BY_NAME, name)).find((found) => found !== undefined)
  // The connection that was never made and the one that broke go by one name; their causes tell them apart.
  if (kind === "network") return byCause(shape, new Set()) ?? kind
  return kind === "defect" ? (byFetchError(shape) ?? kind) : kind
}

/** fetch reports the network's failures as TypeErrors, with the reason as their cause. */
function byFetchError(shape: Shape): FailureKind | undefined {
  if (shape["message"] === "terminated") return "truncated"
  if (shape["message"] !== "fetch failed" && !(shape["cause"] instanceof Error)) return undefined
  return byCause(shape, new Set()) ?? "network"
}

function lookUp<T>(table: Readonly<Record<string, T>>, key: unknown): T | undefined {
  return typeof key === "string" && Object.hasOwn(table, key) ? table[key] : undefined
}

const BY_CODE: Readonly<Record<string, FailureKind>> = {
  MODEL_AUTHENTICATION: "authentication",
  MODEL_NOT_FOUND: "not-found",
  CONTEXT_OVERFLOW: "context-overflow",
  OUTPUT_PARSING_FAILURE: "unparseable",
  insufficient_quota: "quota-exhausted",
  billing_hard_limit_reached: "quota-exhausted",
  context_length_exceeded: "context-overflow",
  content_filter: "content-filtered",
  content_policy_violation: "content-filtered",
  model_not_found: "not-found",
  invalid_api_key: "authentication",
  overloaded_error: "overloaded",
  ECONNREFUSED: "network",
  ECONNRESET: "truncated",
  ENOTFOUND: "network",
  EAI_AGAIN: "network",
  EPIPE: "truncated",
  ETIMEDOUT: "network",
  UND_ERR_SOCKET: "truncated",
  UND_ERR_CONNECT_TIMEOUT: "network",
  UND_ERR_HEADERS_TIMEOUT: "timeout",
  UND_ERR_BODY_TIMEOUT: "timeout",
}

function byCode(shape: Shape): FailureKind | undefined {
  const body = (shape["error"] ?? {}) as Shape
  const codes = [shape["code"], shape["type"], body["code"], body["type"], shape["lc_error_code"]]
  return codes.map((code) => lookUp(BY_CODE, code)).find((kind) => kind !== undefined)
}

const BY_STATUS: Readonly<Record<number, FailureKind>> = {
  400: "invalid-request",
  401: "authentication",
  402: "quota-exhausted",
  403: "authentication",
  404: "not-found",
  408: "timeout",
  409: "server-error",
  413: "context-overflow",
  422: "invalid-request",
  429: "rate-limited",
  503: "overloaded",
  504: "timeout",
  529: "overloaded",
}

function byStatus(shape: Shape): FailureKind | undefined {
  const status = Number(shape["status"] ?? shape["statusCode"] ?? shape["status_code"])
  if (!Number.isInteger(status)) return undefined
  return BY_STATUS[status] ?? (status >= 500 ? "server-error" : status >= 400 ? "invalid-request" : undefined)
}

function byCause({ cause }: Shape, seen: Set<unknown>): FailureKind | undefined {
  if (typeof cause !== "object" || cause === null || seen.has(cause)) return undefined
  seen.add(cause)
  const inner = cause as Shape
  return byCode(inner) ?? byCause(inner, seen)
}

/** Milliseconds the provider asked to wait, from LangChain's stamp or the Retry-After header; undefined if unsaid. */
export function retryAfterMs(error: unknown, now: number): number | undefined {
  const { retryAfterMs: stamped, headers } = (error ?? {}) as { retryAfterMs?: unknown; headers?: unknown }
  if (typeof stamped === "number" && stamped >= 0) return stamped
  const header =
    headers instanceof Headers ? headers.get("retry-after") : (headers as Shape | undefined)?.["retry-after"]
  if (typeof header !== "string" || header === "") return undefined
  const seconds = Number(header)
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000)
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

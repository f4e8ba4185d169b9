import type { FailureKind } from "../../spec/dispatch.ts"
import {
  BY_CODE,
  BY_FETCH_MESSAGE,
  BY_MESSAGE,
  BY_NAME,
  BY_RATE_LIMIT_STAMP,
  BY_STATUS,
  BY_VAGUE_CODE,
  BY_VAGUE_NAME,
  CONTROL_FLOW_NAMES,
  HTTP_PARSER_CODE,
} from "./failure-signs.ts"
import { asStatus, at, errorsIn, googleDetailsOf, httpStatusOf, itemsOf, textOf } from "./read-error.ts"

/** Which of our signals had fired when the error came: two identical abort errors are told apart by it. */
export interface FailureContext {
  readonly callerAborted: boolean
  readonly timedOut: boolean
  /** The error came out of a provider's package: what looks like a defect there is an answer it did not understand. */
  readonly fromProvider: boolean
}

/**
 * One error → one `FailureKind`. Our own signals come first; then what the error says, and what its causes say where it
 * says nothing: its name, the provider's code, LangChain's stamps, the HTTP status, and the message where these leave it
 * open. An error that carries none of them is `unknown`: it came out of a provider call, so another provider may do
 * better. Never throws, whatever was thrown, and looks at a bounded part of it.
 */
export function classifyFailure(error: unknown, context: FailureContext): FailureKind {
  if (context.callerAborted) return "aborted"
  if (context.timedOut) return "timeout"
  const kind = kindOf(errorsIn(error))
  return context.fromProvider ? (SAID_BY_PROVIDER[kind] ?? kind) : kind
}

/** An interrupt asks a person, and a command moves a graph: neither is a failure of whoever threw it, or wrapped it. */
export function isControlFlow(error: unknown): boolean {
  return errorsIn(error).some(isBubbling)
}

/**
 * True for an error that was told inside a 200, in the middle of a stream or instead of its first word: OpenAI's and
 * Anthropic's clients throw it with the headers of the answer and without a status. What refuses a call outright has a
 * status, and what never reached anybody has no headers. The prompt was taken, and may be billed, whatever the error says.
 */
export function cameInsideAnAnswer(error: unknown): boolean {
  return errorsIn(error).some((each) => {
    const headers = at(each, "headers")
    return typeof headers === "object" && headers !== null && httpStatusOf(each) === undefined
  })
}

/** A body that is no JSON was cut or garbled; one of an unexpected form broke the package that reads it. Both were sent. */
const SAID_BY_PROVIDER: Partial<Readonly<Record<FailureKind, FailureKind>>> = {
  unparseable: "truncated",
  defect: "truncated",
}

/** The first error that knows decides; else the first that has a guess. */
function kindOf(errors: readonly object[]): FailureKind {
  if (errors.some(isBubbling)) return "control-flow"
  let guess: FailureKind | undefined
  for (const error of errors) {
    // What another router says of its own troubles is not said by a provider, nor is what caused them.
    if (isTierwise(error)) return "unknown"
    const known = knownKind(error)
    if (known !== undefined) return known
    guess ??= guessedKind(error)
  }
  return guess ?? "unknown"
}

function isBubbling(error: object): boolean {
  return at(error, "is_bubble_up") === true || namesOf(error).some((name) => CONTROL_FLOW_NAMES.has(name))
}

/** The mark of `TierwiseError`, read without trusting whoever bears it. */
function isTierwise(error: object): boolean {
  return at(error, Symbol.for("tierwise.error")) === true
}

function knownKind(error: object): FailureKind | undefined {
  const codes = codesOf(error)
  const said =
    lookUp(BY_NAME, namesOf(error)) ??
    lookUp(BY_CODE, codes) ??
    (codes.some(isParserCode) ? "truncated" : undefined) ??
    (wasModerated(error) ? "content-filtered" : undefined) ??
    lookUp(BY_RATE_LIMIT_STAMP, [at(error, "rateLimitType")]) ??
    byStatus(error, codes) ??
    lookUp(BY_VAGUE_CODE, codes)
  return byMessage(error, said ?? "unknown") ?? said
}

function namesOf(error: object): readonly unknown[] {
  return [at(error, "name"), at(error, "constructor", "name")]
}

/** What the error or its body calls itself, the most telling first. */
function codesOf(error: object): readonly unknown[] {
  return [
    ...googleDetailsOf(error).map((detail) => at(detail, "reason")),
    ...googleDetailsOf(error).map((detail) => at(detail, "@type")),
    ...CODE_PATHS.map((path) => at(error, ...path)),
  ]
}

const CODE_PATHS: readonly (readonly string[])[] = [
  ["code"],
  ["type"],
  ["error", "code"],
  ["error", "type"],
  ["error", "status"],
  // The whole body, as Anthropic's and Groq's clients keep it.
  ["error", "error", "code"],
  ["error", "error", "type"],
  ["error", "innererror", "code"],
  ["data", "error", "code"],
  ["data", "error", "status"],
  ["lc_error_code"],
]

function isParserCode(code: unknown): boolean {
  return HTTP_PARSER_CODE.test(textOf(code))
}

/** OpenRouter answers 403 to a key that may not and to a prompt that it will not pass on. */
function wasModerated(error: object): boolean {
  const metadata = at(error, "error", "metadata")
  return at(metadata, "flagged_input") !== undefined || itemsOf(at(metadata, "reasons")).length > 0
}

/** By the status of the answer, else by one that its body tells, inside a 200. */
function byStatus(error: object, codes: readonly unknown[]): FailureKind | undefined {
  const status = httpStatusOf(error) ?? codes.map(asStatus).find((code) => code !== undefined)
  if (status === undefined) return undefined
  return BY_STATUS[status] ?? (status >= 500 ? "server-error" : "invalid-request")
}

function byMessage(error: object, said: FailureKind): FailureKind | undefined {
  const signs = BY_MESSAGE.filter(({ insteadOf }) => insteadOf.includes(said))
  if (signs.length === 0) return undefined
  const messages = messagesOf(error)
  return signs.find(({ pattern }) => messages.some((message) => pattern.test(message)))?.kind
}

function messagesOf(error: object): readonly string[] {
  const quotas = googleDetailsOf(error)
    .flatMap((detail) => itemsOf(at(detail, "violations")))
    .map((violation) => at(violation, "quotaId"))
  return [...MESSAGE_PATHS.map((path) => at(error, ...path)), ...quotas].map(textOf)
}

const MESSAGE_PATHS: readonly (readonly string[])[] = [
  ["message"],
  ["error"],
  ["error", "message"],
  ["error", "error", "message"],
  // What the provider said to OpenRouter, which itself says "Provider returned error".
  ["error", "metadata", "raw"],
  ["data", "error", "message"],
]

function guessedKind(error: object): FailureKind | undefined {
  const kind = lookUp(BY_VAGUE_NAME, namesOf(error))
  if (kind === "defect") return lookUp(BY_FETCH_MESSAGE, [at(error, "message")]) ?? byCausedDefect(error)
  // LangChain's own mark of what another try may heal.
  const mayHeal = at(error, Symbol.for("langchain.errors.retryable")) === true
  return kind ?? (mayHeal ? "server-error" : undefined)
}

/** fetch reports the network's failures as TypeErrors with a cause, in words that no list of ours holds all of. */
function byCausedDefect(error: object): FailureKind {
  return typeof at(error, "cause") === "object" && at(error, "cause") !== null ? "network" : "defect"
}

function lookUp(
  table: Readonly<Record<string, FailureKind>>,
  keys: readonly unknown[],
): FailureKind | undefined {
  const known = keys.find((key) => typeof key === "string" && Object.hasOwn(table, key))
  return known === undefined ? undefined : table[known as string]
}

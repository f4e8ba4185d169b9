import type { BaseMessage } from "@langchain/core/messages"
import { InvalidRequestError } from "../spec/errors.ts"
import type { AgentSpec, RouteRequest, Tier } from "../spec/request.ts"

/**
 * Refuses what no deployment could be sent, before any money is held.
 * @throws InvalidRequestError naming the field and what to do.
 */
export function checkRequest(request: RouteRequest, tiers: readonly Tier[]): void {
  checkMessages(request.messages)
  checkTier(request.tier, "tier", tiers)
  checkAgentSpec(request.agentSpec, tiers)
  if (request.capabilities !== undefined && !Array.isArray(request.capabilities)) {
    throw new InvalidRequestError(
      "capabilities",
      "it is not a list",
      'give a list of names, e.g. ["security_analysis"]',
    )
  }
  checkNumber(request.preference, "preference", (n) => n >= 0 && n <= 1, "give a number from 0 to 1")
  checkNumber(
    request.contextLength,
    "contextLength",
    (n) => n >= 0,
    "give the retrieved context's tokens, 0 or more",
  )
  const positiveInteger = (n: number) => Number.isSafeInteger(n) && n > 0
  checkNumber(
    request.maxOutputTokens,
    "maxOutputTokens",
    positiveInteger,
    "give a positive whole number of tokens",
  )
  checkDeadline(request.deadlineMs)
  checkNumber(request.priority, "priority", (n) => n >= 0, "give 0 or more, 0 the most urgent")
  const { session } = request
  if (session !== undefined && (typeof session !== "string" || session === "")) {
    throw new InvalidRequestError("session", "it is not a name", "give a non-empty string")
  }
  for (const field of ["scopes", "labels"] as const) {
    const given: unknown = request[field]
    if (given !== undefined && (typeof given !== "object" || given === null || Array.isArray(given))) {
      throw new InvalidRequestError(
        field,
        "it is not an object",
        'give names and values, e.g. { tenant: "acme" }',
      )
    }
    for (const [name, value] of Object.entries(request[field] ?? {})) {
      if (typeof value === "string" && value !== "") continue
      throw new InvalidRequestError(`${field}.${name}`, "it is not a name", "give a non-empty string")
    }
  }
}

/** @throws InvalidRequestError for what is no duration. */
export function checkDeadline(deadlineMs: unknown): asserts deadlineMs is number | undefined {
  const fix = "give milliseconds, more than 0 and less than 2^31"
  checkNumber(deadlineMs as number | undefined, "deadlineMs", isDeadline, fix)
}

export function isDeadline(ms: number | undefined): ms is number {
  return ms !== undefined && ms > 0 && ms < 2 ** 31
}

function checkMessages(messages: readonly BaseMessage[]): void {
  if (messages.length === 0) {
    throw new InvalidRequestError("messages", "the conversation is empty", "send at least one message")
  }
  for (const [index, message] of messages.entries()) {
    const path = `messages[${index}].content`
    const content: unknown = message.content
    if (typeof content !== "string" && !Array.isArray(content)) {
      throw new InvalidRequestError(
        path,
        "it is neither text nor a list of parts",
        "give a string or content parts",
      )
    }
    if (message.getType() === "human" && content.length === 0) {
      throw new InvalidRequestError(
        path,
        "the human message is empty",
        "leave it out, or give it text or media",
      )
    }
    if (typeof content === "string") checkText(content, path)
    else {
      for (const [at, block] of (
        content as readonly (Readonly<Record<string, unknown>> | null)[]
      ).entries()) {
        if (typeof block !== "object" || block === null) {
          throw new InvalidRequestError(
            `${path}[${at}]`,
            "it is not a content part",
            'give e.g. { type: "text", text }',
          )
        }
        if (block["type"] === "text" && typeof block["text"] === "string") {
          checkText(block["text"], `${path}[${at}].text`)
        }
      }
    }
  }
}

/** Half a surrogate pair cannot be written as UTF-8: providers refuse it or silently change the text. */
function checkText(text: string, path: string): void {
  if (text.isWellFormed()) return
  const at = text.search(/\p{Surrogate}/u)
  throw new InvalidRequestError(
    path,
    `it holds half a surrogate pair (character ${at})`,
    "cut texts between characters, or call text.toWellFormed()",
  )
}

function checkTier(tier: Tier | undefined, path: string, tiers: readonly Tier[]): void {
  if (tier === undefined || tiers.includes(tier)) return
  throw new InvalidRequestError(path, `"${tier}" is not a tier`, `use one of ${tiers.join(", ")}`)
}

function checkAgentSpec(spec: AgentSpec | null | undefined, tiers: readonly Tier[]): void {
  if (spec === undefined) return
  if (typeof spec !== "object" || spec === null) {
    throw new InvalidRequestError("agentSpec", "it is not a spec", "give { tier } or { minTier, maxTier }")
  }
  if ("tier" in spec) {
    checkTier(spec.tier, "agentSpec.tier", tiers)
    return
  }
  checkTier(spec.minTier, "agentSpec.minTier", tiers)
  checkTier(spec.maxTier, "agentSpec.maxTier", tiers)
  if (spec.minTier === undefined || spec.maxTier === undefined) return
  if (tiers.indexOf(spec.minTier) <= tiers.indexOf(spec.maxTier)) return
  throw new InvalidRequestError(
    "agentSpec",
    `minTier "${spec.minTier}" is above maxTier "${spec.maxTier}"`,
    "swap them",
  )
}

function checkNumber(
  value: number | undefined,
  path: string,
  fits: (n: number) => boolean,
  fix: string,
): void {
  if (value === undefined || (typeof value === "number" && Number.isFinite(value) && fits(value))) return
  throw new InvalidRequestError(path, `${value} does not fit`, fix)
}

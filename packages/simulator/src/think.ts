import { hash } from "node:crypto"
import { type Mind, mindOf } from "./mind.ts"
import type { SimulatedModel } from "./models.ts"
import { type Prompt, promptOf } from "./prompt.ts"
import { type ChatRequest, textOf } from "./protocol.ts"
import { FAMILIES, READING_ORDER } from "./skills/families.ts"
import type { Reply } from "./skills/family.ts"
import { openReply } from "./skills/open.ts"
import { filled } from "./skills/schema.ts"

export interface ThinkOptions {
  /** The server's. */
  readonly seed: number
  /** Which of the `n` answers. Default 0. */
  readonly choice?: number | undefined
}

/**
 * What this model answers to this request, before any limit on its length. It knows the request and nothing else.
 * The same server seed and request give the same answer; other samples (`n`, `seed`) differ unless the temperature is 0.
 */
export function think(
  request: ChatRequest,
  model: SimulatedModel,
  { seed, choice = 0 }: ThinkOptions,
): Reply {
  if (model.skill === "echo") return { kind: "text", text: echoOf(request) }
  const temperature = request.temperature ?? 1
  const sample = temperature === 0 ? [] : [request.seed ?? 0, choice]
  const key = hash(
    "sha256",
    JSON.stringify([
      seed,
      request.messages,
      request.tools,
      request.tool_choice,
      request.response_format,
      ...sample,
    ]),
  )
  return replyTo(promptOf(request), mindOf({ skill: model.skill, key, temperature }))
}

function replyTo(prompt: Prompt, mind: Mind): Reply {
  const called = FAMILIES.tools.attempt(prompt, mind)
  if (prompt.tools.length > 0 && called?.kind === "calls") return called
  if (prompt.results.length > 0 && called !== undefined)
    return prompt.schema === undefined ? called : filled(prompt, mind, called)
  if (prompt.schema === undefined) return wordsFor(prompt, mind) ?? openReply(prompt, mind)
  return FAMILIES.extraction.attempt(prompt, mind) ?? filled(prompt, mind, resultFor(prompt, mind))
}

function wordsFor(prompt: Prompt, mind: Mind): Reply | undefined {
  for (const family of READING_ORDER) {
    const reply = FAMILIES[family].attempt(prompt, mind)
    if (reply !== undefined) return reply
  }
  return undefined
}

/** A form may ask for something that has to be worked out first. */
function resultFor(prompt: Prompt, mind: Mind): Reply | undefined {
  return (
    FAMILIES.intent.attempt(prompt, mind) ??
    FAMILIES.arithmetic.attempt(prompt, mind) ??
    FAMILIES["multi-hop"].attempt(prompt, mind)
  )
}

const MOST_ECHOED = 4_000

function echoOf({ messages }: ChatRequest): string {
  const last = messages.at(-1)
  return last === undefined ? "" : textOf(last).slice(0, MOST_ECHOED)
}

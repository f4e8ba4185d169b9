import type { ServerResponse } from "node:http"
import type { Piece } from "./answer.ts"
import { isShown, type ShownPiece } from "./breaking.ts"
import { usageOf } from "./completion.ts"
import type { Fault, WrongUsage } from "./faults.ts"
import type { BilledTokens } from "./invoice.ts"
import type { SimulatedModel } from "./models.ts"
import type { SimulatorSettings } from "./options.ts"
import type { PromptCache } from "./prompt-cache.ts"
import type { ChatRequest, JsonObject } from "./protocol.ts"

/** One POST on its way to an answer. */
export interface ChatCall {
  readonly requestId: string
  readonly body: string
  readonly response: ServerResponse
  /** Aborts when the connection closes before the answer is out: the client left, or the server was closed. */
  readonly signal: AbortSignal
}

/** A call that named a known model, and what is known of its bill. */
export interface Job {
  readonly id: string
  /** Epoch ms. */
  readonly createdAt: number
  readonly call: ChatCall
  readonly request: ChatRequest
  readonly model: SimulatedModel
  readonly settings: SimulatorSettings
  readonly cache: PromptCache
  readonly count: (text: string) => number
  readonly fault: Fault | undefined
  /** Grows while the answer is generated, so that it is right whenever that ends. */
  readonly billed: { -readonly [Key in keyof BilledTokens]: number }
  /** The whole answer, once the prompt is read, and how many of its pieces are billed. */
  pieces: readonly Piece[]
  generated: number
}

export function bill(job: Job, piece: Piece): void {
  job.billed.outputTokens += piece.tokens
  if (!isShown(piece)) job.billed.reasoningTokens += piece.tokens
  job.generated += 1
}

/** The rest of an answer that nobody reads. */
export function billAll(job: Job): void {
  for (const piece of job.pieces.slice(job.generated)) bill(job, piece)
}

export function headOf({ id, createdAt, request, settings }: Job, object: string): JsonObject {
  return {
    id,
    object,
    created: Math.floor(createdAt / 1_000),
    model: request.model,
    service_tier: "default",
    system_fingerprint: `fp_simulator_${settings.seed}`,
  }
}

export function chunkOf(
  job: Job,
  piece: Pick<ShownPiece, "choice" | "delta">,
  finish: string | null,
): JsonObject {
  const { choice, delta } = piece
  return {
    ...headOf(job, "chat.completion.chunk"),
    choices: [{ index: choice, delta, logprobs: null, finish_reason: finish }],
    ...(streamsUsage(job) ? { usage: null } : {}),
  }
}

/** What the answer says of its tokens, which a fault may make a lie; undefined if it says nothing. */
export function reportedUsage({ model, fault, billed }: Job): JsonObject | undefined {
  if (model.reportsUsage === false || fault?.usage === "missing") return undefined
  const usage = usageOf(billed, model)
  if (fault?.usage === undefined) return usage
  return typeof fault.usage === "object" ? { ...usage, ...fault.usage } : LIES[fault.usage](billed, usage)
}

export function streamsUsage(job: Job): boolean {
  const { model, fault, request } = job
  const isReported = model.reportsUsage !== false && fault?.usage !== "missing"
  return isReported && request.stream_options?.include_usage === true
}

type Lie = (billed: BilledTokens, usage: JsonObject) => JsonObject

const LIES: Readonly<Record<Exclude<WrongUsage, "missing" | JsonObject>, Lie>> = {
  negative: (billed, usage) => ({ ...usage, ...times(billed, -1) }),
  "too-high": (billed, usage) => ({ ...usage, ...times(billed, 10) }),
  "wrong-total": (billed, usage) => ({
    ...usage,
    total_tokens: billed.inputTokens + billed.outputTokens + 7,
  }),
}

function times({ inputTokens, outputTokens }: BilledTokens, factor: number): JsonObject {
  return {
    prompt_tokens: factor * inputTokens,
    completion_tokens: factor * outputTokens,
    total_tokens: factor * (inputTokens + outputTokens),
  }
}

import { z } from "zod"
import type { RouteRecord } from "../spec/telemetry.ts"
import { FIRST_EPOCH_MS, LAST_EPOCH_MS } from "./calendar.ts"

/** A record that a report could not use. */
export interface SkippedRecord {
  /** Undefined if it cannot be read. */
  readonly id: string | undefined
  /** Epoch ms; undefined if it cannot be read. */
  readonly at: number | undefined
  /** Where and what, e.g. `attempts.0.cost: Too small: expected number to be >=0`. */
  readonly problem: string
}

export type CheckedRecord =
  | { readonly usable: true; readonly record: RouteRecord }
  | { readonly usable: false; readonly skipped: SkippedRecord }

/** More than any call can have, so that one figure of a broken record cannot take the sums of all others with it. */
const MOST_TOKENS = 1e9
/** About 9,007 USD, where a call's cost or quote is refused. */
const MOST_NANO_USD = Math.ceil(Number.MAX_SAFE_INTEGER / 1_000)
/** Thirty years of one machine. */
const MOST_GPU_SECONDS = 1e9

const count = z.int().nonnegative().max(MOST_TOKENS)
const money = z.int().nonnegative().max(MOST_NANO_USD)
const gpuSeconds = z.number().nonnegative().max(MOST_GPU_SECONDS).optional()
const epochMs = z.number().min(FIRST_EPOCH_MS).max(LAST_EPOCH_MS)
const usage = z.object({ inputTokens: count, outputTokens: count, cachedInputTokens: count })
const tried = z.object({ deploymentId: z.string(), tier: z.string() })
const attempt = z.discriminatedUnion("outcome", [
  tried.extend({ outcome: z.literal("answered"), cost: money, usage }),
  tried.extend({ outcome: z.literal("failed"), failure: z.string(), cost: money, usage: usage.optional() }),
  tried.extend({ outcome: z.literal("skipped") }),
])
const candidate = z.object({
  deploymentId: z.string(),
  maxOutputTokens: count,
  quote: z.object({ money }),
})
const tierCost = z.object({
  tier: z.string(),
  deploymentId: z.string(),
  cost: money,
  gpuSeconds,
})

/** The part of a record that reports read. What they do not read may be anything. */
const readable = z
  .object({
    id: z.string(),
    at: epochMs,
    scopes: z.record(z.string(), z.string()),
    taskType: z.string().optional(),
    plan: z.object({
      features: z.object({ inputTokens: count, turns: count, toolResultsPending: z.boolean() }),
      estimate: z.object({ score: z.number() }).optional(),
      candidates: z.array(candidate),
    }),
    attempts: z.array(attempt),
    verdicts: z.array(z.object({ verdict: z.object({ accepted: z.boolean() }) })),
    answeredBy: tried.optional(),
    // Of all attempts together: it has been added up by then.
    cost: z.int().nonnegative(),
    // Records of the first version have none: their money is reported, and compared with nothing.
    tierCosts: z.array(tierCost).optional(),
    gpuSeconds,
  })
  .refine(addsUp, { path: ["cost"], error: "it is not the sum of its attempts' costs" })
  .refine(wasAnswered, { path: ["answeredBy"], error: "none of its attempts answered" })

/** Whether a report can use it, and if not, why. */
export function checkRecord(value: unknown): CheckedRecord {
  const parsed = readable.safeParse(value)
  if (parsed.success) return { usable: true, record: value as RouteRecord }
  const [issue] = parsed.error.issues
  const path = (issue?.path ?? []).map(String).join(".")
  const { id, at } = (typeof value === "object" && value !== null ? value : {}) as Partial<RouteRecord>
  return {
    usable: false,
    skipped: {
      id: typeof id === "string" ? id : undefined,
      at: epochMs.safeParse(at).success ? at : undefined,
      problem: `${path === "" ? "record" : path}: ${issue?.message ?? "it cannot be read"}`,
    },
  }
}

function addsUp({ cost, attempts }: { cost: number; attempts: readonly z.infer<typeof attempt>[] }): boolean {
  return cost === attempts.reduce((sum, one) => sum + (one.outcome === "skipped" ? 0 : one.cost), 0)
}

function wasAnswered({
  answeredBy,
  attempts,
}: {
  answeredBy?: { deploymentId: string } | undefined
  attempts: readonly z.infer<typeof attempt>[]
}): boolean {
  if (answeredBy === undefined) return true
  return attempts.some(
    ({ outcome, deploymentId }) => outcome === "answered" && deploymentId === answeredBy.deploymentId,
  )
}

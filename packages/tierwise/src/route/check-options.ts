import { z } from "zod"
import { isChatModel } from "../langchain/is-chat-model.ts"
import { ConfigError } from "../spec/errors.ts"
import type { DeploymentOptions, RouterOptions } from "./router-options.ts"

/** Timers take no more, and fire at once beyond. */
const MOST_TIMER_MS = 2 ** 31 - 1

/** `ask-again` without a function would ask for ever. */
const AFTER_REFUSAL = ["block", "downgrade"] as const

const positiveInteger = z.int().positive()
const nonNegativeInteger = z.int().min(0)
const method = (object: string, ...names: readonly string[]) =>
  z.custom<object>(
    (value) =>
      names.every((name) => typeof (value as Record<string, unknown> | undefined)?.[name] === "function"),
    {
      error: `it is not ${object} (no ${names.join(", ")})`,
      params: { fix: `give ${object}` },
    },
  )

const aFunction = z.custom((value) => typeof value === "function", {
  error: "it is not a function",
  params: { fix: "give a function" },
})

/** What routers and chains have in common. */
export const dispatchShape: Readonly<Record<string, z.ZodType>> = {
  maxFallbackAttempts: nonNegativeInteger.optional(),
  maxRetries: nonNegativeInteger.optional(),
  retryBaseMs: z.number().min(0).optional(),
  attemptTimeoutMs: z.number().positive().max(MOST_TIMER_MS).optional(),
  stallTimeoutMs: z.number().positive().max(MOST_TIMER_MS).optional(),
  deadlineMs: z.number().positive().max(MOST_TIMER_MS).optional(),
  retryBudget: method("a retry budget", "called", "take").optional(),
  // Its kinds and fields are checked where the table is made.
  failureHandling: z.unknown().optional(),
  // Its figures are checked where the breaker is made.
  circuitBreaker: z
    .custom((value) => value === false || (typeof value === "object" && value !== null), {
      error: "it is neither settings of a breaker nor false",
      params: { fix: "give an object, e.g. { failures: 5 }, or false" },
    })
    .optional(),
  health: method("a health book", "enter", "cool", "report").optional(),
  now: aFunction.optional(),
  random: aFunction.optional(),
}

function isCache(value: unknown): boolean {
  const { lookup, update } = (value ?? {}) as { lookup?: unknown; update?: unknown }
  return typeof lookup === "function" && typeof update === "function"
}

const chatModel = z.custom(isChatModel, {
  error: "it is not a chat model",
  params: {
    fix: "give a chat model such as new ChatOpenAI({ model }), without withConfig, bindTools, withRetry or withFallbacks around it",
  },
})

const deployment = z.strictObject({
  id: z.string().min(1).optional(),
  tier: z.string().min(1),
  model: chatModel,
  // Its figures are checked where they are turned into rates.
  price: z.unknown().optional(),
  profile: z
    .looseObject({ maxInputTokens: positiveInteger.optional(), maxOutputTokens: positiveInteger.optional() })
    .optional(),
  maxOutputTokens: positiveInteger.optional(),
  version: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  weight: z.number().min(0).optional(),
  limits: z
    .strictObject({
      requestsPerMinute: positiveInteger.optional(),
      tokensPerMinute: positiveInteger.optional(),
      concurrency: positiveInteger.optional(),
    })
    .optional(),
  headers: method("a source of headers, such as responseHeaders()", "listen").optional(),
  tenants: z.array(z.string()).optional(),
  gpuMemoryGb: z.number().positive().optional(),
  reportsFinishReason: z.boolean().optional(),
})

const options = z.strictObject({
  deployments: z.array(deployment).min(1),
  tiers: z.array(z.string().min(1)).min(1).optional(),
  thresholds: z.array(z.number()).optional(),
  taskTypes: z.record(z.string(), z.unknown()).optional(),
  preference: z.number().optional(),
  policy: method("a routing policy", "decide").optional(),
  estimator: method("an estimator", "estimate").optional(),
  routing: z.boolean().optional(),
  defaultTier: z.string().optional(),
  order: z.enum(["cheapest", "weighted", "round-robin", "least-in-flight", "lowest-latency"]).optional(),
  budget: method("a budget store", "reserve", "settle", "release", "extend", "book", "status").optional(),
  underPressure: z
    .strictObject({
      downgradeAt: z.unknown().optional(),
      pace: z
        .union([z.literal(true), z.strictObject({ windows: z.unknown(), slack: z.unknown() }).partial()])
        .optional(),
      whenRefused: z
        .custom((value) => typeof value === "function" || AFTER_REFUSAL.includes(value as never), {
          error: "it is no way to go on",
          params: { fix: `use ${AFTER_REFUSAL.join(", ")}, or a function that says one of them` },
        })
        .optional(),
    })
    .optional(),
  requestIdHeader: z
    .string()
    .regex(/^[\w!#$%&'*+.^`|~-]+$/)
    .optional(),
  quoteInput: z.enum(["upper-bound", "estimated"]).optional(),
  mediaTokens: z
    .strictObject({
      image: nonNegativeInteger.optional(),
      audioClip: nonNegativeInteger.optional(),
      file: nonNegativeInteger.optional(),
    })
    .optional(),
  maxOutputTokens: positiveInteger.optional(),
  validator: method("a response validator", "validate").optional(),
  gate: z.enum(["off", "full"]).optional(),
  cache: z
    .custom((value) => typeof value === "boolean" || isCache(value), {
      error: "it is not a LangChain cache (no lookup, update)",
      params: { fix: "give one, e.g. keyvCache(new Keyv()), or true" },
    })
    .optional(),
  cacheRules: z
    .strictObject({
      tools: z.boolean().optional(),
      nonDeterministic: z.boolean().optional(),
      normalize: z
        .custom((value) => typeof value === "function", { params: { fix: "give a function" } })
        .optional(),
    })
    .optional(),
  observers: z.array(method("a route observer", "on")).optional(),
  ...dispatchShape,
  midStream: z.enum(["error", "restart", "continue"]).optional(),
  probes: z
    .strictObject({
      everyMs: z
        .number()
        .positive()
        .max(MOST_TIMER_MS / 2),
      timeoutMs: z.number().positive().max(MOST_TIMER_MS).optional(),
      ask: z.string().min(1).optional(),
      maxOutputTokens: positiveInteger.optional(),
    })
    .optional(),
  warmUp: z.boolean().optional(),
  hedge: z
    .strictObject({
      afterMs: z.number().positive().max(MOST_TIMER_MS).optional(),
      share: z.number().min(0).max(1).optional(),
    })
    .optional(),
  waitingLine: z
    .strictObject({ longest: z.number().optional(), timeoutMs: z.number().optional() })
    .optional(),
  newId: aFunction.optional(),
})

/** @throws ConfigError naming the first option that is wrong, and what to do. */
export function checkOptions(given: RouterOptions): void {
  checkShape(options, given, "")
}

/** @param path Where it stands. @throws ConfigError naming the first field that is wrong, and what to do. */
export function checkDeployment(given: DeploymentOptions, path: string): void {
  checkShape(deployment, given, path)
}

/** @param within The path of what is checked; "": it is everything. @throws ConfigError for the first issue. */
export function checkShape(shape: z.ZodType, given: unknown, within: string): void {
  const issue = shape.safeParse(given).error?.issues[0]
  if (issue === undefined) return
  const path = `${within}${pathOf(issue)}`.replace(/^\./, "")
  throw new ConfigError(path === "" ? "options" : path, problemOf(issue), fixOf(issue))
}

type Issue = z.core.$ZodIssue

/** `.deployments[2].price` */
function pathOf(issue: Issue): string {
  const path = issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0] ?? ""] : issue.path
  return path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("")
}

function problemOf(issue: Issue): string {
  if (issue.code === "invalid_type" && issue.message.endsWith("received undefined")) return "it is missing"
  return issue.code === "unrecognized_keys" ? "there is no such option" : issue.message
}

function fixOf(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return `give a value of type ${issue.expected}`
    case "unrecognized_keys":
      return "remove it, or check its spelling"
    case "too_big":
      return `give at most ${issue.maximum}`
    case "too_small":
      return `give at least ${issue.minimum}`
    case "invalid_value":
      return `give one of ${issue.values.map(String).join(", ")}`
    case "custom":
      return String(issue.params?.["fix"] ?? "give another value")
    default:
      return "give another value"
  }
}

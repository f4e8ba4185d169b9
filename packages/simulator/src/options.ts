import { setTimeout as wait } from "node:timers/promises"
import { z } from "zod"
import { SimulatorConfigError } from "./errors.ts"
import { checkedOutages, checkedRates } from "./fault-checks.ts"
import type { FaultRate, Outage } from "./faults.ts"
import { DEFAULT_MODELS, type SimulatedModel } from "./models.ts"

/** How a simulator is started. Everything has a default. */
export interface SimulatorOptions {
  /** 0 … 65535. Default 0: any free port. */
  readonly port?: number | undefined
  /** An address of this machine. Default `127.0.0.1`: nobody else can reach it. */
  readonly host?: string | undefined
  /** An integer. Another seed gives other slips and other wordings. Default 1. */
  readonly seed?: number | undefined
  /**
   * Share of the models' latency that is really waited: 0 answers at once, 1 takes the time of the model's description.
   * 0 … 10, default 0.05.
   */
  readonly timeScale?: number | undefined
  /** At least one. Default: `DEFAULT_MODELS`. */
  readonly models?: readonly SimulatedModel[] | undefined
  /** Faults that happen to a share of the calls, drawn by the seed, the model and the number of its call. Default: none. */
  readonly faultRates?: readonly FaultRate[] | undefined
  /** Faults that happen in stretches of time since the start. Default: none. */
  readonly outages?: readonly Outage[] | undefined
  /** Epoch ms, for invoices, `created`, outages and the prompt cache. Default `Date.now`. */
  readonly now?: (() => number) | undefined
  /** Waits that long; rejects when the signal aborts. Default: a timer. */
  readonly sleep?: Sleep | undefined
}

export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>

export type SimulatorSettings = {
  readonly [Key in keyof SimulatorOptions]-?: NonNullable<SimulatorOptions[Key]>
}

/** @throws SimulatorConfigError that names the option and what to do. */
export function validOptions(options: SimulatorOptions): SimulatorSettings {
  const parsed = simulatorOptions.safeParse(options)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const path = (issue?.path ?? []).map(String).join(".")
    throw new SimulatorConfigError(
      path || "options",
      issue?.message ?? "not understood",
      fixFor(String(issue?.path[0])),
    )
  }
  const models = options.models ?? DEFAULT_MODELS
  const twice = models.find((model, index) => models.findIndex(({ id }) => id === model.id) < index)
  if (twice !== undefined)
    throw new SimulatorConfigError(
      "models",
      `two models are called ${twice.id}`,
      "give every model its own id",
    )
  const ids = models.map(({ id }) => id)
  return {
    port: options.port ?? 0,
    host: options.host ?? "127.0.0.1",
    seed: options.seed ?? 1,
    timeScale: options.timeScale ?? 0.05,
    models,
    faultRates: checkedRates(options.faultRates ?? [], ids),
    outages: checkedOutages(options.outages ?? [], ids),
    now: options.now ?? Date.now,
    sleep: options.sleep ?? ((ms, signal) => wait(ms, undefined, { signal })),
  }
}

const FIXES: Readonly<Record<string, string>> = {
  port: "give an integer from 0 to 65535; 0 takes any free port",
  host: "give an address of this machine, such as 127.0.0.1",
  seed: "give an integer",
  timeScale: "give a number from 0 (no waiting) to 10 (ten times as slow)",
  models: "compare it with an entry of DEFAULT_MODELS",
  faultRates: "give a list of faults, each with its share",
  outages: "give a list of faults, each with its times",
  now: "give a function that returns epoch milliseconds",
  sleep: "give a function (ms, signal) that returns a promise",
}

function fixFor(option: string): string {
  return FIXES[option] ?? `use only ${Object.keys(FIXES).join(", ")}`
}

const capacity = z.number().min(0)
const price = z
  .number()
  .min(0)
  .max(1_000_000)
  .refine(
    (usd) => Math.abs(usd * 1e6 - Math.round(usd * 1e6)) < 1e-6 * Math.max(1, usd),
    "a price in USD per million tokens has at most six decimals",
  )

const rates = {
  inputPerMTok: price,
  cachedInputPerMTok: price.optional(),
  cacheWritePerMTok: price.optional(),
  outputPerMTok: price,
}

const longContext = z.strictObject({ ...rates, aboveInputTokens: z.int().min(0) })

const simulatedModel = z.strictObject({
  id: z.string().min(1),
  skill: z.union([
    z.literal("echo"),
    z.strictObject({
      steps: capacity,
      hops: capacity,
      fields: capacity,
      records: capacity,
      tools: capacity,
      calls: capacity,
      nuances: capacity,
      words: capacity,
      insight: capacity,
      slip: z.number().min(0).max(1),
    }),
  ]),
  price: z.strictObject({
    ...rates,
    longContext: z.union([longContext, z.array(longContext)]).optional(),
  }),
  contextWindow: z.int().min(16),
  maxOutputTokens: z.int().min(1),
  latency: z.union([
    z.literal("none"),
    z.strictObject({
      firstTokenMs: z.number().min(0),
      perThousandInputMs: z.number().min(0),
      tokensPerSecond: z.number().positive(),
    }),
  ]),
  reasoningTokens: z.int().min(0).max(1_000_000).optional(),
  reportsUsage: z.boolean().optional(),
  whenAborted: z.enum(["stops", "finishes"]).optional(),
})

const aFunction = z.custom<(...args: never[]) => unknown>(
  (value) => typeof value === "function",
  "not a function",
)

const simulatorOptions = z.strictObject({
  port: z.int().min(0).max(65_535).optional(),
  host: z.string().min(1).optional(),
  seed: z.int().optional(),
  timeScale: z.number().min(0).max(10).optional(),
  models: z.array(simulatedModel).min(1).optional(),
  faultRates: z.array(z.unknown()).optional(),
  outages: z.array(z.unknown()).optional(),
  now: aFunction.optional(),
  sleep: aFunction.optional(),
})

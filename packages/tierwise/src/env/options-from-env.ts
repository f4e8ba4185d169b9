import type { BudgetOptions } from "../budget/ledger.ts"
import type { BudgetLimit } from "../budget/limits.ts"
import { memoryBudget } from "../budget/memory-budget.ts"
import { validTimeZone } from "../budget/windows.ts"
import { priceTable } from "../pricing/price-table.ts"
import { resolveOptions } from "../route/resolve-options.ts"
import type { DeploymentOptions, RouterOptions } from "../route/router-options.ts"
import type { BudgetStore } from "../spec/budget.ts"
import type { DeploymentProfile, Price, PriceTable } from "../spec/catalog.ts"
import { ConfigError, TierwiseError } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"
import { type Env, loadModel, type ModelName, parseModelName, presentIn } from "./load-model.ts"
import { type ModelRegistry, type ModelRegistryOptions, modelRegistry } from "./model-registry.ts"
import { isPrivateAddress, PROVIDERS } from "./providers.ts"
import { readEnvFile } from "./read-env-file.ts"

export interface FromEnvOptions {
  /** Default: `process.env`. Its variables win over the file's. */
  readonly env?: Env | undefined
  /** Default `.env` in the working directory, if there is one; false: none. */
  readonly envFile?: string | false | undefined
  /** For models whose price no variable says. Default `priceTable()`, which tells nobody of stale prices. */
  readonly prices?: PriceTable | undefined
  /** Told when 80 % and 95 % of a budget are spent, and `COST_ALERT_THRESHOLD` of a request's. */
  readonly onWarning?: BudgetOptions["onWarning"]
  /** A model registry: then no other variable says which models there are. Default: none, unless `MODEL_REGISTRY_URL` names one. */
  readonly registry?: ModelRegistryOptions | undefined
  /** Options that have no variable, or that win over it. */
  readonly router?: Partial<RouterOptions> | undefined
}

interface TierDefaults {
  readonly tier: Tier
  /** The first that is set counts; the second is the name of the 3B/8B system (row D5). */
  readonly variables: readonly [string, ...string[]]
  readonly model: string
  readonly costWeight: number
  readonly gpuMemoryGb: number
}

/** Row E2. */
const TIERS: readonly TierDefaults[] = [
  {
    tier: "light",
    variables: ["MODEL_LIGHT", "MODEL_3B_NAME"],
    model: "ollama/qwen2.5:7b",
    costWeight: 1,
    gpuMemoryGb: 8,
  },
  {
    tier: "standard",
    variables: ["MODEL_STANDARD"],
    model: "ollama/qwen2.5:32b",
    costWeight: 3,
    gpuMemoryGb: 32,
  },
  {
    tier: "heavy",
    variables: ["MODEL_HEAVY", "MODEL_8B_NAME"],
    model: "vllm/qwen2.5:72b",
    costWeight: 10,
    gpuMemoryGb: 72,
  },
]

/** What the default models can do (Qwen2.5 technical report, 2024-12: 32k context at every size, tools, JSON). */
const QWEN_PROFILE: DeploymentProfile = { maxInputTokens: 32_768, toolCalling: true, structuredOutput: true }

/** Row E4. */
const TOKENS_PER_DAY = 1_000_000
const TOKENS_PER_MONTH = 20_000_000

/** Row C4. */
const USD_PER_MONTH = 100

/** What a router is made of, and what says who comes and goes in it. */
export interface FromEnv {
  readonly options: RouterOptions
  /** Undefined: the environment has said it all. */
  readonly registry: ModelRegistry | undefined
}

/** Row E8's variables → router options, `options.router` winning over them. @throws ConfigError naming the variable and what to set or install. */
export async function optionsFromEnv(options: FromEnvOptions): Promise<RouterOptions> {
  return (await readEnvironment(options)).options
}

/** The same, with the registry that the deployments came from. */
export async function readEnvironment(options: FromEnvOptions): Promise<FromEnv> {
  const file = options.envFile === false ? {} : await readEnvFile(options.envFile)
  const env: Env = { ...file, ...(options.env ?? globalThis.process.env) }
  const prices = options.prices ?? priceTable()
  const registry = registryIn(env, prices, options)
  const attempts = presentIn(env, "MAX_FALLBACK_ATTEMPTS")
  const budget = budgetFrom(env, options.onWarning)
  const withModels = (models: Pick<RouterOptions, "tiers" | "deployments">): RouterOptions => ({
    ...models,
    routing: flag(env, "MODEL_ROUTING_ENABLED") ?? flag(env, "ENABLE_MODEL_ROUTING") ?? true,
    budget,
    ...(attempts !== undefined && {
      maxFallbackAttempts: wholeNumber(attempts, "MAX_FALLBACK_ATTEMPTS", 0),
    }),
    // What is given as undefined is not given: it must not take the environment's budget away.
    ...Object.fromEntries(Object.entries(options.router ?? {}).filter(([, value]) => value !== undefined)),
  })
  if (registry === undefined) return { registry, options: withModels(await namedModels(env, prices)) }
  const accept = (models: Pick<RouterOptions, "tiers" | "deployments">): RouterOptions => {
    const whole = withModels(models)
    resolveOptions(whole)
    return whole
  }
  return { registry, options: await registry.start(accept) }
}

async function namedModels(
  env: Env,
  prices: PriceTable,
): Promise<Pick<RouterOptions, "tiers" | "deployments">> {
  const tiers = tiersIn(env)
  const deployments = await Promise.all(tiers.map((tier) => deploymentFor(tier, env, prices)))
  return { tiers: tiers.map(({ tier }) => tier), deployments }
}

function registryIn(
  env: Env,
  prices: PriceTable,
  { registry: options = {}, router = {} }: FromEnvOptions,
): ModelRegistry | undefined {
  const url = options.url ?? presentIn(env, "MODEL_REGISTRY_URL")
  if (url === undefined) return undefined
  if (router.deployments !== undefined) {
    const fix = "leave one of the two out"
    throw new ConfigError("router.deployments", "the model registry says which there are", fix)
  }
  const keepIn = options.keepIn ?? presentIn(env, "MODEL_REGISTRY_FILE")
  const { tiers, observers = [], random = Math.random } = router
  const parts = { options: { ...options, keepIn }, env, prices, tiers, observers, random }
  return modelRegistry(parts, url, options.url === undefined ? "MODEL_REGISTRY_URL" : "registry.url")
}

/** All three; but the two-model names of row D5 alone mean two tiers. */
function tiersIn(env: Env): readonly TierDefaults[] {
  const named = ({ variables }: TierDefaults) =>
    variables.some((variable) => presentIn(env, variable) !== undefined)
  const twoModels =
    presentIn(env, "MODEL_3B_NAME") !== undefined && presentIn(env, "MODEL_8B_NAME") !== undefined
  return twoModels ? TIERS.filter(named) : TIERS
}

async function deploymentFor(
  defaults: TierDefaults,
  env: Env,
  prices: PriceTable,
): Promise<DeploymentOptions> {
  const { tier, gpuMemoryGb } = defaults
  const prefix = defaults.variables[0]
  const variable = defaults.variables.find((name) => presentIn(env, name) !== undefined) ?? prefix
  const given = presentIn(env, variable)
  const name = parseModelName(qualified(given ?? defaults.model, variable), variable)
  return {
    tier,
    ...(await loadModel(name, variable, env)),
    price: await priceFor(name, defaults, prefix, env, prices),
    profile: { ...(given === undefined && QWEN_PROFILE), ...profileFrom(prefix, env) },
    ...(isSelfHosted(name, env) && { gpuMemoryGb }),
  }
}

/** The names of row D5 are bare Ollama names. */
function qualified(name: string, variable: string): string {
  return /^MODEL_\dB_NAME$/.test(variable) && !name.includes("/") ? `ollama/${name}` : name
}

/** Said in `MODEL_…_PRICE`; else published; else, for self-hosted models, by cost weight. Never guessed. */
async function priceFor(
  name: ModelName,
  { costWeight }: TierDefaults,
  prefix: string,
  env: Env,
  prices: PriceTable,
): Promise<Price> {
  const variable = `${prefix}_PRICE`
  const said = presentIn(env, variable)
  if (said !== undefined) return parsePrice(said, variable)
  const provider = PROVIDERS[name.provider]
  if (isSelfHosted(name, env)) {
    const base = presentIn(env, "MODEL_BASE_PRICE")
    return { costWeight, ...(base !== undefined && { base: positive(base, "MODEL_BASE_PRICE") }) }
  }
  try {
    return await prices.priceOf(provider?.priceId ?? name.provider, name.model)
  } catch (cause) {
    if (TierwiseError.find(cause)?.code !== "invalid-config") throw cause
    throw new ConfigError(
      variable,
      `no price is known for ${name.provider}/${name.model}`,
      `set ${variable}=input/output in USD per million tokens, e.g. 0.15/0.60, or ${variable}=free`,
      { cause },
    )
  }
}

function isSelfHosted({ provider, baseUrl }: ModelName, env: Env): boolean {
  const { selfHosted, baseUrl: server } = PROVIDERS[provider] ?? { selfHosted: false }
  return selfHosted === "if-private"
    ? isPrivateAddress(baseUrl ?? presentIn(env, server?.variable))
    : selfHosted
}

function parsePrice(said: string, variable: string): Price {
  if (said === "free") return "free"
  const [, input, output] = /^(\d+(?:\.\d+)?)\/(\d+(?:\.\d+)?)$/.exec(said) ?? []
  if (input !== undefined && output !== undefined) {
    return { inputPerMTok: Number(input), outputPerMTok: Number(output) }
  }
  throw new ConfigError(
    variable,
    `"${said}" is not a price`,
    "write input/output in USD per million tokens, or free",
  )
}

const CAPABILITIES: Readonly<Record<string, keyof DeploymentProfile>> = {
  tools: "toolCalling",
  schema: "structuredOutput",
  images: "imageInputs",
  audio: "audioInputs",
  files: "pdfInputs",
}

/** `MODEL_…_CONTEXT=32768` and `MODEL_…_CAPABILITIES=tools,schema`: what a model without a known profile can do. */
function profileFrom(prefix: string, env: Env): DeploymentProfile {
  const context = presentIn(env, `${prefix}_CONTEXT`)
  const variable = `${prefix}_CAPABILITIES`
  const words = presentIn(env, variable)?.split(",") ?? []
  const fields = words.map((word) => {
    const field = CAPABILITIES[word.trim()]
    if (field !== undefined) return [field, true] as const
    throw new ConfigError(
      variable,
      `"${word}" is not a capability`,
      `use ${Object.keys(CAPABILITIES).join(", ")}`,
    )
  })
  return {
    ...Object.fromEntries(fields),
    ...(context !== undefined && { maxInputTokens: wholeNumber(context, `${prefix}_CONTEXT`, 1) }),
  }
}

function budgetFrom(env: Env, onWarning: FromEnvOptions["onWarning"]): BudgetStore | undefined {
  const tokens = (variable: string, otherwise: number) =>
    limitIn(variable, env, otherwise, (value) =>
      wholeNumber(value, variable, 1, 'give a whole number of tokens, or "none"'),
    )
  const dollars = (variable: string, otherwise: number | undefined) =>
    limitIn(variable, env, otherwise, (value) => positive(value, variable))
  const alertAt = presentIn(env, "COST_ALERT_THRESHOLD")
  const warnAt = alertAt === undefined ? undefined : [shareOf(alertAt, "COST_ALERT_THRESHOLD")]
  const planned: readonly BudgetLimit[] = [
    { scope: "tenant", window: "day", tokens: tokens("TOKEN_BUDGET_DAILY", TOKENS_PER_DAY) },
    { scope: "tenant", window: "month", tokens: tokens("TOKEN_BUDGET_MONTHLY", TOKENS_PER_MONTH) },
    { scope: "global", window: "month", usd: dollars("MONTHLY_BUDGET_LIMIT", USD_PER_MONTH) },
    { scope: "request", usd: dollars("DEFAULT_BUDGET", undefined), warnAt },
  ]
  const limits = planned.filter(({ usd, tokens }) => usd !== undefined || tokens !== undefined)
  if (limits.length === 0) return undefined
  return memoryBudget({ limits, timeZone: timeZoneIn(env), onWarning })
}

/** `none` takes a limit away. */
function limitIn(
  variable: string,
  env: Env,
  otherwise: number | undefined,
  read: (value: string) => number,
): number | undefined {
  const value = presentIn(env, variable)
  if (value === "none") return undefined
  return value === undefined ? otherwise : read(value)
}

function timeZoneIn(env: Env): string | undefined {
  const timeZone = presentIn(env, "BUDGET_TIME_ZONE")
  return timeZone === undefined ? undefined : validTimeZone(timeZone, "BUDGET_TIME_ZONE")
}

const FLAGS: Readonly<Record<string, boolean>> = {
  true: true,
  "1": true,
  yes: true,
  on: true,
  false: false,
  "0": false,
  no: false,
  off: false,
}

function flag(env: Env, variable: string): boolean | undefined {
  const value = presentIn(env, variable)
  if (value === undefined) return undefined
  const known = FLAGS[value.toLowerCase()]
  if (known !== undefined) return known
  throw new ConfigError(variable, `"${value}" is neither true nor false`, "write true or false")
}

function wholeNumber(
  value: string,
  variable: string,
  least: number,
  fix = `give a whole number from ${least}`,
): number {
  const number = Number(value.replaceAll("_", ""))
  if (Number.isSafeInteger(number) && number >= least) return number
  throw new ConfigError(variable, `"${value}" does not fit`, fix)
}

function positive(value: string, variable: string): number {
  const number = Number(value)
  if (Number.isFinite(number) && number > 0) return number
  throw new ConfigError(variable, `"${value}" is not an amount`, "give a positive number of USD")
}

function shareOf(value: string, variable: string): number {
  const share = Number(value)
  if (share > 0 && share <= 1) return share
  throw new ConfigError(variable, `"${value}" is not a share`, "give a number above 0, at most 1, e.g. 0.8")
}

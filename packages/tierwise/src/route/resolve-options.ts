import { InMemoryCache } from "@langchain/core/caches"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { sha256 } from "@langchain/core/utils/hash"
import { pressureGauge } from "../budget/pressure.ts"
import { type ResponseCache, responseCache } from "../cache/response-cache.ts"
import { fiveFactor } from "../complexity/five-factor.ts"
import { handlingFrom } from "../dispatch/failures/failure-handling.ts"
import { pause } from "../dispatch/pause.ts"
import { PROCESS_RETRY_BUDGET } from "../dispatch/retry-budget.ts"
import { finishReasons } from "../langchain/finish-reason.ts"
import { outputLimiter, outputLimitObstacle, ownOutputLimit } from "../langchain/limit-output.ts"
import { thresholdPolicy } from "../policy/threshold-policy.ts"
import { DEFAULT_MEDIA_TOKENS } from "../pricing/quote.ts"
import { type Rates, ratesOf } from "../pricing/rates.ts"
import type { Deployment, DeploymentProfile, Price } from "../spec/catalog.ts"
import { ConfigError, messageOf } from "../spec/errors.ts"
import type { RoutingPolicy } from "../spec/policy.ts"
import type { Tier } from "../spec/request.ts"
import { notify } from "../telemetry/notify.ts"
import { allOf } from "../validation/all-of.ts"
import { matchesSchema } from "../validation/matches-schema.ts"
import { notEmpty } from "../validation/not-empty.ts"
import { checkOptions } from "./check-options.ts"
import { looseEnds } from "./loose-ends.ts"
import { type Probing, probing } from "./probing.ts"
import type { DeploymentOptions, RouterOptions } from "./router-options.ts"
import type { RouterParts } from "./router-parts.ts"
import { type RouterRegistry, routerRegistry } from "./router-registry.ts"
import { trafficControl } from "./traffic.ts"

/** Row E2. */
export const DEFAULT_TIERS: readonly Tier[] = ["light", "standard", "heavy"]

const DEFAULT_MAX_OUTPUT_TOKENS = 4_096

/** Options as the user gave them → everything the hall needs. @throws ConfigError naming the path and the fix. */
export function resolveOptions(options: RouterOptions): RouterParts {
  return openRouter(options).parts
}

/** A router's parts as they are at first, and what goes on beside its calls. */
export interface OpenRouter {
  readonly parts: RouterParts
  readonly registry: RouterRegistry
  /** Has not begun. */
  readonly probing: Probing
  /** Ends what was made for this router alone, and calls need. */
  readonly end: () => void
}

/** @throws ConfigError naming the path and the fix. */
export function openRouter(options: RouterOptions): OpenRouter {
  checkOptions(options)
  const tiers = options.tiers ?? DEFAULT_TIERS
  checkUnique(tiers, (index) => `tiers[${index}]`)
  const rates = new WeakMap<Deployment, Rates>()
  const ratesOf = (deployment: Deployment): Rates => rates.get(deployment) as Rates
  const saidOfFinishReasons = new WeakMap<BaseChatModel, boolean>()
  const control = trafficControl(options)
  const registry = routerRegistry({
    control,
    given: options.deployments,
    read(given, path, id) {
      const deployment = deploymentFrom(given, path, tiers, id)
      checkRoom(deployment, options.maxOutputTokens ?? DEFAULT_MAX_OUTPUT_TOKENS, path)
      rates.set(deployment, ratesFor(deployment, path))
      if (given.reportsFinishReason !== undefined)
        saidOfFinishReasons.set(given.model, given.reportsFinishReason)
      return deployment
    },
    lineUp(deployments) {
      const baselines = tiers.map((tier) => firstOf(tier, deployments))
      const identity = identityOf(options, tiers, deployments)
      return {
        deployments,
        ratesOf,
        baselines: baselines.map((deployment) => ({ deployment, rates: ratesOf(deployment) })),
        identity,
        cache: cacheFrom(options, identity, deployments),
        traffic: control.of(deployments),
      }
    },
  })
  const parts: RouterParts = {
    ...registry.lineup(),
    tiers,
    routing: options.routing ?? true,
    defaultTier: knownTier(
      options.defaultTier ?? (tiers[Math.floor(tiers.length / 2)] as Tier),
      "defaultTier",
      tiers,
    ),
    estimator: options.estimator ?? fiveFactor(),
    policy: policyFrom(options, tiers),
    order: options.order ?? "cheapest",
    quoteInput: options.quoteInput ?? "upper-bound",
    mediaTokens: { ...DEFAULT_MEDIA_TOKENS, ...defined(options.mediaTokens ?? {}) },
    maxOutputTokens: options.maxOutputTokens ?? DEFAULT_MAX_OUTPUT_TOKENS,
    limitOutput: outputLimiter(),
    toolSizes: new WeakMap(),
    budget: options.budget,
    looseEnds: looseEnds(),
    ...underPressure(options),
    requestIdHeader: options.requestIdHeader,
    validator: options.validator ?? allOf(matchesSchema(), notEmpty()),
    // Who brings a validator wants its verdicts to count in streams too.
    gate: options.gate ?? (options.validator === undefined ? undefined : "full"),
    cacheRules: options.cacheRules,
    observers: options.observers ?? [],
    deadlineMs: options.deadlineMs,
    midStream: options.midStream ?? "error",
    finishReasons: finishReasons(saidOfFinishReasons),
    newId: options.newId ?? (() => crypto.randomUUID()),
    dispatch: {
      maxFallbackAttempts: options.maxFallbackAttempts ?? 2,
      maxRetries: options.maxRetries ?? 2,
      retryBaseMs: options.retryBaseMs ?? 250,
      attemptTimeoutMs: options.attemptTimeoutMs,
      stallTimeoutMs: options.stallTimeoutMs,
      retryBudget: options.retryBudget ?? PROCESS_RETRY_BUDGET,
      handling: handlingFrom(options.failureHandling),
      now: options.now ?? Date.now,
      random: options.random ?? Math.random,
      pause,
    },
  }
  const { probes, warmUp = false } = options
  const looksAfter = probing({ probes, warmUp, parts, registry, control })
  return {
    parts,
    registry,
    probing: looksAfter,
    end() {
      // A book that was handed in may be others' too.
      if (options.health === undefined) control.health.end()
    },
  }
}

/** Also for a router that has no budget of its own: an agent's may be held in beside it. */
function underPressure({ underPressure = {} }: RouterOptions): Pick<RouterParts, "pressure" | "whenRefused"> {
  const { whenRefused = "block", ...when } = underPressure
  return { pressure: pressureGauge(when), whenRefused }
}

/** @param id What it is called if it does not say so itself. */
function deploymentFrom(
  given: DeploymentOptions,
  path: string,
  tiers: readonly Tier[],
  id: string | undefined,
): Deployment {
  const tier = knownTier(given.tier, `${path}.tier`, tiers)
  const { model, price, version, tenants, gpuMemoryGb } = given
  return {
    id: given.id ?? id ?? `${tier}/${modelName(model)}`,
    tier,
    model,
    price,
    profile: {
      ...defined((model.profile as DeploymentProfile | undefined) ?? {}),
      ...defined(given.profile ?? {}),
    },
    maxOutputTokens: given.maxOutputTokens ?? ownOutputLimit(model),
    version,
    labels: given.labels ?? {},
    weight: given.weight ?? 1,
    limits: given.limits,
    headers: given.headers,
    tenants,
    gpuMemoryGb,
  }
}

/** A limit that no call ever fits in is a mistake: each counts with all the output it may have. */
function checkRoom({ maxOutputTokens, limits }: Deployment, usualCap: number, path: string): void {
  const cap = maxOutputTokens ?? usualCap
  const most = limits?.tokensPerMinute ?? Infinity
  if (most > cap) return
  throw new ConfigError(
    `${path}.limits.tokensPerMinute`,
    `${most} leaves no room for a call whose output may have ${cap} tokens`,
    `give more than ${cap}, or lower maxOutputTokens`,
  )
}

/** The model's own name where it has one, else its class's. */
function modelName(model: BaseChatModel): string {
  const { model: name, modelName } = model as { model?: unknown; modelName?: unknown }
  return [name, modelName].find((value) => typeof value === "string") ?? model.getName()
}

/** As it was stated; NaN: nobody did. */
function temperatureOf(model: BaseChatModel): number {
  return Number((model as { temperature?: unknown }).temperature)
}

/** Where a provider's package sends its calls, if it was told; one model's name may stand for others elsewhere. */
function endpointOf(model: BaseChatModel): string | undefined {
  const { clientConfig, apiUrl, baseUrl } = model as {
    clientConfig?: { readonly baseURL?: unknown }
    apiUrl?: unknown
    baseUrl?: unknown
  }
  return [clientConfig?.baseURL, apiUrl, baseUrl].find((url) => typeof url === "string")
}

function ratesFor({ model, price }: Deployment, path: string): Rates {
  if (!isPrice(price)) {
    throw new ConfigError(
      `${path}.price`,
      "the price is unknown",
      'give inputPerMTok and outputPerMTok in USD, a costWeight, a perGpuSecond, or say "free"',
    )
  }
  const rates = ratesOf(price, `${path}.price`)
  const obstacle = price === "free" ? undefined : outputLimitObstacle(model)
  if (obstacle !== undefined) {
    throw new ConfigError(
      `${path}.model`,
      `the output of ${model.getName()} cannot be capped (${obstacle}), so its cost has no bound`,
      'use a model whose output limit can be set from outside, or declare its price "free"',
    )
  }
  checkUnbound(model, `${path}.model`)
  return rates
}

/** Tools and schemas bound to a deployment would be sent without being seen, filtered or quoted; hits are no calls. */
function checkUnbound(model: BaseChatModel, path: string): void {
  const { defaultOptions, cache } = model as {
    defaultOptions?: Readonly<Record<string, unknown>>
    cache?: unknown
  }
  if (cache !== undefined) {
    const fix = "give the cache to the router: its hits are free, and never cross tenants"
    throw new ConfigError(path, "it has a cache of its own, whose hits would be billed as calls", fix)
  }
  const bound = ["tools", "response_format"].find((name) => defaultOptions?.[name] !== undefined)
  if (bound === undefined) return
  throw new ConfigError(path, `it has ${bound} bound to it`, "bind tools and schemas to the router instead")
}

/** JavaScript callers may leave the price out, whatever the types say. */
function isPrice(price: unknown): price is Price {
  return price === "free" || (typeof price === "object" && price !== null)
}

function policyFrom(options: RouterOptions, tiers: readonly Tier[]): RoutingPolicy {
  if (options.policy === undefined) {
    const { thresholds, taskTypes, preference } = options
    return thresholdPolicy({ tiers, thresholds, taskTypes, preference })
  }
  const replaced = (["thresholds", "taskTypes", "preference"] as const).find(
    (name) => options[name] !== undefined,
  )
  if (replaced === undefined) return options.policy
  throw new ConfigError(
    replaced,
    "a policy is given too, and replaces it",
    `remove ${replaced}, or the policy`,
  )
}

/** What an answer depends on beside the call: another set of models, or another idea of what is good enough. */
function identityOf(
  options: RouterOptions,
  tiers: readonly Tier[],
  deployments: readonly Deployment[],
): string {
  const { routing, defaultTier, thresholds, taskTypes, preference, maxOutputTokens } = options
  const judges = [options.estimator?.name, options.policy !== undefined, options.validator?.name]
  const models = deployments.map(({ id, tier, model, version, maxOutputTokens: cap }) => [
    id,
    tier,
    modelName(model),
    endpointOf(model),
    temperatureOf(model),
    parametersOf(model),
    cap,
    version,
  ])
  const choices = [routing, defaultTier, thresholds, taskTypes, preference, maxOutputTokens]
  return JSON.stringify([tiers, models, choices, judges])
}

/** What the model sends with every call, as its package tells tracers: no keys. */
function parametersOf(model: BaseChatModel): string | undefined {
  try {
    return sha256(JSON.stringify(model.invocationParams({}))) as string
  } catch {
    return undefined
  }
}

function cacheFrom(
  { cache, cacheRules: rules, observers = [] }: RouterOptions,
  identity: string,
  deployments: readonly Deployment[],
): ResponseCache | undefined {
  if (cache === undefined || cache === false) {
    if (rules === undefined) return undefined
    throw new ConfigError("cacheRules", "there is no cache for them", "give a cache, or leave them out")
  }
  const sampled = deployments.findIndex(({ model }) => temperatureOf(model) > 0)
  if (sampled !== -1 && rules?.nonDeterministic !== true) {
    throw new ConfigError(
      `deployments[${sampled}].model`,
      "its temperature is above 0, so no answer would ever be cached",
      "set it to 0, or cacheRules.nonDeterministic to true",
    )
  }
  return responseCache({
    cache: cache === true ? InMemoryCache.global() : cache,
    identity,
    sampled: sampled !== -1,
    rules,
    onProblem: (error) => notify(observers, { type: "cache-failed", error: messageOf(error) }),
  })
}

function firstOf(tier: Tier, deployments: readonly Deployment[]): Deployment {
  const first = deployments.find((deployment) => deployment.tier === tier)
  if (first !== undefined) return first
  throw new ConfigError(
    "deployments",
    `the tier "${tier}" has none`,
    `add one, or leave "${tier}" out of tiers`,
  )
}

function knownTier(tier: Tier, path: string, tiers: readonly Tier[]): Tier {
  if (tiers.includes(tier)) return tier
  throw new ConfigError(
    path,
    `"${tier}" is not a tier`,
    `use one of ${tiers.join(", ")}, or name it in tiers`,
  )
}

function checkUnique(names: readonly string[], pathOf: (index: number) => string): void {
  const index = names.findIndex((name, at) => names.indexOf(name) !== at)
  if (index === -1) return
  throw new ConfigError(pathOf(index), `"${names[index]}" is there twice`, "give each its own name")
}

/** Without the keys whose value is undefined, so that they do not hide a default. */
function defined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}

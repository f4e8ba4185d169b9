import { z } from "zod"
import { checkShape } from "../route/check-options.ts"
import type { DeploymentOptions } from "../route/router-options.ts"
import type { Price, PriceTable } from "../spec/catalog.ts"
import { ConfigError, TierwiseError } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"
import { holdsCredentials, isSafeOnItsWay, originsOf } from "./address.ts"
import { type Env, loadModel } from "./load-model.ts"
import { PROVIDERS } from "./providers.ts"

/** Where a document's fields stand, in errors. */
export const REGISTRY_PATH = "registry"

/** A deployment's options, with what its model is built from in place of the model. */
export interface RegisteredModel extends Omit<DeploymentOptions, "id" | "model" | "price" | "headers"> {
  readonly id: string
  readonly provider: string
  readonly model: string
  readonly baseUrl?: string | undefined
  readonly apiKeyVariable?: string | undefined
  /** Default: the published one. */
  readonly price?: Price | undefined
}

export interface RegistryDocument {
  readonly $schema?: string | undefined
  /** Cheapest first. Default: the router's own, else the default ones. */
  readonly tiers?: readonly Tier[] | undefined
  readonly deployments: readonly RegisteredModel[]
}

/** One that a router can be made of, as far as a look at it can tell. */
export interface CheckedDocument extends RegistryDocument {
  readonly tiers: readonly Tier[]
}

/** What may hold an API key: a document must not make other variables' values go out. */
const KEY_VARIABLE = /^[A-Z][A-Z0-9_]*_API_(?:KEY|TOKEN)$/

/** Ids and versions become keys in stores and labels of metrics. */
const MOST_NAME_LENGTH = 200

const name = z.string().min(1).max(MOST_NAME_LENGTH)
const positiveInteger = z.int().positive()
const usd = z.number().min(0).max(100_000)

const tokenPrice = {
  inputPerMTok: usd,
  outputPerMTok: usd,
  cachedInputPerMTok: usd.optional(),
  cacheWritePerMTok: usd.optional(),
  cacheWrite1hPerMTok: usd.optional(),
  inputAudioPerMTok: usd.optional(),
  inputImagePerMTok: usd.optional(),
  reasoningPerMTok: usd.optional(),
  outputAudioPerMTok: usd.optional(),
  outputImagePerMTok: usd.optional(),
}

const price = z.union(
  [
    z.literal("free"),
    z.strictObject({
      ...tokenPrice,
      longContext: z.array(z.strictObject({ aboveInputTokens: positiveInteger, ...tokenPrice })).optional(),
      multiplier: z.number().positive().max(100).optional(),
      maxImageTokens: z.int().min(0).optional(),
      source: z.string().optional(),
      asOf: z.string().optional(),
    }),
    z.strictObject({ costWeight: z.number().positive(), base: z.number().positive().optional() }),
    z.strictObject({
      perGpuSecond: z.number().positive(),
      outputTokensPerSecond: z.number().positive(),
      inputTokensPerSecond: z.number().positive().optional(),
    }),
  ],
  {
    error: 'it is no price: inputPerMTok and outputPerMTok in USD, a costWeight, a perGpuSecond, or "free"',
  },
)

const deployment = z.strictObject({
  id: name,
  tier: name,
  provider: z.enum(Object.keys(PROVIDERS) as [string, ...string[]]),
  model: z.string().min(1),
  baseUrl: z.url({ protocol: /^https?$/ }).optional(),
  apiKeyVariable: z.string().regex(KEY_VARIABLE).optional(),
  price: price.optional(),
  version: name.optional(),
  labels: z.record(z.string(), z.string()).optional(),
  limits: z
    .strictObject({
      requestsPerMinute: positiveInteger.optional(),
      tokensPerMinute: positiveInteger.optional(),
      concurrency: positiveInteger.optional(),
    })
    .optional(),
  weight: z.number().min(0).optional(),
  tenants: z.array(z.string()).optional(),
  profile: z
    .strictObject({
      maxInputTokens: positiveInteger.optional(),
      maxOutputTokens: positiveInteger.optional(),
      toolCalling: z.boolean().optional(),
      structuredOutput: z.boolean().optional(),
      imageInputs: z.boolean().optional(),
      audioInputs: z.boolean().optional(),
      pdfInputs: z.boolean().optional(),
    })
    .optional(),
  maxOutputTokens: positiveInteger.optional(),
  reportsFinishReason: z.boolean().optional(),
  gpuMemoryGb: z.number().positive().optional(),
})

/** What a model registry serves. `docs/guide/model-registry.schema.json` says the same as a JSON Schema. */
export const registryDocument: z.ZodType<RegistryDocument> = z.strictObject({
  $schema: z.string().optional(),
  tiers: z.array(name).min(1).optional(),
  deployments: z.array(deployment).min(1).max(1_000),
})

export interface DocumentRules {
  /** What a document that names no tiers means. */
  readonly defaultTiers: readonly Tier[]
  /** Of the router; a document that means others is refused. Undefined: it may say. */
  readonly tiers: readonly Tier[] | undefined
  /** Hosts, with their ports if they have one, that a `baseUrl` may name. Undefined: any. */
  readonly hosts: readonly string[] | undefined
}

/**
 * The same for a start and for a change: what a running router took, the next one can start with.
 *
 * @throws ConfigError naming the first field that is wrong, below `registry`, and the fix.
 */
export function readDocument(text: string, rules: DocumentRules): CheckedDocument {
  const given = parsed(text)
  refuseKeys(given)
  checkShape(registryDocument, given, REGISTRY_PATH)
  const document = given as RegistryDocument
  const checked = { ...document, tiers: tiersOf(document, rules) }
  checkIds(checked)
  checkCover(checked)
  checkAddresses(checked, rules.hosts)
  return checked
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // No cause: it quotes the text, and whatever key somebody wrote there.
    throw new ConfigError(REGISTRY_PATH, "it is not JSON", "serve a JSON document")
  }
}

/** An own message for the one mistake that costs more than a rejected document. */
function refuseKeys(given: unknown): void {
  const { deployments } = (given ?? {}) as { deployments?: unknown }
  if (!Array.isArray(deployments)) return
  const index = deployments.findIndex(
    (one: unknown) => typeof one === "object" && one !== null && "apiKey" in one,
  )
  if (index === -1) return
  throw new ConfigError(
    `${pathOf(index)}.apiKey`,
    "an API key does not belong into the document",
    "revoke it, and name the variable that holds the new one in apiKeyVariable",
  )
}

function tiersOf({ tiers }: RegistryDocument, rules: DocumentRules): readonly Tier[] {
  const meant = tiers ?? rules.defaultTiers
  if (rules.tiers === undefined || JSON.stringify(meant) === JSON.stringify(rules.tiers)) return meant
  const routers = `the router's (${rules.tiers.join(", ")})`
  throw new ConfigError(
    `${REGISTRY_PATH}.tiers`,
    tiers === undefined
      ? `without them it means ${meant.join(", ")}, which are not ${routers}`
      : `they are not ${routers}`,
    `name ${rules.tiers.join(", ")}, or start the router anew`,
  )
}

function checkIds({ deployments }: CheckedDocument): void {
  const seen = new Set<string>()
  for (const [index, { id }] of deployments.entries()) {
    if (seen.has(id))
      throw new ConfigError(`${pathOf(index)}.id`, `"${id}" is there twice`, "give each its own name")
    seen.add(id)
  }
}

/** Whom somebody added by hand is gone after a restart: the document alone has to do. */
function checkCover({ tiers, deployments }: CheckedDocument): void {
  const stray = deployments.findIndex(({ tier }) => !tiers.includes(tier))
  if (stray !== -1) {
    const fix = `use one of ${tiers.join(", ")}, or name it in ${REGISTRY_PATH}.tiers`
    throw new ConfigError(`${pathOf(stray)}.tier`, `"${deployments[stray]?.tier}" is not a tier`, fix)
  }
  const empty = tiers.find((one) => !deployments.some(({ tier }) => tier === one))
  if (empty === undefined) return
  throw new ConfigError(
    `${REGISTRY_PATH}.deployments`,
    `the tier "${empty}" has none`,
    `add one, or leave "${empty}" out of ${REGISTRY_PATH}.tiers`,
  )
}

function checkAddresses({ deployments }: CheckedDocument, hosts: DocumentRules["hosts"]): void {
  const origins = hosts && originsOf(hosts)
  for (const [index, { baseUrl, apiKeyVariable }] of deployments.entries()) {
    if (baseUrl === undefined) continue
    const path = `${pathOf(index)}.baseUrl`
    const { host, origin } = new URL(baseUrl)
    if (holdsCredentials(baseUrl)) {
      const fix = "change the password, and name the variable of an API key in apiKeyVariable"
      throw new ConfigError(path, "a user name or a password does not belong into the document", fix)
    }
    if (origins?.has(origin) === false) {
      const fix = `use one of ${hosts?.join(", ")}, or add it to registry.hosts`
      throw new ConfigError(path, `${host} is not a host that may be called`, fix)
    }
    if (apiKeyVariable !== undefined && !isSafeOnItsWay(baseUrl)) {
      const problem = `the API key could be read on its way to ${host}`
      throw new ConfigError(path, problem, "give an https URL; http is for private networks")
    }
  }
}

export function pathOf(index: number): string {
  return `${REGISTRY_PATH}.deployments[${index}]`
}

/**
 * A deployment's options, with its model built.
 *
 * @throws ConfigError below `path`, saying what to install, set or write.
 */
export async function deploymentOf(
  registered: RegisteredModel,
  path: string,
  { env, prices }: { readonly env: Env; readonly prices: PriceTable },
): Promise<DeploymentOptions> {
  const { provider, model: name, baseUrl, apiKeyVariable, price, ...rest } = registered
  checkKey(registered, path)
  const loaded = await loadModel(
    { provider, model: name, baseUrl, keyVariable: apiKeyVariable },
    `${path}.model`,
    env,
  )
  return { ...rest, ...loaded, price: price ?? (await publishedPrice(registered, path, prices)) }
}

/** The key of a provider is for that provider: to send it elsewhere takes a word. */
function checkKey({ provider, baseUrl, apiKeyVariable }: RegisteredModel, path: string): void {
  const { keys = [], baseUrl: server } = PROVIDERS[provider] ?? {}
  if (baseUrl !== undefined && server === undefined) {
    const fix = "leave it out, or use openai-compatible"
    throw new ConfigError(`${path}.baseUrl`, `${provider} is served in one place only`, fix)
  }
  if (baseUrl === undefined || apiKeyVariable !== undefined || keys.length === 0) return
  throw new ConfigError(
    `${path}.apiKeyVariable`,
    `nobody says which key goes to ${new URL(baseUrl).host}`,
    `name the variable that holds it, such as ${keys[0]}`,
  )
}

async function publishedPrice(
  { provider, model, baseUrl }: RegisteredModel,
  path: string,
  prices: PriceTable,
): Promise<DeploymentOptions["price"]> {
  const { selfHosted = false, priceId = provider } = PROVIDERS[provider] ?? {}
  const unknown = (cause?: unknown) =>
    new ConfigError(
      `${path}.price`,
      `no price is known for ${provider}/${model}`,
      'give inputPerMTok and outputPerMTok in USD, a costWeight, a perGpuSecond, or say "free"',
      { cause },
    )
  // Whoever serves it elsewhere charges what they like.
  if (selfHosted !== false || baseUrl !== undefined) throw unknown()
  try {
    return await prices.priceOf(priceId, model)
  } catch (cause) {
    throw TierwiseError.find(cause)?.code === "invalid-config" ? unknown(cause) : cause
  }
}

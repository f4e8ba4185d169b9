import { z } from "zod"
import { checkShape } from "../route/check-options.ts"
import type { DeploymentOptions } from "../route/router-options.ts"
import type { Price, PriceTable } from "../spec/catalog.ts"
import { ConfigError, TierwiseError } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"
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
  /** Cheapest first. Default: the router's. */
  readonly tiers?: readonly Tier[] | undefined
  readonly deployments: readonly RegisteredModel[]
}

/** What may hold an API key: a document must not make other variables' values go out. */
const KEY_VARIABLE = /^[A-Z][A-Z0-9_]*_API_(?:KEY|TOKEN)$/

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
  id: z.string().min(1),
  tier: z.string().min(1),
  provider: z.enum(Object.keys(PROVIDERS) as [string, ...string[]]),
  model: z.string().min(1),
  baseUrl: z.url({ protocol: /^https?$/ }).optional(),
  apiKeyVariable: z.string().regex(KEY_VARIABLE).optional(),
  price: price.optional(),
  version: z.string().min(1).optional(),
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
  tiers: z.array(z.string().min(1)).min(1).optional(),
  deployments: z.array(deployment).min(1).max(1_000),
})

export interface DocumentRules {
  /** Of the router; a document that names others is refused. Undefined: it may say. */
  readonly tiers: readonly Tier[] | undefined
  /** Hosts, with their ports if they have one, that a `baseUrl` may name. Undefined: any. */
  readonly hosts: readonly string[] | undefined
}

/** @throws ConfigError naming the first field that is wrong, below `registry`, and the fix. */
export function readDocument(text: string, rules: DocumentRules): RegistryDocument {
  const given = parsed(text)
  refuseKeys(given)
  checkShape(registryDocument, given, REGISTRY_PATH)
  const document = given as RegistryDocument
  checkTiers(document, rules)
  for (const [index, { baseUrl }] of document.deployments.entries()) checkHost(baseUrl, index, rules)
  return document
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new ConfigError(REGISTRY_PATH, "it is not JSON", "serve a JSON document", { cause })
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

function checkTiers({ tiers }: RegistryDocument, rules: DocumentRules): void {
  if (tiers === undefined || rules.tiers === undefined) return
  if (JSON.stringify(tiers) === JSON.stringify(rules.tiers)) return
  throw new ConfigError(
    `${REGISTRY_PATH}.tiers`,
    `they are not the router's (${rules.tiers.join(", ")})`,
    "leave them as they are, or start the router anew",
  )
}

function checkHost(baseUrl: string | undefined, index: number, { hosts }: DocumentRules): void {
  if (baseUrl === undefined || hosts === undefined || hosts.includes(new URL(baseUrl).host)) return
  throw new ConfigError(
    `${pathOf(index)}.baseUrl`,
    `${new URL(baseUrl).host} is not a host that may be called`,
    `use one of ${hosts.join(", ")}, or add it to registry.hosts`,
  )
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

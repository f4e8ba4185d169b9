import type { Deployment, Exclusion } from "../spec/catalog.ts"
import type { RequestFeatures, RouteRequest, Tier } from "../spec/request.ts"

/** A deployment that can take the request, with the output cap that fits it. */
export interface Eligible {
  readonly deployment: Deployment
  readonly maxOutputTokens: number
}

export interface EligibilityInput {
  readonly deployments: readonly Deployment[]
  readonly features: RequestFeatures
  readonly request: RouteRequest
  readonly floor: Tier
  readonly ceiling: Tier
  /** All tiers, cheapest first. */
  readonly tiers: readonly Tier[]
  /** Output cap in tokens for requests that name none. */
  readonly defaultMaxOutputTokens: number
  /** The most tokens the request's media may take of the window. */
  readonly mediaTokens: number
}

/** A context window nobody declared is taken to be this small (tokens), so that large requests fail closed. */
export const ASSUMED_CONTEXT_WINDOW = 8_192

/** An answer must have at least this much room (tokens) when the caller named no length of its own. */
export const MIN_OUTPUT_ROOM = 256

/**
 * Who can take this request? Fails closed: what is not known to be possible excludes, and every exclusion says why.
 */
export function eligibility(input: EligibilityInput): {
  readonly eligible: readonly Eligible[]
  readonly excluded: readonly Exclusion[]
} {
  const eligible: Eligible[] = []
  const excluded: Exclusion[] = []
  for (const deployment of input.deployments) {
    const because = firstObstacle(deployment, input)
    const room = because === undefined ? outputRoom(deployment, input) : because
    if (typeof room === "number") eligible.push({ deployment, maxOutputTokens: room })
    else excluded.push({ id: deployment.id, tier: deployment.tier, because: room })
  }
  return { eligible, excluded }
}

type Obstacle = (deployment: Deployment, input: EligibilityInput) => string | undefined

/** In the order in which a reader would ask: may it, then can it. */
const OBSTACLES: readonly Obstacle[] = [
  ({ tier }, { tiers, floor, ceiling }) => {
    const rung = tiers.indexOf(tier)
    if (rung < tiers.indexOf(floor)) return `below the floor "${floor}"`
    if (rung > tiers.indexOf(ceiling)) return `above the ceiling "${ceiling}"`
    return undefined
  },
  ({ tenants }, { request }) => {
    if (tenants === undefined) return undefined
    const tenant = request.scopes?.["tenant"]
    if (tenant === undefined) return "only for named tenants, and the request names none"
    return tenants.includes(tenant) ? undefined : `not for tenant "${tenant}"`
  },
  ({ labels }, { request }) => {
    const missing = Object.entries(request.labels ?? {}).find(([name, value]) => labels[name] !== value)
    return missing && `needs label ${missing[0]}=${missing[1]}, has ${labels[missing[0]] ?? "none"}`
  },
  ({ profile }, { features }) =>
    features.toolsOffered > 0 && !profile.toolCalling ? missing("tool calling", "toolCalling") : undefined,
  ({ profile }, { features }) =>
    features.wantsSchema && !profile.structuredOutput && !profile.toolCalling
      ? missing("structured output", "structuredOutput")
      : undefined,
  ({ profile }, { features }) =>
    features.images > 0 && !profile.imageInputs ? missing("image input", "imageInputs") : undefined,
  ({ profile }, { features }) =>
    features.audioClips > 0 && !profile.audioInputs ? missing("audio input", "audioInputs") : undefined,
  ({ profile }, { features }) =>
    features.files > 0 && !profile.pdfInputs ? missing("file input", "pdfInputs") : undefined,
]

function missing(capability: string, field: string): string {
  return `no ${capability} (profile.${field} is not true)`
}

function firstObstacle(deployment: Deployment, input: EligibilityInput): string | undefined {
  for (const obstacle of OBSTACLES) {
    const because = obstacle(deployment, input)
    if (because !== undefined) return because
  }
  return undefined
}

/**
 * The output cap for this deployment, or why there is no room. A length the caller asked for must fit whole; the
 * default length shrinks to the room there is.
 */
function outputRoom(
  { profile, maxOutputTokens }: Deployment,
  { features, request, defaultMaxOutputTokens, mediaTokens }: EligibilityInput,
): number | string {
  const window = profile.maxInputTokens ?? ASSUMED_CONTEXT_WINDOW
  const input = features.inputTokens + mediaTokens
  const room = window - input
  const most = profile.maxOutputTokens ?? Number.POSITIVE_INFINITY
  const wanted = request.maxOutputTokens
  if (wanted !== undefined && wanted > most) return `writes at most ${most} tokens, ${wanted} are wanted`
  const cap = wanted ?? Math.min(maxOutputTokens ?? defaultMaxOutputTokens, most)
  const needed = wanted ?? Math.min(cap, MIN_OUTPUT_ROOM)
  if (room < needed) {
    const declared =
      profile.maxInputTokens === undefined ? " (assumed: profile.maxInputTokens is not set)" : ""
    return `context window of ${window} tokens${declared} is too small for ${input} in and ${needed} out`
  }
  return Math.min(cap, room)
}

import { HumanMessage } from "@langchain/core/messages"
import { REQUEST_SCOPE } from "../budget/limits.ts"
import { dispatch } from "../dispatch/dispatch.ts"
import { readFeatures } from "../features/read-features.ts"
import { callModel } from "../langchain/call-model.ts"
import { completionsPerCall } from "../langchain/limit-output.ts"
import type { Piece } from "../langchain/piece.ts"
import { quote } from "../pricing/quote.ts"
import type { Candidate, Deployment } from "../spec/catalog.ts"
import type { RouteRequest } from "../spec/request.ts"
import { holdMoney } from "./hold-money.ts"
import { meterAnswer } from "./meter-answer.ts"
import type { ProbeSettings } from "./router-options.ts"
import type { RouterParts } from "./router-parts.ts"
import type { RouterRegistry } from "./router-registry.ts"
import type { Callee, TrafficControl } from "./traffic.ts"

/** Who pays for probes: limits on tenants see them apart from everybody's calls, global ones together with them. */
export const PROBE_TENANT = "tierwise:probes"

const DEFAULT_TIMEOUT_MS = 10_000
const DEFAULT_ASK = "Hi"

/** The cheapest that there is; some models refuse it. */
const DEFAULT_MAX_OUTPUT_TOKENS = 1

export interface Probing {
  /** Asks whoever is to be warm, and looks after everybody from now on. */
  begin(): void
  /** Resolves when everybody who is to be warm by now has been asked. Never rejects: who is not well is in the health book. */
  ready(): Promise<void>
  /** Asks whoever is due. Resolves when they have ended. Never rejects. */
  round(): Promise<void>
  /** Begins none any more, and ends those under way. Resolves when their money is settled. */
  end(): Promise<void>
}

export interface ProbingOptions {
  readonly probes: ProbeSettings | undefined
  readonly warmUp: boolean
  readonly parts: RouterParts
  readonly registry: RouterRegistry
  readonly control: TrafficControl
}

/**
 * Finds out who is well: by a call with the least output there is, for deployments that had no call within `everyMs` or whose
 * circuit is open. Not by a list of models: a server lists models that it cannot load, that it has no capacity for, or that the
 * key may not call, and only some have such a list.
 *
 * A probe goes the way of any call: past the breaker, which sends it when its own time has come, and the limits; its money is
 * held and booked under a tenant of its own. It is nobody's answer, so there is no record of it, and metrics leave it out.
 */
export function probing({ probes, warmUp, parts, registry, control }: ProbingOptions): Probing {
  const { everyMs, timeoutMs = DEFAULT_TIMEOUT_MS, ask = DEFAULT_ASK } = probes ?? {}
  const { maxOutputTokens = DEFAULT_MAX_OUTPUT_TOKENS } = probes ?? {}
  const { now, random } = parts.dispatch
  const request: RouteRequest = { messages: [new HumanMessage(ask)] }
  const { features } = readFeatures(request)
  const stop = new AbortController()
  /** One at a time for each. */
  const underWay = new Map<Deployment, Promise<void>>()
  const warming = new Set<Promise<void>>()
  const seen = new WeakSet<Deployment>()
  let timer: ReturnType<typeof setTimeout> | undefined

  function candidateOf(deployment: Deployment): Candidate {
    const { quoteInput, mediaTokens } = parts
    const completions = completionsPerCall(deployment.model)
    const bounds = { maxOutputTokens, quoteInput, mediaTokens, completions }
    return { deployment, maxOutputTokens, quote: quote(features, parts.ratesOf(deployment), bounds) }
  }

  function probe(deployment: Deployment): Promise<void> {
    if (stop.signal.aborted) return Promise.resolve()
    const already = underWay.get(deployment)
    if (already !== undefined) return already
    const asked = callOnce(deployment)
      // Whatever it was, the health book has it: nobody waits for this answer.
      .catch(() => {})
      .finally(() => underWay.delete(deployment))
    underWay.set(deployment, asked)
    return asked
  }

  async function callOnce(deployment: Deployment): Promise<void> {
    const { budget, looseEnds } = parts
    const { signal } = stop
    const candidate = candidateOf(deployment)
    const scopes = { tenant: PROBE_TENANT, [REQUEST_SCOPE]: crypto.randomUUID() }
    const metadata = { tierwise_deployment: deployment.id, ...(budget && { tierwise_ledger: budget.name }) }
    // Not below a run that happens to be going on where the router was made.
    const config = { callbacks: [], tags: ["tierwise:probe"], metadata }
    const pieces = dispatch<Callee, Piece>({
      candidates: [{ deploymentId: deployment.id, tier: deployment.tier, candidate }],
      signal,
      // Whoever may not be called now is asked in a later round.
      deadline: { at: now(), fairMs: undefined, isOver: () => false },
      settings: { ...parts.dispatch, maxFallbackAttempts: 0, maxRetries: 0, attemptTimeoutMs: timeoutMs },
      admit: () => control.admitProbe(deployment, features.inputTokens + maxOutputTokens),
      hold:
        budget && (() => holdMoney({ budget, scopes, signal, onProblem: () => {}, looseEnds }, candidate)),
      meter: () => {
        const completions = completionsPerCall(deployment.model)
        return meterAnswer({
          features,
          rates: parts.ratesOf(deployment),
          quote: candidate.quote,
          maxOutputTokens: maxOutputTokens * completions,
          completions,
        })
      },
      isProvider: () => true,
      call: (_, callSignal) =>
        callModel({
          model: parts.limitOutput(deployment.model, maxOutputTokens),
          deploymentId: deployment.id,
          request,
          scopes,
          invocation: { callOptions: {}, config },
          streamed: false,
          signal: callSignal,
          maxOutputTokens,
        }),
    })
    let step = await pieces.next()
    while (step.done !== true) step = await pieces.next()
  }

  function isDue(deployment: Deployment): boolean {
    const counts = registry.countsOf(deployment)
    if (everyMs === undefined || counts === undefined) return false
    if (control.health.report(counts.healthKey).breaker !== "closed") return true
    return counts.inFlight() === 0 && now() - (counts.lastUsedAt() ?? Number.NEGATIVE_INFINITY) >= everyMs
  }

  async function round(): Promise<void> {
    await Promise.all(registry.lineup().deployments.filter(isDue).map(probe))
  }

  function waitForNextRound(): void {
    if (everyMs === undefined || stop.signal.aborted) return
    timer = setTimeout(
      () => {
        waitForNextRound()
        void round()
      },
      everyMs * (0.9 + 0.2 * random()),
    )
    ;(timer as { unref?: () => void }).unref?.()
  }

  function warm(deployments: readonly Deployment[]): void {
    for (const deployment of deployments) {
      if (seen.has(deployment)) continue
      seen.add(deployment)
      const asked: Promise<void> = probe(deployment).finally(() => warming.delete(asked))
      warming.add(asked)
    }
  }

  return {
    begin() {
      waitForNextRound()
      if (!warmUp) return
      warm(registry.lineup().deployments)
      registry.onChange(({ deployments }) => warm(deployments))
    },
    async ready() {
      await Promise.all(warming)
    },
    round,
    async end() {
      stop.abort(new Error("the router was closed"))
      clearTimeout(timer)
      await Promise.all(underWay.values())
    },
  }
}

import type { Attempt } from "../spec/dispatch.ts"
import type { RouteRecord, TierCost } from "../spec/telemetry.ts"

/** An attempt that reached a provider. */
export type SentAttempt = Exclude<Attempt, { outcome: "skipped" }>

export type AnsweredAttempt = Extract<Attempt, { outcome: "answered" }>

/** Requests that name no id for a scope count as this one, as they do in budgets. */
export const UNNAMED = "default"

export function sentAttempts({ attempts }: RouteRecord): readonly SentAttempt[] {
  return attempts.filter((attempt): attempt is SentAttempt => attempt.outcome !== "skipped")
}

export function answeredAttempts({ attempts }: RouteRecord): readonly AnsweredAttempt[] {
  return attempts.filter((attempt): attempt is AnsweredAttempt => attempt.outcome === "answered")
}

/** The attempt whose answer was returned. */
export function returnedAttempt(record: RouteRecord): AnsweredAttempt | undefined {
  return answeredAttempts(record).findLast(
    ({ deploymentId }) => deploymentId === record.answeredBy?.deploymentId,
  )
}

/** Input plus output. */
export function tokensOf({ usage }: SentAttempt): number {
  return usage === undefined ? 0 : usage.inputTokens + usage.outputTokens
}

/** Cheapest tier first. Empty: the answer can be compared with nothing. */
export function tierCostsOf(record: RouteRecord): readonly TierCost[] {
  // A stored record of the first version has no such field.
  return (record as Partial<RouteRecord>).tierCosts ?? []
}

/** e.g. `acme` for the scope `tenant`. */
export function scopeId({ scopes }: RouteRecord, scope: string): string {
  return Object.hasOwn(scopes, scope) ? (scopes[scope] as string) : UNNAMED
}

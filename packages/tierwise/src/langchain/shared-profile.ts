import type { ModelProfile } from "@langchain/core/language_models/profile"

/**
 * What every one of several models can keep: the smallest of their numbers, a capability only if all have it, the file
 * types that all take. What one of them does not say is not said: agents choose by a profile, and must not be promised
 * what the next call's model may lack.
 */
export function sharedProfile(profiles: readonly Readonly<ModelProfile>[]): ModelProfile {
  const [first, ...others] = profiles as readonly Readonly<Record<string, unknown>>[]
  const shared: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(first ?? {})) {
    let kept: unknown = value
    for (const other of others) kept = both(kept, other[key])
    if (kept !== undefined) shared[key] = kept
  }
  return shared
}

function both(a: unknown, b: unknown): unknown {
  if (typeof a === "number" && typeof b === "number") return Math.min(a, b)
  if (typeof a === "boolean" && typeof b === "boolean") return a && b
  if (Array.isArray(a) && Array.isArray(b)) return a.filter((one) => b.includes(one))
  return undefined
}

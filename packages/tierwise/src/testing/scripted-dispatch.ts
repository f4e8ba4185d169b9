import { dispatch } from "../dispatch/dispatch.ts"
import type {
  DispatchCandidate,
  DispatchOptions,
  DispatchSettings,
  Hold,
  HoldOutcome,
} from "../dispatch/dispatch-options.ts"
import { FAILURE_HANDLING } from "../dispatch/failures/failure-handling.ts"
import type { Attempt } from "../spec/dispatch.ts"
import { nanoUsd } from "../spec/money.ts"
import { NO_USAGE } from "../spec/usage.ts"

export const SOME_HOLD: Hold = {
  id: "some",
  keep: () => () => {},
  settle: async () => {},
  release: async () => {},
}

export function target(deploymentId: string): DispatchCandidate {
  return { deploymentId, tier: "light" }
}

/** As a provider's package throws it. */
export function failing(status: number, fields: object = {}): Error {
  return Object.assign(new Error(`status ${status}`), { status, ...fields })
}

/** Short pauses, written down nowhere, and a clock that stands still. */
export const SOME_SETTINGS: DispatchSettings = {
  maxFallbackAttempts: 2,
  maxRetries: 2,
  retryBaseMs: 100,
  attemptTimeoutMs: undefined,
  now: () => 0,
  random: () => 1,
  pause: async () => {},
  stallTimeoutMs: undefined,
  retryBudget: { called: () => {}, take: () => true },
  handling: FAILURE_HANDLING,
}

/** What each candidate does at each try: an error to throw, or the pieces to yield (an error among them breaks it). */
export type Script = Readonly<Record<string, readonly (Error | readonly (string | Error)[])[]>>

export interface ScriptedDispatch {
  readonly options: DispatchOptions<DispatchCandidate, string>
  /** Holds, tries, pauses and closed holds, in order. */
  readonly log: string[]
  readonly attempts: Attempt[]
  /** All pieces of one request. */
  readonly run: () => Promise<string[]>
}

/** A world of scripted candidates that writes down holds, tries and pauses. */
export function world(
  script: Script,
  settings: Partial<DispatchSettings> = {},
  extra: Partial<DispatchOptions<DispatchCandidate, string>> = {},
): ScriptedDispatch {
  const log: string[] = []
  const attempts: Attempt[] = []
  const tries = new Map<string, number>()
  const options: DispatchOptions<DispatchCandidate, string> = {
    candidates: Object.keys(script).map(target),
    async *call({ deploymentId }) {
      const nth = tries.get(deploymentId) ?? 0
      tries.set(deploymentId, nth + 1)
      log.push(`call ${deploymentId}`)
      const act = script[deploymentId]?.[nth]
      if (act === undefined || act instanceof Error) throw act ?? new Error("called too often")
      for (const piece of act) {
        if (piece instanceof Error) throw piece
        yield piece
      }
    },
    hold: async ({ deploymentId }): Promise<HoldOutcome> => {
      log.push(`hold ${deploymentId}`)
      return {
        granted: true,
        hold: {
          id: `hold of ${deploymentId}`,
          keep: () => () => {},
          settle: async ({ cost }) => void log.push(`settle ${deploymentId} ${cost}`),
          release: async () => void log.push(`release ${deploymentId}`),
        },
      }
    },
    meter: () => {
      let seen = 0
      return {
        see: () => void seen++,
        read: (ended, mayBeBilled) =>
          ended === "failed" && !mayBeBilled
            ? { usage: undefined, cost: nanoUsd(0) }
            : { usage: { ...NO_USAGE, outputTokens: seen }, cost: nanoUsd(seen) },
      }
    },
    settings: {
      ...SOME_SETTINGS,
      pause: async (ms) => void log.push(`pause ${ms}`),
      ...settings,
    },
    onAttempt: (attempt) => attempts.push(attempt),
    ...extra,
  }
  const run = async () => {
    const pieces: string[] = []
    for await (const piece of dispatch(options)) pieces.push(piece)
    return pieces
  }
  return { options, log, attempts, run }
}

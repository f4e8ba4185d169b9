import type { Attempt, SkipReason } from "../spec/dispatch.ts"
import { BudgetExceededError, CandidatesExhaustedError, TierwiseError } from "../spec/errors.ts"
import type {
  DispatchCandidate,
  DispatchOptions,
  Hold,
  HoldOutcome,
  NotAdmitted,
  Pass,
  Refused,
} from "./dispatch-options.ts"
import { leaveInTime } from "./leave-in-time.ts"
import { attemptBase, type Ended } from "./try-candidate.ts"

/** What has come of those who were asked so far, in one request. */
export interface Asking<C> {
  /** Writes an attempt down. */
  readonly report: (attempt: Attempt) => void
  /** Who could not be called. */
  readonly unavailable: Map<C, NotAdmitted>
  /** Those among them that failed first: asking them again is a retry. */
  readonly failedBefore: Set<C>
  /** For them, ms. */
  waitedMs: number
  /** Candidates that were called and failed. */
  called: number
  /** Who were refused money, and the cheapest of the refusals. */
  refused: C[]
  cheapest: Refused | undefined
  /** Leave and money for a call; undefined: it may not be called, which is written down. */
  enter(candidate: C): Promise<Entry | undefined>
  /**
   * A candidate has failed.
   * @throws its error where the table knows no fallback.
   */
  failed(candidate: C, ended: Exclude<Ended, "answered">): void
  /** Who was refused money, and nobody has been now. */
  takeRefused(): readonly C[]
  /** What the caller is told in the end. */
  failure(): unknown
}

/** What a candidate is called with. */
export interface Entry {
  readonly pass: Pass | undefined
  readonly hold: Hold
}

export function newAsking<C extends DispatchCandidate, P>(options: DispatchOptions<C, P>): Asking<C> {
  const { settings } = options
  const attempts: Attempt[] = []
  /** Told of already. */
  const skipped = new Set<C>()
  /** Tokens: a context window of that size was too small. */
  let tooSmall: number | undefined
  let lastError: unknown
  /** The first refusal of a package, as long as none has sent anything: then it is the call that cannot be. */
  let unaskable: { readonly error: unknown } | undefined

  function skip(candidate: C, because: SkipReason): void {
    if (skipped.has(candidate)) return
    skipped.add(candidate)
    asking.report({ ...attemptBase(candidate, settings.now(), 0), outcome: "skipped", because })
  }

  /** Not a failure: the next candidate may be cheaper. */
  function refuse(candidate: C, refusal: Refused): void {
    asking.refused.push(candidate)
    asking.cheapest = cheaper(asking.cheapest, refusal)
    skipped.add(candidate)
  }

  const asking: Asking<C> = {
    unavailable: new Map(),
    failedBefore: new Set(),
    waitedMs: 0,
    called: 0,
    refused: [],
    cheapest: undefined,

    report(attempt) {
      attempts.push(attempt)
      options.onAttempt?.(attempt)
    },

    async enter(candidate) {
      if (tooSmall !== undefined && (options.contextOf?.(candidate) ?? Infinity) <= tooSmall) {
        skip(candidate, "context-too-small")
        return undefined
      }
      const asked = options.admit?.(candidate, false)
      const admission = asked instanceof Promise ? await leaveInTime(asked, options.signal) : asked
      if (admission?.admitted === false) {
        skip(candidate, admission.because)
        asking.unavailable.set(candidate, admission)
        return undefined
      }
      const pass = admission?.pass
      if (asking.failedBefore.delete(candidate) && !settings.retryBudget.take()) {
        pass?.ended({ ended: "unsent" })
        return undefined
      }
      const held = await holdUnder(pass, options, candidate)
      if (held.granted) return { pass, hold: held.hold }
      pass?.ended({ ended: "unsent" })
      skip(candidate, "unaffordable")
      refuse(candidate, held)
      return undefined
    },

    failed(candidate, ended) {
      if ("refused" in ended) {
        refuse(candidate, ended.refused)
        return
      }
      asking.called++
      lastError = ended.error
      const isUnaskable = !ended.wasSent && (asking.called === 1 || unaskable !== undefined)
      unaskable = isUnaskable ? (unaskable ?? ended) : undefined
      const { fallback, onlyLargerContext, retry } = settings.handling[ended.failure]
      if (!fallback || options.deadline?.isOver() === true) throw ended.error
      if (onlyLargerContext) tooSmall = Math.max(tooSmall ?? 0, options.contextOf?.(candidate) ?? 0)
      const until = retry === "never" ? undefined : options.backAt?.(candidate)
      if (until === undefined) return
      asking.unavailable.set(candidate, { admitted: false, because: "cooling-down", until })
      asking.failedBefore.add(candidate)
    },

    takeRefused() {
      const { refused } = asking
      asking.refused = []
      asking.cheapest = undefined
      return refused
    },

    failure() {
      if (asking.called === 0 && asking.cheapest !== undefined && !mayComeBack(asking.unavailable)) {
        return new BudgetExceededError(asking.cheapest.refusal, asking.cheapest.quote)
      }
      if (isLedgerDown(lastError)) return lastError
      return (
        unaskable?.error ?? new CandidatesExhaustedError(attempts, lastError, soonest(asking.unavailable))
      )
    },
  }
  return asking
}

async function holdUnder<C extends DispatchCandidate, P>(
  pass: Pass | undefined,
  { hold }: DispatchOptions<C, P>,
  candidate: C,
): Promise<HoldOutcome> {
  if (hold === undefined) return { granted: true, hold: NOTHING_HELD }
  try {
    return await hold(candidate)
  } catch (error) {
    pass?.ended({ ended: "unsent" })
    throw error
  }
}

/** Epoch ms, when the first of them may be called; undefined: nobody knows. */
export function soonest(unavailable: ReadonlyMap<unknown, NotAdmitted>): number | undefined {
  const known = [...unavailable.values()].map(({ until }) => until).filter((until) => until !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

function mayComeBack(unavailable: ReadonlyMap<unknown, NotAdmitted>): boolean {
  return [...unavailable.values()].some(({ because }) => because !== "too-large")
}

function cheaper(one: Refused | undefined, other: Refused): Refused {
  return one === undefined || other.quote.money < one.quote.money ? other : one
}

/** Says more than that nobody answered. */
function isLedgerDown(error: unknown): boolean {
  return TierwiseError.find(error)?.code === "budget-unavailable"
}

const NOTHING_HELD: Hold = {
  id: undefined,
  keep: () => () => {},
  settle: async () => {},
  release: async () => {},
}

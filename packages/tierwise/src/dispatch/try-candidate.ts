import type { Attempt, FailureKind } from "../spec/dispatch.ts"
import { type BudgetExceededError, messageOf, TierwiseError } from "../spec/errors.ts"
import { type NanoUsd, ZERO_USD } from "../spec/money.ts"
import { NO_USAGE, type Usage } from "../spec/usage.ts"
import type { Deadline, DispatchCandidate, DispatchOptions, Hold, Pass, Refused } from "./dispatch-options.ts"
import { classifyFailure } from "./failures/classify-failure.ts"
import { mayBeBilled } from "./failures/failure-handling.ts"
import { retryAfterMs } from "./failures/retry-after.ts"
import { leaveInTime } from "./leave-in-time.ts"
import { newTry, type Try } from "./new-try.ts"
import type { Relay } from "./relay.ts"

/** The longest pause, ms, whatever the doubling or the provider says. */
export const MAX_RETRY_PAUSE_MS = 5_000

export const ANSWERED = "answered"

export type Ended =
  | typeof ANSWERED
  | {
      readonly failure: FailureKind
      readonly error: unknown
      /** False: the candidate's package would not even ask. */
      readonly wasSent: boolean
    }
  /** By a budget that others keep, such as a handler of the call's: nobody was asked. */
  | { readonly refused: Refused }

/**
 * All tries at one candidate, under one hold.
 *
 * @param admitted For the first of them.
 */
export async function* tryCandidate<C extends DispatchCandidate, P>(
  options: DispatchOptions<C, P>,
  candidate: C,
  hold: Hold,
  admitted: Pass | undefined,
  isLast: boolean,
  report: (attempt: Attempt) => void,
): AsyncGenerator<P, Ended, undefined> {
  const { settings, signal } = options
  const { now } = settings
  const heldBack = options.holdsBack?.(candidate) === true
  // At most one try under a hold costs anything: what may have been billed is not tried again under it.
  let spent: { readonly usage: Usage | undefined; readonly cost: NanoUsd } | undefined
  let current: Try<P> | undefined
  let pass = admitted
  const letGo = hold.keep(() => current?.goesOn() ?? false)
  try {
    for (let retry = 0; ; retry++) {
      const startedAt = now()
      const meter = options.meter?.(candidate)
      const tried = newTry(options, candidate, hold.id)
      current = tried
      let openedAt: number | undefined
      let finished = false
      let rest: Relay<P> | undefined
      let isWhole = options.finishes === undefined
      const see = (piece: P) => {
        meter?.see(piece)
        isWhole ||= options.finishes?.(candidate, piece) === true
      }
      const seeRest = () => {
        const taken = rest?.taken()
        if (taken !== undefined) see(taken)
      }
      const fail = (failure: FailureKind, error: unknown) => {
        finished = true
        seeRest()
        const isBillable =
          tried.wasSent() && (openedAt !== undefined || mayBeBilled(failure, error, settings.handling))
        const { usage, cost } = meter?.read("failed", isBillable) ?? NOTHING_READ
        if (usage !== undefined) spent = { usage, cost }
        const ms = now() - startedAt
        const isItsOwn = !tried.isOverdue() || hadItsTime(ms, openedAt, options.deadline)
        pass?.ended(tried.wasSent() ? { ended: "failed", failure, error, isItsOwn } : { ended: "unsent" })
        const base = attemptBase(candidate, startedAt, ms, hold.id)
        report({ ...base, outcome: "failed", failure, error: messageOf(error), cost, usage })
        return usage !== undefined
      }
      if (retry === 0) settings.retryBudget.called()
      options.onStart?.(candidate)
      try {
        let held: P[] = []
        for (let next = await tried.next(); !next.done; next = await tried.next()) {
          const piece = next.value
          see(piece)
          const opened = openedAt !== undefined || options.opens?.(piece) !== false
          if (opened) openedAt ??= tried.open()
          if (heldBack || !opened) {
            held.push(piece)
            continue
          }
          for (const earlier of held) yield earlier
          held = []
          yield piece
          if (options.handOver === undefined) continue
          rest = tried.handOver(options.handOver.join)
          yield options.handOver.pieceOf(rest)
          const ending = rest.ending()
          if (ending === undefined) throw new Error("the rest was not read to its end")
          if (ending.ended === "badly") throw ending.error
          seeRest()
          break
        }
        if (openedAt === undefined && held.length === 0) throw cutOff("the answer ended before it began")
        if (!isWhole) throw cutOff("the answer ended without a finish reason")
        const endedAt = now()
        const { usage, cost } = meter?.read("answered", false) ?? NOTHING_READ
        spent = { usage, cost }
        finished = true
        const firstPieceMs = (openedAt ?? endedAt) - startedAt
        pass?.ended({ ended: "answered", usage, firstPieceMs })
        report({
          ...attemptBase(candidate, startedAt, endedAt - startedAt, hold.id),
          outcome: "answered",
          usage: usage ?? NO_USAGE,
          cost,
          firstPieceMs,
        })
        // An answer of empty pieces only is an answer all the same: the validators will say what it is worth.
        for (const piece of held) yield piece
        return ANSWERED
      } catch (error) {
        if (finished) throw error
        const refused = openedAt === undefined ? refusalIn(error) : undefined
        if (refused !== undefined) {
          finished = true
          pass?.ended({ ended: "unsent" })
          const base = attemptBase(candidate, startedAt, now() - startedAt, hold.id)
          report({ ...base, outcome: "skipped", because: "unaffordable" })
          return { refused }
        }
        const failure = classifyFailure(error, tried.fired())
        const billed = fail(failure, error)
        const backAt = options.backAt?.(candidate)
        // Past the commit point the reader has seen words of this candidate: nobody else may continue them unmarked.
        if (openedAt !== undefined && !heldBack) throw error
        // A try that may have been billed has used up its hold: another one needs another hold.
        const wait = billed ? undefined : retryPause(failure, error, retry, isLast, options)
        if (wait === undefined) return { failure, error, wasSent: tried.wasSent() }
        await settings.pause(wait, signal)
        // Its own failure may have put it away; what others have found out since holds for this one too.
        if ((options.backAt?.(candidate) ?? 0) > (backAt ?? 0)) {
          return { failure, error, wasSent: tried.wasSent() }
        }
        const again = options.admit?.(candidate, true)
        const admission = again instanceof Promise ? await leaveInTime(again, signal) : again
        if (admission?.admitted === false) return { failure, error, wasSent: tried.wasSent() }
        pass = admission?.pass
      } finally {
        rest?.close()
        tried.close()
        // Neither answered nor failed: the reader walked away, and pays for what was made for it.
        if (!finished) fail("aborted", new Error("the reader stopped reading"))
      }
    }
  } finally {
    letGo()
    await (spent === undefined ? hold.release() : hold.settle(spent))
  }
}

/** Of a deadline that is long enough for an answer, so much may have gone to what came before. */
const FAIR_SHARE = 0.9

/** True if a deadline that cut it off says something of whoever was asked. */
function hadItsTime(ms: number, openedAt: number | undefined, deadline: Deadline | undefined): boolean {
  const fairMs = deadline?.fairMs
  return openedAt === undefined && fairMs !== undefined && ms >= FAIR_SHARE * fairMs
}

/** Undefined for any other error. */
function refusalIn(error: unknown): Refused | undefined {
  const found = TierwiseError.find(error)
  return found?.code === "budget-exceeded" ? (found as BudgetExceededError) : undefined
}

function cutOff(message: string): Error {
  return Object.assign(new Error(message), { name: "TruncatedError" })
}

/** How long to wait before the same candidate is tried again; undefined: not at all. */
function retryPause(
  failure: FailureKind,
  error: unknown,
  retriesSoFar: number,
  isLast: boolean,
  { settings, deadline }: Pick<DispatchOptions<never, never>, "settings" | "deadline">,
): number | undefined {
  const { maxRetries, retryBaseMs, random, now, retryBudget, handling } = settings
  const { retry } = handling[failure]
  if (retry === "never" || retriesSoFar >= maxRetries || (retry === "if-last" && !isLast)) return undefined
  const asked = retryAfterMs(error, now())
  // Who asks for a pause gets it: somebody else may answer at once.
  if (asked !== undefined && (asked > MAX_RETRY_PAUSE_MS || !isLast)) return undefined
  const pauseMs = asked ?? random() * Math.min(retryBaseMs * 2 ** retriesSoFar, MAX_RETRY_PAUSE_MS)
  // Nobody waits for what would come too late.
  if (deadline !== undefined && now() + pauseMs >= deadline.at) return undefined
  return retryBudget.take() ? pauseMs : undefined
}

type AttemptBase = Pick<Attempt, "deploymentId" | "tier" | "startedAt" | "durationMs" | "holdId">

export function attemptBase(
  { deploymentId, tier }: DispatchCandidate,
  startedAt: number,
  durationMs: number,
  holdId?: string,
): AttemptBase {
  return { deploymentId, tier, startedAt, durationMs, ...(holdId !== undefined && { holdId }) }
}

const NOTHING_READ: { readonly usage: Usage | undefined; readonly cost: NanoUsd } = {
  usage: undefined,
  cost: ZERO_USD,
}

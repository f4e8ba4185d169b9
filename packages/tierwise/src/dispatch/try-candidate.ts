import type { Attempt, FailureKind } from "../spec/dispatch.ts"
import { type BudgetExceededError, messageOf, TierwiseError } from "../spec/errors.ts"
import { type NanoUsd, ZERO_USD } from "../spec/money.ts"
import { NO_USAGE, type Usage } from "../spec/usage.ts"
import { classifyFailure, retryAfterMs } from "./classify-failure.ts"
import type {
  DispatchCandidate,
  DispatchOptions,
  DispatchSettings,
  Hold,
  Refused,
} from "./dispatch-options.ts"
import { FAILURE_HANDLING, mayBeBilled } from "./failure-handling.ts"
import { type Relay, relay } from "./relay.ts"
import { withSignal } from "./with-signal.ts"

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

/** All tries at one candidate, under one hold. */
export async function* tryCandidate<C extends DispatchCandidate, P>(
  options: DispatchOptions<C, P>,
  candidate: C,
  hold: Hold,
  isLast: boolean,
  report: (attempt: Attempt) => void,
): AsyncGenerator<P, Ended, undefined> {
  const { settings, signal } = options
  const { now } = settings
  const heldBack = options.holdsBack?.(candidate) === true
  // At most one try under a hold costs anything: what may have been billed is not tried again under it.
  let spent: { readonly usage: Usage | undefined; readonly cost: NanoUsd } | undefined
  let current: ReturnType<typeof newTry<C, P>> | undefined
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
      const seeRest = () => {
        const taken = rest?.taken()
        if (taken !== undefined) meter?.see(taken)
      }
      const fail = (failure: FailureKind, error: unknown) => {
        finished = true
        seeRest()
        const isBillable = tried.wasSent() && (openedAt !== undefined || mayBeBilled(failure, error))
        const { usage, cost } = meter?.read("failed", isBillable) ?? NOTHING_READ
        if (usage !== undefined) spent = { usage, cost }
        const base = attemptBase(candidate, startedAt, now() - startedAt, hold.id)
        report({ ...base, outcome: "failed", failure, error: messageOf(error), cost, usage })
        return usage !== undefined
      }
      options.onStart?.(candidate)
      try {
        let held: P[] = []
        for (let next = await tried.next(); !next.done; next = await tried.next()) {
          const piece = next.value
          meter?.see(piece)
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
        if (openedAt === undefined && held.length === 0) throw endedSilently()
        const endedAt = now()
        const { usage, cost } = meter?.read("answered", false) ?? NOTHING_READ
        spent = { usage, cost }
        finished = true
        report({
          ...attemptBase(candidate, startedAt, endedAt - startedAt, hold.id),
          outcome: "answered",
          usage: usage ?? NO_USAGE,
          cost,
          firstPieceMs: (openedAt ?? endedAt) - startedAt,
        })
        // An answer of empty pieces only is an answer all the same: the validators will say what it is worth.
        for (const piece of held) yield piece
        return ANSWERED
      } catch (error) {
        if (finished) throw error
        const refused = openedAt === undefined ? refusalIn(error) : undefined
        if (refused !== undefined) {
          finished = true
          const base = attemptBase(candidate, startedAt, now() - startedAt, hold.id)
          report({ ...base, outcome: "skipped", because: "unaffordable" })
          return { refused }
        }
        const failure = classifyFailure(error, tried.fired())
        const billed = fail(failure, error)
        // Past the commit point the reader has seen words of this candidate: nobody else may continue them unmarked.
        if (openedAt !== undefined && !heldBack) throw error
        // A try that may have been billed has used up its hold: another one needs another hold.
        const wait = billed ? undefined : retryPause(failure, error, retry, isLast, settings)
        if (wait === undefined) return { failure, error, wasSent: tried.wasSent() }
        await settings.pause(wait, signal)
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

/** Undefined for any other error. */
function refusalIn(error: unknown): Refused | undefined {
  const found = TierwiseError.find(error)
  return found?.code === "budget-exceeded" ? (found as BudgetExceededError) : undefined
}

/** One call with its own time-out until the answer opens. */
function newTry<C extends DispatchCandidate, P>(
  options: DispatchOptions<C, P>,
  candidate: C,
  holdId: string | undefined,
) {
  const { call, signal, settings, isProvider } = options
  const { attemptTimeoutMs, now } = settings
  const timeout = attemptTimeoutMs === undefined ? undefined : new AbortController()
  const timer = timeout && setTimeout(() => timeout.abort(timeoutError(attemptTimeoutMs)), attemptTimeoutMs)
  const both = timeout && signal ? AbortSignal.any([signal, timeout.signal]) : (timeout?.signal ?? signal)
  let pieces: AsyncIterator<P> | undefined
  let rest: Relay<P> | undefined
  let isAsked = false
  let moved = false
  return {
    async next(): Promise<IteratorResult<P>> {
      both?.throwIfAborted()
      pieces ??= call(candidate, both, holdId)[Symbol.asyncIterator]()
      isAsked = true
      moved = true
      try {
        return await withSignal(pieces.next(), both)
      } finally {
        isAsked = false
      }
    },
    /** Whether the provider is at work, or its reader has read on since this was asked last. */
    goesOn(): boolean {
      const since = moved || isAsked || rest?.goesOn() === true
      moved = false
      return since
    },
    handOver(join: (pieces: readonly P[]) => P): Relay<P> {
      rest = relay(pieces as AsyncIterator<P>, join, both)
      return rest
    },
    /** The answer has begun, and may take its time from here on. */
    open(): number {
      clearTimeout(timer)
      return now()
    },
    fired: () => ({
      callerAborted: signal?.aborted ?? false,
      timedOut: timeout?.signal.aborted ?? false,
      fromProvider: pieces !== undefined && isProvider?.(candidate) === true,
    }),
    /** False while nothing has left this process: then nobody can bill it. */
    wasSent: () => pieces !== undefined,
    close(): void {
      clearTimeout(timer)
      // An aborted model closes its run only when it is asked for more.
      if (both?.aborted === true) void pieces?.next().catch(() => {})
      // A generator that is busy answers `return` only when it is done: the signal ends it, nobody waits for it.
      void Promise.resolve(pieces?.return?.()).catch(() => {})
    },
  }
}

function timeoutError(ms: number | undefined): Error {
  return Object.assign(new Error(`no answer began within ${ms} ms`), { name: "TimeoutError" })
}

function endedSilently(): Error {
  return Object.assign(new Error("the answer ended before it began"), { name: "TruncatedError" })
}

/** How long to wait before the same candidate is tried again; undefined: not at all. */
function retryPause(
  failure: FailureKind,
  error: unknown,
  retriesSoFar: number,
  isLast: boolean,
  { maxRetries, retryBaseMs, random, now }: DispatchSettings,
): number | undefined {
  const { retry } = FAILURE_HANDLING[failure]
  if (retry === "never" || retriesSoFar >= maxRetries || (retry === "if-last" && !isLast)) return undefined
  const asked = retryAfterMs(error, now())
  if (asked !== undefined) return asked <= MAX_RETRY_PAUSE_MS ? asked : undefined
  return random() * Math.min(retryBaseMs * 2 ** retriesSoFar, MAX_RETRY_PAUSE_MS)
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

import type { InvoiceLine } from "@tierwise/simulator"
import { quantile } from "simple-statistics"
import type { Attempt } from "tierwise"
import { rounded } from "../bench.ts"
import type { Played } from "./play.ts"
import type { HeldMoney, Tried } from "./world.ts"

/**
 * What was known of a call when it was booked.
 * - `reported`: its usage. The booking is the bill, to the nano-dollar.
 * - `seen`: words, and no usage. An estimate.
 * - `unseen`: that it was sent. The quote is booked, which no bill exceeds.
 * - `unbilled`: that nobody can bill it.
 */
export type Known = "reported" | "seen" | "unseen" | "unbilled"

/** One hold with all that was tried under it, beside the lines of the bill that carry its id. */
export interface Account {
  readonly kind: string
  /** What tells calls of the kind apart; "" for most. */
  readonly detail: string
  readonly known: Known
  readonly holdId: string
  /** NanoUsd. */
  readonly booked: number
  readonly billed: number
}

export function accountsOf(
  tried: readonly Tried[],
  held: ReadonlyMap<string, HeldMoney>,
  lines: readonly InvoiceLine[],
): readonly Account[] {
  const byHold = Map.groupBy(tried, ({ attempt }) => attempt.holdId)
  const billed = new Map<string, number>()
  for (const { requestId, costNanoUsd } of lines)
    billed.set(requestId, (billed.get(requestId) ?? 0) + costNanoUsd)
  return [...byHold].flatMap(([holdId, tries]) => {
    if (holdId === undefined) return []
    const attempts = tries.map(({ attempt }) => attempt)
    const [kind = "", detail = ""] = tries[0]?.purpose.split("/") ?? []
    return {
      kind,
      detail,
      known: knownOf(attempts, held.get(holdId)),
      holdId,
      booked: attempts.reduce((sum, attempt) => sum + costOf(attempt), 0),
      billed: billed.get(holdId) ?? 0,
    }
  })
}

export function costOf(attempt: Attempt): number {
  return attempt.outcome === "skipped" ? 0 : attempt.cost
}

function knownOf(attempts: readonly Attempt[], hold: HeldMoney | undefined): Known {
  const counted = attempts.filter(
    (attempt) => attempt.outcome !== "skipped" && attempt.usage !== undefined,
  ) as readonly Extract<Attempt, { outcome: "answered" }>[]
  if (counted.length === 0) return "unbilled"
  if (counted.every(({ usage }) => !usage.estimated)) return "reported"
  return counted.some(({ cost }) => cost === hold?.quote.money) ? "unseen" : "seen"
}

/** What a bill of one kind of call, known as well as this, adds up to. */
export interface ClassFigures {
  readonly calls: number
  readonly billedUsd: number
  readonly bookedUsd: number
  /** Booked ÷ billed, of the sums. */
  readonly ratio: number | null
  /** Calls that are not the same to the nano-dollar. */
  readonly different: number
  /** Calls for which less was booked than billed. */
  readonly below: number
  /** Booked ÷ billed of each call. Absent where every call is the same. */
  readonly p10?: number
  readonly p50?: number
  readonly p90?: number
}

export function figuresOf(accounts: readonly Account[]): ClassFigures {
  const sum = (of: (account: Account) => number) =>
    accounts.reduce((total, account) => total + of(account), 0)
  const [booked, billed] = [sum((account) => account.booked), sum((account) => account.billed)]
  const different = accounts.filter((account) => account.booked !== account.billed).length
  const ratios = accounts.filter((account) => account.billed > 0).map((each) => each.booked / each.billed)
  return {
    calls: accounts.length,
    billedUsd: billed / 1e9,
    bookedUsd: booked / 1e9,
    ratio: billed === 0 ? null : rounded(booked / billed),
    different,
    below: accounts.filter((account) => account.booked < account.billed).length,
    ...(different > 0 && ratios.length > 0 && spreadOf(ratios)),
  }
}

function spreadOf(ratios: readonly number[]) {
  const [p10, p50, p90] = [0.1, 0.5, 0.9].map((p) => rounded(quantile([...ratios], p))) as [
    number,
    number,
    number,
  ]
  return { p10, p50, p90 }
}

/** How far the accounts are from the ledger and the bill, where nothing may be. */
export interface Differences {
  /** Lines with a price whose call nobody has an attempt for. */
  readonly linesWithoutBooking: number
  /** NanoUsd billed for what was booked as not billed. */
  readonly billedButNotBooked: number
  /** NanoUsd between the ledger's sum and that of the attempts. */
  readonly ledgerMinusAttempts: number
  /** Holds that were settled at another amount than their attempts say, or not closed. */
  readonly holdsAstray: number
}

export function differencesOf({ accounts, lines, held, ledger, attempted }: Played): Differences {
  const booked = new Map(accounts.map((account) => [account.holdId, account.booked]))
  return {
    linesWithoutBooking: lines.filter((line) => line.costNanoUsd > 0 && !booked.has(line.requestId)).length,
    billedButNotBooked: accounts
      .filter(({ known }) => known === "unbilled")
      .reduce((sum, { billed }) => sum + billed, 0),
    ledgerMinusAttempts: ledger.spent - attempted,
    holdsAstray: [...held].filter(([id, { closed, settled }]) => {
      return !closed || (settled?.money ?? 0) !== (booked.get(id) ?? 0)
    }).length,
  }
}

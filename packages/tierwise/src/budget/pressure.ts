import type { BudgetStatus } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import type { BudgetPressure } from "../spec/policy.ts"

/** When calls go to cheaper tiers although the money for better ones is still there. Limits of tokens do not count. */
export interface PressureOptions {
  /**
   * Share of a limit, spent and held, in (0, 1], from which on calls go one tier lower; of several rising shares each takes
   * one tier more. Default: none.
   */
  readonly downgradeAt?: number | readonly number[] | undefined
  /**
   * Spreads a window's money over the window. Where more is spent and held than the window's elapsed share of its limit,
   * plus a slack that shrinks with the time left, calls go one tier lower; for every further slack one more. Default: off.
   */
  readonly pace?: PaceOptions | true | undefined
}

export interface PaceOptions {
  /** Windows that are paced. Default: months. */
  readonly windows?: readonly ("day" | "week" | "month")[] | undefined
  /**
   * Share of the limit by which spending may be ahead of time when the window begins, in (0, 1). Default 0.05, a day and a
   * half of a month.
   */
  readonly slack?: number | undefined
}

/** How far down a call has to go for the sake of its budgets; undefined: not at all. */
export type PressureGauge = (statuses: readonly BudgetStatus[], at: number) => BudgetPressure | undefined

const SLACK = 0.05

/** More than anybody has. */
const MOST_TIERS = 100

/**
 * Of all limits a call falls under the one that presses most counts. Undefined: these options never press.
 * @throws ConfigError for shares that are none.
 */
export function pressureGauge({ downgradeAt, pace }: PressureOptions): PressureGauge | undefined {
  const shares = checkedShares(downgradeAt)
  const pacing = pace === undefined ? undefined : checkedPace(pace === true ? {} : pace)
  if (shares.length === 0 && pacing === undefined) return undefined
  return (statuses, at) => {
    let most: BudgetPressure | undefined
    for (const status of statuses) {
      // Weaker tiers are cheaper; they do not use fewer tokens.
      if (status.unit !== "NanoUsd") continue
      for (const pressure of [nearLimit(status, shares), aheadOfTime(status, at, pacing)]) {
        if (pressure !== undefined && pressure.tiersDown > (most?.tiersDown ?? 0)) most = pressure
      }
    }
    return most
  }
}

function nearLimit(status: BudgetStatus, shares: readonly number[]): BudgetPressure | undefined {
  const used = usedOf(status)
  const tiersDown = shares.filter((share) => used >= share).length
  if (tiersDown === 0) return undefined
  return { tiersDown, because: `${percent(used)} of the ${status.window} budget of ${status.scope} is used` }
}

function aheadOfTime(
  status: BudgetStatus,
  at: number,
  pacing: Pacing | undefined,
): BudgetPressure | undefined {
  const { window, startedAt, resetsAt } = status
  if (pacing === undefined || startedAt === undefined || resetsAt === undefined) return undefined
  if (!pacing.windows.includes(window)) return undefined
  // Two clocks may differ: at a window's end the store's may be in the next one already, or not yet.
  const elapsed = Math.max(0, (at - startedAt) / (resetsAt - startedAt))
  if (elapsed >= 1) return undefined
  const used = usedOf(status)
  // The slack is for the time that is left: at the window's end there is nothing to be ahead of.
  const slack = pacing.slack * (1 - elapsed)
  // A float's last bits do not make a step.
  const tiersDown = Math.min(Math.floor((used - elapsed) / slack + 1e-9), MOST_TIERS)
  if (tiersDown < 1) return undefined
  const because = `${percent(used)} of the ${window} budget of ${status.scope} is used after ${percent(elapsed)} of the ${window}`
  return { tiersDown, because }
}

interface Pacing {
  readonly windows: readonly string[]
  readonly slack: number
}

function usedOf({ spent, held, limit }: BudgetStatus): number {
  return (spent + held) / limit
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

function checkedShares(given: number | readonly number[] | undefined): readonly number[] {
  const shares = typeof given === "number" ? [given] : (given ?? [])
  shares.forEach((share, index) => {
    if (typeof share === "number" && share > (shares[index - 1] ?? 0) && share <= 1) return
    const fix = "give rising shares of the limit above 0, at most 1, e.g. 0.8"
    throw new ConfigError("underPressure.downgradeAt", `${share} is not a rising share`, fix)
  })
  return shares
}

function checkedPace({ windows = ["month"], slack = SLACK }: PaceOptions): Pacing {
  const known = ["day", "week", "month"]
  const unknown = windows.find((window) => !known.includes(window))
  if (unknown !== undefined || windows.length === 0) {
    const problem = unknown === undefined ? "none is named" : `"${unknown}" cannot be paced`
    throw new ConfigError("underPressure.pace.windows", problem, `use some of ${known.join(", ")}`)
  }
  if (typeof slack === "number" && slack > 0 && slack < 1) return { windows, slack }
  const fix = "give a share of the limit between 0 and 1, e.g. 0.05"
  throw new ConfigError("underPressure.pace.slack", `${slack} is no slack`, fix)
}

import type { Seen } from "./story.ts"

export interface Judgement {
  readonly grants: number
  readonly refusals: number
  /** Grants at which more was certainly spent and held than the limit allows. */
  readonly broken: number
  /** Refusals at which the amount certainly would have fitted. */
  readonly needless: number
  /** Sum of what was spent, and of what went beyond its hold. */
  readonly spent: number
  readonly overrun: number
}

/**
 * Judges a ledger from outside, by what its users saw. A step took place somewhere between the moment it was asked for and
 * the moment it was answered; of another hold only that counts which must (or, against a refusal, could) have been there
 * at any such moment. So a finding is certain, whatever the order of the steps in between.
 */
export function judge(seen: readonly Seen[], limit: number): Judgement {
  const grants = seen.filter(({ granted }) => granted)
  const refusals = seen.filter(({ granted }) => !granted)
  let [broken, needless] = [0, 0]
  for (const grant of grants) {
    let least = grant.amount
    for (const other of grants) if (other !== grant) least += surelyUsed(other, grant)
    if (least > limit) broken++
  }
  for (const refusal of refusals) {
    let most = refusal.amount
    for (const grant of grants) most += perhapsUsed(grant, refusal)
    if (most <= limit || refusal.remaining >= refusal.amount) needless++
  }
  const spent = grants.reduce((sum, { actual }) => sum + actual, 0)
  const overrun = grants.reduce((sum, { actual, amount }) => sum + Math.max(0, actual - amount), 0)
  return { grants: grants.length, refusals: refusals.length, broken, needless, spent, overrun }
}

function surelyUsed(hold: Seen, step: Seen): number {
  if (hold.answeredAt >= step.askedAt) return 0
  if (hold.closedAt < step.askedAt) return hold.actual
  if (hold.closedFrom > step.answeredAt) return hold.amount
  return Math.min(hold.amount, hold.actual)
}

function perhapsUsed(hold: Seen, step: Seen): number {
  if (hold.askedAt > step.answeredAt) return 0
  if (hold.closedAt < step.askedAt) return hold.actual
  return hold.closedFrom > step.answeredAt ? hold.amount : Math.max(hold.amount, hold.actual)
}

import type { AfterRefusal, Refused } from "../dispatch/dispatch-options.ts"
import { isControlFlow } from "../dispatch/failures/classify-failure.ts"
import { withSignal } from "../dispatch/with-signal.ts"
import type { Candidate } from "../spec/catalog.ts"
import { BudgetExceededError, messageOf } from "../spec/errors.ts"
import type { RoutingDecision } from "../spec/policy.ts"
import type { RouterParts } from "./router-parts.ts"
import { here, type Walk } from "./walk.ts"

/** What follows when the budget has refused somebody who should answer, and nobody has answered. */
export interface AfterRefusals {
  ask(refused: Refused): Promise<AfterRefusal>
  /** Told whom the money is held for. The first one after a downgrade puts it on the record. */
  started(candidate: Candidate): void
}

export interface Decided {
  readonly decision: RoutingDecision
  /** Those of its candidates that are weaker than the decision. */
  readonly weaker: readonly Candidate[]
}

export function weakerThan(
  { tier }: RoutingDecision,
  candidates: readonly Candidate[],
  { tiers }: RouterParts,
): readonly Candidate[] {
  const decided = tiers.indexOf(tier)
  return candidates.filter(({ deployment }) => tiers.indexOf(deployment.tier) < decided)
}

export function askAfterRefusal(
  { whenRefused }: RouterParts,
  walk: Walk,
  { decision, weaker }: Decided,
): AfterRefusals {
  const { record, request, invocation } = walk
  // In the middle of a tool loop another model would have to go on with what it has not begun.
  const canDowngrade = weaker.length > 0 && !walk.planned.plan.features.toolResultsPending
  let unrecorded: RoutingDecision | undefined

  async function answerTo(refused: Refused): Promise<AfterRefusal> {
    if (typeof whenRefused !== "function") return whenRefused
    const { within = here } = invocation
    const { id } = record
    const question = { ...refused, id, scopes: request.scopes ?? {}, tier: decision.tier, canDowngrade }
    try {
      const answer = await withSignal(
        within(async () => whenRefused(question)),
        invocation.signal,
      )
      if (ANSWERS.includes(answer)) return answer
      throw new TypeError(`${JSON.stringify(answer)} is none of ${ANSWERS.join(", ")}`)
    } catch (error) {
      if (invocation.signal?.aborted === true || isControlFlow(error)) throw error
      record.problem({ room: "budget", error: `underPressure.whenRefused: ${messageOf(error)}` })
      return "block"
    }
  }

  return {
    async ask(refused) {
      // A poor answer is in hand, and beats whatever a weaker model could add to it.
      if (decision.reason === "escalated") return "block"
      const answer = await answerTo(refused)
      if (answer !== "downgrade" || !canDowngrade) return answer === "downgrade" ? "block" : answer
      const because = new BudgetExceededError(refused.refusal, refused.quote).message
      unrecorded = { ...decision, reason: "downgraded", because, ceiling: decision.tier }
      walk.lowerCeiling(decision.tier)
      return "downgrade"
    },
    started({ deployment: { tier } }) {
      if (unrecorded !== undefined) record.downgraded({ ...unrecorded, tier })
      unrecorded = undefined
    },
  }
}

const ANSWERS: readonly AfterRefusal[] = ["block", "downgrade", "ask-again"]

import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { RouterParts } from "../route/router-parts.ts"
import { createHall } from "../route.ts"
import type { RouterChatModel } from "../router-chat-model.ts"
import type { BudgetStore } from "../spec/budget.ts"
import type { Estimator } from "../spec/complexity.ts"
import type { Scopes } from "../spec/request.ts"
import { bothBudgets } from "./both-budgets.ts"

/** Makes models hold their money, whoever brings them in. */
export interface Holder {
  hold(model: unknown): Promise<BaseChatModel>
}

const HELD = Symbol.for("tierwise.held")

/** What is known of a model that holds its money: by whom it was made to, and which model it was before. */
export interface Held {
  readonly holder: Holder
  readonly origin: unknown
}

/** Undefined for a model that nobody has made to hold. */
export function heldBy(model: unknown): Held | undefined {
  return (model as { readonly [HELD]?: Held } | null | undefined)?.[HELD]
}

export function markHeld<M extends object>(model: M, held: Held): M {
  return Object.defineProperty(model, HELD, { value: held, enumerable: true })
}

/** An estimator that spends money itself. */
export interface SpendingEstimator extends Estimator {
  heldIn(budget: BudgetStore): Estimator
}

/** A router's own parts, which its type keeps to itself. */
interface Inside {
  parts: RouterParts
  hall: ReturnType<typeof createHall>
}

/** Makes routers hold each attempt's money in `budget` too, beside the budget they have. */
export type HoldIn = (router: RouterChatModel, scopes: Scopes) => RouterChatModel

/** A maker that keeps what it has made: a run's calls share one hall per router. */
export function holdIn(budget: BudgetStore): HoldIn {
  const known = new WeakMap<RouterParts, Inside>()
  return (router, scopes) => {
    const clone = router.withConfig({ scopes })
    const { parts } = clone as unknown as Inside
    let inside = known.get(parts)
    if (inside === undefined) {
      inside = insideWith(parts, budget)
      known.set(parts, inside)
    }
    return Object.assign(clone, inside)
  }
}

function insideWith(parts: RouterParts, budget: BudgetStore): Inside {
  const { estimator } = parts
  const held: RouterParts = {
    ...parts,
    budget: parts.budget === undefined ? budget : bothBudgets(budget, parts.budget),
    estimator: spends(estimator) ? estimator.heldIn(budget) : estimator,
  }
  return { parts: held, hall: createHall(held) }
}

function spends(estimator: Estimator): estimator is SpendingEstimator {
  return "heldIn" in estimator
}

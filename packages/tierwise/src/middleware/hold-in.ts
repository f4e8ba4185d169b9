import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { RouterParts } from "../route/router-parts.ts"
import { createHall } from "../route.ts"
import { inRooms, type Rooms, type RouterChatModel, roomsOf } from "../router-chat-model.ts"
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

/** Told of each answer that was held for. */
export type OnAnswered = (run: string, recordId: string) => void

/** Makes routers hold each attempt's money in `budget` too, beside the budget they have. */
export type HoldIn = (router: RouterChatModel, scopes: Scopes) => RouterChatModel

/** A maker that keeps what it has made: a run's calls share one hall per router. */
export function holdIn(budget: BudgetStore, onAnswered: OnAnswered = () => {}): HoldIn {
  const known = new WeakMap<RouterParts, Rooms>()
  return (router, scopes) => {
    const { parts } = roomsOf(router)
    let rooms = known.get(parts)
    if (rooms === undefined) {
      const held = partsWith(parts, budget, onAnswered)
      rooms = { parts: held, hall: createHall(held) }
      known.set(parts, rooms)
    }
    return inRooms(router.withConfig({ scopes }), rooms)
  }
}

function partsWith(parts: RouterParts, budget: BudgetStore, onAnswered: OnAnswered): RouterParts {
  const { estimator } = parts
  return {
    ...parts,
    budget: parts.budget === undefined ? budget : bothBudgets(budget, parts.budget),
    observers: [
      ...parts.observers,
      {
        on(event) {
          if (event.type !== "request-ended" || event.record.answeredBy === undefined) return
          onAnswered(event.record.scopes["run"] ?? "", event.id)
        },
      },
    ],
    estimator: spends(estimator) ? estimator.heldIn(budget) : estimator,
  }
}

function spends(estimator: Estimator): estimator is SpendingEstimator {
  return "heldIn" in estimator
}

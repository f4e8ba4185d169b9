import type { BudgetStore } from "../spec/budget.ts"
import { type BudgetOptions, ledger } from "./ledger.ts"
import { memoryEngine } from "./memory-engine.ts"

export type MemoryBudgetOptions = BudgetOptions

/**
 * A budget in this process's memory: gone with the process, and not shared with another. At every grant, spent + held ≤
 * limit in every scope.
 *
 * A hold that expires is booked at its quote as `unconfirmed`: a lost call may have been billed. A settlement or a
 * release that still arrives corrects it.
 *
 * With a limit of the scope `request` it keeps about 300 bytes for each request of the last hour.
 *
 * @throws ConfigError for a limit that is negative, fractional in tokens, empty, or given twice; an unknown zone.
 */
export function memoryBudget(options: MemoryBudgetOptions): BudgetStore {
  return ledger(memoryEngine(`memory:${crypto.randomUUID()}`, options.now ?? Date.now), options)
}

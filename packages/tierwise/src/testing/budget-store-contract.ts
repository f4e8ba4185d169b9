import { closingCases } from "./budget-store-contract-closings.ts"
import { holdCases } from "./budget-store-contract-holds.ts"
import { identityCases } from "./budget-store-contract-identity.ts"
import { inputCases } from "./budget-store-contract-inputs.ts"
import type { MakeBudget } from "./budget-store-contract-subject.ts"
import { warningCases } from "./budget-store-contract-warnings.ts"
import { windowCases } from "./budget-store-contract-windows.ts"
import type { ContractCase } from "./contract.ts"

/**
 * What every `BudgetStore` must do, wherever it keeps its money. Each case asks for a fresh store with limits and a clock
 * of its own, and closes it; the cases may run side by side.
 *
 * @example
 * const make: MakeBudget = (options) => redisBudget({ ...options, client, ledger: crypto.randomUUID() })
 * for (const { name, run } of budgetStoreContract(make)) it(name, run)
 */
export function budgetStoreContract(make: MakeBudget): readonly ContractCase[] {
  const kinds = [holdCases, closingCases, windowCases, warningCases, inputCases, identityCases]
  return kinds.flatMap((casesOf) => casesOf(make))
}

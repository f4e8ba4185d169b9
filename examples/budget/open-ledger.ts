import type { BudgetStore, BudgetWarning } from "tierwise"
import { sqliteBudget } from "tierwise/sqlite"

/** What every program of this machine opens: one file, the same limits. Others than the file's would be refused. */
export function openLedger(path: string, onWarning?: (warning: BudgetWarning) => void): BudgetStore {
  return sqliteBudget({
    path,
    limits: [
      { scope: "tenant", window: "month", usd: 0.01, warnAt: [0.8] },
      { scope: "global", window: "month", usd: 1 },
    ],
    onWarning,
  })
}

import { Pool } from "pg"
import type { BudgetLimit } from "tierwise"
import { postgresBudget } from "tierwise/postgres"
import { report, type Spending, type Spent, spend } from "./ledger-spender.ts"

export interface Order extends Spending {
  readonly url: string
  readonly schema: string
  readonly ledger: string
  readonly limits: readonly BudgetLimit[]
}

process.once("message", (order: Order) => void carryOut(order).then(report))

async function carryOut({ url, schema, ledger, limits, ...spending }: Order): Promise<Spent> {
  const pool = new Pool({ connectionString: url, max: 4 })
  const spent = await spend(postgresBudget({ client: pool, schema, ledger, limits }), spending)
  await pool.end()
  return spent
}

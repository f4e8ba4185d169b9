import { Redis } from "ioredis"
import type { BudgetLimit } from "tierwise"
import { redisBudget } from "tierwise/redis"
import { report, type Spending, type Spent, spend } from "./ledger-spender.ts"

export interface Order extends Spending {
  readonly url: string
  readonly ledger: string
  readonly limits: readonly BudgetLimit[]
}

process.once("message", (order: Order) => void carryOut(order).then(report))

async function carryOut({ url, ledger, limits, ...spending }: Order): Promise<Spent> {
  const client = new Redis(url)
  const spent = await spend(redisBudget({ client, ledger, limits, timeoutMs: 20_000 }), spending)
  client.disconnect()
  return spent
}

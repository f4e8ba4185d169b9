import { Pool } from "pg"
import { type Amount, type BudgetLimit, nanoUsd } from "tierwise"
import { postgresBudget } from "tierwise/postgres"

/** What one of several processes on one ledger is told to do. */
export interface Order {
  readonly url: string
  readonly schema: string
  readonly ledger: string
  readonly limits: readonly BudgetLimit[]
  readonly name: string
  readonly calls: number
}

/** What it did, NanoUsd. */
export interface Report {
  readonly granted: number
  readonly spent: number
  readonly held: number
}

/** Holds of 1 to 20 NanoUsd. Of five one stays open, one is released, and three cost half. */
process.once("message", (order: Order) => void reportOn(order))

async function reportOn(order: Order): Promise<void> {
  process.send?.(await carryOut(order))
  process.disconnect()
}

async function carryOut({ url, schema, ledger, limits, name, calls }: Order): Promise<Report> {
  const pool = new Pool({ connectionString: url, max: 4 })
  const store = postgresBudget({ client: pool, schema, ledger, limits })
  const report = { granted: 0, spent: 0, held: 0 }
  await Promise.all(
    Array.from({ length: calls }, async (_, index) => {
      const [id, quote] = [`${name}-${index}`, 1 + ((index * 7) % 20)]
      const { granted } = await store.reserve({ id, scopes: { tenant: "acme" }, amount: amount(quote) })
      if (!granted) return
      report.granted++
      if (index % 5 === 0) {
        report.held += quote
        return
      }
      if (index % 5 === 1) {
        await store.release(id)
        return
      }
      const cost = Math.floor(quote / 2)
      report.spent += cost
      await store.settle(id, amount(cost))
    }),
  )
  await pool.end()
  return report
}

function amount(money: number): Amount {
  return { money: nanoUsd(money), tokens: 0 }
}

import { Redis } from "ioredis"
import { type Amount, type BudgetLimit, nanoUsd } from "tierwise"
import { redisBudget } from "tierwise/redis"

/** What one of several processes on one ledger is told to do. */
export interface Order {
  readonly url: string
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

async function carryOut({ url, ledger, limits, name, calls }: Order): Promise<Report> {
  const client = new Redis(url)
  const store = redisBudget({ client, ledger, limits, timeoutMs: 20_000 })
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
  client.disconnect()
  return report
}

function amount(money: number): Amount {
  return { money: nanoUsd(money), tokens: 0 }
}

import { type Amount, type BudgetStore, nanoUsd } from "tierwise"

/** What one of several processes on one ledger is told to do. */
export interface Spending {
  readonly name: string
  readonly calls: number
}

/** What it did, NanoUsd. */
export interface Spent {
  readonly granted: number
  readonly spent: number
  readonly held: number
}

/** Holds of 1 to 20 NanoUsd, all at once. Of five one stays open, one is released, and three cost half. */
export async function spend(store: BudgetStore, { name, calls }: Spending): Promise<Spent> {
  const done = { granted: 0, spent: 0, held: 0 }
  await Promise.all(
    Array.from({ length: calls }, async (_, index) => {
      const [id, quote] = [`${name}-${index}`, 1 + ((index * 7) % 20)]
      const { granted } = await store.reserve({ id, scopes: { tenant: "acme" }, amount: amount(quote) })
      if (!granted) return
      done.granted++
      if (index % 5 === 0) {
        done.held += quote
        return
      }
      if (index % 5 === 1) {
        await store.release(id)
        return
      }
      const cost = Math.floor(quote / 2)
      done.spent += cost
      await store.settle(id, amount(cost))
    }),
  )
  return done
}

/** Gives its parent the report, and ends. */
export function report(spent: Spent): void {
  process.send?.(spent)
  process.disconnect()
}

function amount(money: number): Amount {
  return { money: nanoUsd(money), tokens: 0 }
}

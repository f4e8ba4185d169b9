import { type BudgetLimit, nanoUsd } from "tierwise"
import { sqliteBudget } from "tierwise/sqlite"

/** What one of several processes on one file is told to do. */
export interface Order {
  readonly path: string
  readonly limits: readonly BudgetLimit[]
  readonly name: string
  /** How many holds of 1 to 20 NanoUsd it asks for, `inFlight` at once. */
  readonly calls: number
  readonly inFlight: number
}

/** One finished call, NanoUsd. */
export interface Told {
  readonly id: string
  readonly quoted: number
  readonly granted: boolean
  /** What was settled; undefined: the hold stays open. */
  readonly actual: number | undefined
}

process.once("message", (order: Order) => void work(order))

/** Of five holds one stays open, one is released, and three cost half. Each is told of as soon as it is answered. */
async function work({ path, limits, name, calls, inFlight }: Order): Promise<void> {
  const store = sqliteBudget({ path, limits, lockTimeoutMs: 20_000 })
  let next = 0
  const callAfterCall = async () => {
    while (next < calls) {
      const index = next++
      const [id, quoted] = [`${name}-${index}`, 1 + ((index * 7) % 20)]
      const { granted } = await store.reserve({ id, scopes: { tenant: "acme" }, amount: amount(quoted) })
      const staysOpen = !granted || index % 5 === 0
      const actual = staysOpen ? undefined : index % 5 === 1 ? 0 : Math.floor(quoted / 2)
      if (actual !== undefined) await store.settle(id, amount(actual))
      await tell({ id, quoted, granted, actual })
    }
  }
  await Promise.all(Array.from({ length: inFlight }, callAfterCall))
  await store.close()
  process.disconnect()
}

function tell(told: Told): Promise<void> {
  return new Promise((resolve) => void process.send?.(told, () => resolve()))
}

function amount(money: number) {
  return { money: nanoUsd(money), tokens: 0 }
}

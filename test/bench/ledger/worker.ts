import { bareTransactions, pairOn, speedOf } from "./speed.ts"
import { openStore, type StoreAddress } from "./stores.ts"
import { limitsOf, play, type Seen } from "./story.ts"

/** What a worker is told to do next. `close`: end. */
export type Order =
  | { readonly order: "open"; readonly address: StoreAddress; readonly limit: number }
  | { readonly order: "play"; readonly seed: number; readonly calls: number; readonly name: string }
  | { readonly order: "pairs"; readonly count: number; readonly name: string }
  | { readonly order: "bare"; readonly path: string; readonly count: number }
  | { readonly order: "close" }

export type Report = { readonly done: Order["order"]; readonly seen: readonly Seen[]; readonly ms: number }

/** One of several processes on one ledger. */
let open: Awaited<ReturnType<typeof openStore>> | undefined

process.on("message", (order: Order) => void answer(order))

async function answer(order: Order): Promise<void> {
  const from = performance.now()
  const seen = await carryOut(order)
  process.send?.({ done: order.order, seen, ms: performance.now() - from } satisfies Report)
  if (order.order === "close") process.disconnect()
}

/** Only playing brings something to tell. */
async function carryOut(order: Order): Promise<readonly Seen[]> {
  if (order.order === "play" && open !== undefined) return play(open.budget, order)
  if (order.order === "pairs" && open !== undefined) {
    await speedOf(order.count, order.count, pairOn(open.budget, order.name))
  }
  if (order.order === "open" || order.order === "close") await open?.close()
  if (order.order === "open") {
    open = await openStore(order.address, limitsOf(order.limit))
    // Opened by its first use: what is timed is the ledger, not its start.
    await open.budget.status({})
  }
  if (order.order === "bare") {
    const bare = bareTransactions(order.path)
    await speedOf(order.count, 1, bare.step)
    bare.close()
  }
  return []
}

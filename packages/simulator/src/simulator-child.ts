// The program of `startSimulatorProcess`. It is told its options, says where it listens, and ends when its channel does.
import { SimulatorConfigError } from "./errors.ts"
import type { SimulatorOptions } from "./options.ts"
import { type Simulator, startSimulator } from "./server.ts"
import type { News, Order } from "./simulator-process.ts"

process.once("message", (options: SimulatorOptions) => void serve(options))

async function serve(options: SimulatorOptions): Promise<void> {
  const isUp = await telling(async () => {
    const simulator = await startSimulator(options)
    // Its parent is gone or wants it gone, whichever way.
    process.once("disconnect", () => void simulator.close())
    process.on("message", (order: Order) => void obey(simulator, order))
    return { baseUrl: simulator.baseUrl }
  })
  if (!isUp) process.disconnect()
}

async function obey(simulator: Simulator, order: Order): Promise<void> {
  await telling(async () => {
    await (order.order === "refuse" ? simulator.refuse(order.forMs) : simulator.resume())
    return { isDone: true }
  })
}

/** False if it was told why not. */
async function telling(attempt: () => Promise<News>): Promise<boolean> {
  try {
    tell(await attempt())
    return true
  } catch (error) {
    if (!(error instanceof SimulatorConfigError)) throw error
    const { path, problem, fix } = error
    tell({ path, problem, fix })
    return false
  }
}

function tell(news: News): void {
  process.send?.(news)
}

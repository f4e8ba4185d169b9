// The program of `startSimulatorProcess`. It is told its options, says where it listens, and ends when its channel does.
import { SimulatorConfigError } from "./errors.ts"
import type { SimulatorOptions } from "./options.ts"
import { startSimulator } from "./server.ts"
import type { News } from "./simulator-process.ts"

process.once("message", (options: SimulatorOptions) => void serve(options))

async function serve(options: SimulatorOptions): Promise<void> {
  try {
    const simulator = await startSimulator(options)
    // Its parent is gone or wants it gone, whichever way.
    process.once("disconnect", () => void simulator.close())
    tell({ baseUrl: simulator.baseUrl })
  } catch (error) {
    if (!(error instanceof SimulatorConfigError)) throw error
    const { path, problem, fix } = error
    tell({ path, problem, fix })
    process.disconnect()
  }
}

function tell(news: News): void {
  process.send?.(news)
}

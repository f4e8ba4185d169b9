import { type ChildProcess, fork } from "node:child_process"
import { join } from "node:path"
import type { Order, Report } from "./worker.ts"

/** Processes that do the same at the same moment. */
export interface Crew {
  /** Gives each its order; resolves when all have done it. */
  all(orderOf: (worker: number) => Order): Promise<readonly Report[]>
  [Symbol.asyncDispose](): Promise<void>
}

export function hireCrew(size: number): Crew {
  const workers = Array.from({ length: size }, () => fork(join(import.meta.dirname, "worker.ts")))
  const all: Crew["all"] = (orderOf) =>
    Promise.all(workers.map((worker, index) => told(worker, orderOf(index))))
  return {
    all,
    async [Symbol.asyncDispose]() {
      if (workers.every(({ connected }) => connected)) await all(() => ({ order: "close" }))
      else for (const worker of workers) worker.kill("SIGKILL")
    },
  }
}

function told(worker: ChildProcess, order: Order): Promise<Report> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`a worker ended with ${code}`))
    worker.once("exit", ended)
    worker.once("message", (report: Report) => {
      worker.off("exit", ended)
      resolve(report)
    })
    worker.send(order)
  })
}

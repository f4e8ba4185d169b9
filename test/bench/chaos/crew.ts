import { type ChildProcess, fork } from "node:child_process"
import { join } from "node:path"
import type { Order, Report } from "./worker.ts"

/** Processes that make calls at the same time. */
export interface Crew {
  readonly size: number
  /** Gives each its order; resolves when all have carried it out. */
  all(orderOf: (worker: number) => Order): Promise<readonly Report[]>
  [Symbol.asyncDispose](): Promise<void>
}

/** Resolves when all of them listen. */
export async function hireCrew(size: number): Promise<Crew> {
  const workers = Array.from({ length: size }, () => fork(join(import.meta.dirname, "worker.ts")))
  const ready = await Promise.all(workers.map(told))
  return {
    size: ready.length,
    all: (orderOf) =>
      Promise.all(
        workers.map((worker, index) => {
          worker.send(orderOf(index))
          return told(worker) as Promise<Report>
        }),
      ),
    async [Symbol.asyncDispose]() {
      const ended = workers.map((worker) => new Promise((resolve) => worker.once("exit", resolve)))
      for (const worker of workers) worker.kill()
      await Promise.all(ended)
    },
  }
}

function told(worker: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`a worker ended with ${code}`))
    worker.once("exit", ended)
    worker.once("message", (news) => {
      worker.off("exit", ended)
      resolve(news)
    })
  })
}

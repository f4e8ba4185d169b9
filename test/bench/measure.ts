import { quantile } from "simple-statistics"
import { rounded } from "./bench.ts"

export interface Spread {
  readonly median: number
  readonly p10: number
  readonly p90: number
}

export function spread(values: readonly number[]): Spread {
  const [median, p10, p90] = [0.5, 0.1, 0.9].map((p) => rounded(quantile([...values], p))) as [
    number,
    number,
    number,
  ]
  return { median, p10, p90 }
}

export function median(values: readonly number[]): number {
  return quantile([...values], 0.5)
}

/** Milliseconds of each of `times` runs, one after the other. */
export async function timeEach(times: number, run: () => Promise<unknown>): Promise<number[]> {
  const took: number[] = []
  for (let i = 0; i < times; i++) {
    const from = performance.now()
    await run()
    took.push(performance.now() - from)
  }
  return took
}

/** Calls per second with `inFlight` callers at once. */
export async function throughput(
  calls: number,
  inFlight: number,
  run: () => Promise<unknown>,
): Promise<number> {
  let left = calls
  const caller = async () => {
    while (left-- > 0) await run()
  }
  const from = performance.now()
  await Promise.all(Array.from({ length: inFlight }, caller))
  return (calls / (performance.now() - from)) * 1_000
}

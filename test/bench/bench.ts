/** One number the project promises, as it was measured. */
export interface Bar {
  readonly name: string
  readonly value: number
  /** `≤ 1.3` or `≥ 0.8`. */
  readonly bound: string
  readonly ok: boolean
}

/** What a benchmark brings home. Figures are plain JSON: medians with their spreads, whatever explains the bars. */
export interface BenchResult {
  readonly figures: Readonly<Record<string, unknown>>
  readonly bars: readonly Bar[]
}

export interface Bench {
  run(progress: (line: string) => void): Promise<BenchResult>
}

export function atMost(name: string, value: number, most: number): Bar {
  return { name, value: rounded(value), bound: `≤ ${most}`, ok: value <= most }
}

export function atLeast(name: string, value: number, least: number): Bar {
  return { name, value: rounded(value), bound: `≥ ${least}`, ok: value >= least }
}

export function rounded(value: number): number {
  return Number(value.toPrecision(4))
}

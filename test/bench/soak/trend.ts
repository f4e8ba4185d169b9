import { linearRegression, median } from "simple-statistics"

/** What a row of measurements does over a run. */
export interface Trend {
  readonly first: number
  readonly last: number
  /** How far the line through all of them rises from the first to the last. */
  readonly rise: number
  /** The part of the rise that is not noise: 0 where the line might as well be flat, with 95 % confidence. */
  readonly riseBeyondNoise: number
}

/** Student's t for 95 % and many measurements; few are given a little more. */
const T_MANY = 1.96
const T_EXTRA = 2.6

/** @param values At even distances, at least 4. */
export function trendOf(values: readonly number[]): Trend {
  const points = values.map((value, index) => [index, value])
  const { m: slope, b: start } = linearRegression(points)
  const squares = values.reduce((sum, value, index) => sum + (value - start - slope * index) ** 2, 0)
  const middle = (values.length - 1) / 2
  const width = values.reduce((sum, _, index) => sum + (index - middle) ** 2, 0)
  const freedom = values.length - 2
  const error = Math.sqrt(squares / freedom / width)
  const steps = values.length - 1
  return {
    first: values[0] as number,
    last: values.at(-1) as number,
    rise: slope * steps,
    riseBeyondNoise: Math.max(0, slope - (T_MANY + T_EXTRA / freedom) * error) * steps,
  }
}

/** The median of the last third, less that of the first: for small whole numbers, which jump. */
export function shiftOf(values: readonly number[]): number {
  const third = Math.max(1, Math.floor(values.length / 3))
  return median(values.slice(-third)) - median(values.slice(0, third))
}

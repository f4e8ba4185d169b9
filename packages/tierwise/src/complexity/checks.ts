import { ConfigError } from "../spec/errors.ts"

/** Weights may miss a sum of 1 by this much: three thirds do, in binary. */
const TOLERANCE = 1e-9

/**
 * The given weights over their defaults.
 * @throws ConfigError unless each is a finite number ≥ 0 with a known name, and all add up to 1.
 */
export function validWeights<Name extends string>(
  defaults: Readonly<Record<Name, number>>,
  given: Readonly<Partial<Record<Name, number | undefined>>> | undefined,
  path: string,
): Readonly<Record<Name, number>> {
  const weights = merged(defaults, given, path)
  for (const [name, weight] of Object.entries(weights)) {
    if (!(Number.isFinite(weight) && (weight as number) >= 0)) {
      throw new ConfigError(
        `${path}.${name}`,
        `${String(weight)} is not a weight`,
        "give a number from 0 to 1",
      )
    }
  }
  const sum = Object.values<number>(weights).reduce((total, weight) => total + weight, 0)
  if (Math.abs(sum - 1) > TOLERANCE) {
    const all = Object.entries(weights).map(([name, weight]) => `${name} ${String(weight)}`)
    throw new ConfigError(
      path,
      `the weights add up to ${sum}, not to 1 (${all.join(", ")})`,
      "make them add up to 1",
    )
  }
  return weights
}

/**
 * The given saturation points over their defaults.
 * @throws ConfigError unless each is finite and > 0.
 */
export function validSaturation<Name extends string>(
  defaults: Readonly<Record<Name, number>>,
  given: Readonly<Partial<Record<Name, number | undefined>>> | undefined,
  path: string,
): Readonly<Record<Name, number>> {
  const points = merged(defaults, given, path)
  for (const [name, point] of Object.entries(points)) {
    if (!(Number.isFinite(point) && (point as number) > 0)) {
      throw new ConfigError(`${path}.${name}`, `${String(point)} cannot be reached`, "give a number above 0")
    }
  }
  return points
}

/**
 * The given shares over their defaults.
 * @throws ConfigError unless each is in 0…1.
 */
export function validShares<Name extends string>(
  defaults: Readonly<Record<Name, number>>,
  given: Readonly<Partial<Record<Name, number | undefined>>> | undefined,
  path: string,
): Readonly<Record<Name, number>> {
  const shares = merged(defaults, given, path)
  for (const [name, value] of Object.entries<number>(shares)) validShare(value, `${path}.${name}`)
  return shares
}

/** @throws ConfigError unless 0 ≤ value ≤ 1. */
export function validShare(value: number, path: string): number {
  if (value >= 0 && value <= 1) return value
  throw new ConfigError(path, `${String(value)} is not between 0 and 1`, "give a number from 0 to 1")
}

/** `value` of `enough`, at most all of it. */
export function share(value: number, enough: number): number {
  return Math.min(1, value / enough)
}

/** Keeps rounding of sums inside 0…1. */
export function clampShare(value: number): number {
  return Math.min(1, Math.max(0, value))
}

function merged<Name extends string>(
  defaults: Readonly<Record<Name, number>>,
  given: Readonly<Partial<Record<Name, number | undefined>>> | undefined,
  path: string,
): Readonly<Record<Name, number>> {
  const all: Record<Name, number> = { ...defaults }
  for (const [name, value] of Object.entries<number | undefined>(given ?? {})) {
    if (!Object.hasOwn(defaults, name)) {
      throw new ConfigError(
        `${path}.${name}`,
        "there is no such name",
        `use ${Object.keys(defaults).join(", ")}`,
      )
    }
    if (value !== undefined) all[name as Name] = value
  }
  return all
}

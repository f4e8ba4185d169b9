import { BudgetUnavailableError } from "../spec/errors.ts"

/** Reads a row. Integers that JavaScript cannot keep are refused by the driver, which does not say where they are. */
export function readable<T>(store: string, what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_OUT_OF_RANGE") throw error
    throw new BudgetUnavailableError(store, `its ${what} holds a number beyond 2^53`, { cause: error })
  }
}

/** For a row that no budget has written. */
export function impossible(store: string, what: string, row: unknown): BudgetUnavailableError {
  return new BudgetUnavailableError(store, `its ${what} holds ${JSON.stringify(row)}, which cannot be`)
}

/** The last moment that a Date can tell, epoch ms. */
export const END_OF_TIME = 8_640_000_000_000_000

/** A moment as an integer column takes it. */
export function moment(at: number): number {
  return Math.min(END_OF_TIME, Math.ceil(at))
}

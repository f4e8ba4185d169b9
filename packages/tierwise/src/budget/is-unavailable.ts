import { TierwiseError } from "../spec/errors.ts"

/** True for what a store says that cannot be asked now, and perhaps later. */
export function isUnavailable(error: unknown): boolean {
  return TierwiseError.find(error)?.code === "budget-unavailable"
}

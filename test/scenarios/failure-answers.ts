import { readdirSync, readFileSync } from "node:fs"
import type { FailureKind } from "tierwise"

/** What one provider answers when it fails. */
export interface ProviderFailures {
  readonly provider: string
  readonly answers: readonly FailureAnswer[]
}

/** An answer as it was seen, without the names of those who saw it. */
export interface FailureAnswer {
  readonly shows: string
  readonly status: number
  /** Those that matter. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** Instead of a body: the events of a 200 that fails in its middle. */
  readonly stream?: string
  readonly kind: FailureKind
  readonly source: string
  /** When it was written there; for a page without a date, when it was read. */
  readonly seen: string
  /** `described`: the source tells its status or its message, and the rest is as in the provider's other answers. */
  readonly basis: "shown" | "described"
  readonly arrives: readonly Arrival[]
}

/** The error that a LangChain package throws at it; for packages that are not installed here, with all that it carries. */
export interface Arrival {
  readonly through: string
  readonly class: string
  readonly headers?: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

const folder = new URL("../failures/", import.meta.url)

export const FAILURE_ANSWERS: readonly ProviderFailures[] = readdirSync(folder)
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), "utf8")) as ProviderFailures)
  .toSorted((one, other) => (one.provider < other.provider ? -1 : 1))

import { type NanoUsd, nanoToUsd } from "../spec/money.ts"

/** Money in a report. Plain JSON. */
export interface ReportMoney {
  /** Exact, billionths of a US dollar. Negative only where it is a difference. */
  readonly nanoUsd: number
  /** The same for people, US dollars. */
  readonly usd: number
}

/** @param nano NanoUsd; negative for a loss. */
export function reportMoney(nano: number): ReportMoney {
  return { nanoUsd: nano, usd: nanoToUsd(nano as NanoUsd) }
}

/** 100 × part ÷ whole. Undefined of nothing: no share of it means anything. */
export function percentOf(part: number, whole: number): number | undefined {
  return whole === 0 ? undefined : (100 * part) / whole
}

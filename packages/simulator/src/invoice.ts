import type { SimulatedPrice } from "./models.ts"

/** What one request cost by the simulator's own counting. */
export interface InvoiceLine {
  /** The request's `x-request-id`, or the one the server gave it. */
  readonly requestId: string
  readonly model: string
  /** When it was billed, epoch ms. */
  readonly at: number
  readonly inputTokens: number
  /** Part of `inputTokens`. */
  readonly cachedInputTokens: number
  /** What was generated, all choices together; for a broken-off answer, up to where it broke. */
  readonly outputTokens: number
  /** Billionths of a US dollar, rounded up once. */
  readonly costNanoUsd: number
  /**
   * `aborted`: the client went away; it pays for the prompt and for what was generated. `failed`: refused, which costs
   * nothing, or broken off by a scripted fault, which costs what was generated.
   */
  readonly outcome: "completed" | "aborted" | "failed"
}

export type BilledTokens = Pick<InvoiceLine, "inputTokens" | "cachedInputTokens" | "outputTokens">

/** The bill of a server. Sums never forget a line; the lines themselves are kept up to a bound, the newest. */
export interface Bill {
  add(line: InvoiceLine): void
  lines(): readonly InvoiceLine[]
  totals(): BillTotals
}

export interface BillTotals {
  readonly lines: number
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
  readonly costNanoUsd: number
}

// Prices have at most six decimals, so that a token's price is a whole number of 1e-12 dollars.
const PICO_PER_TOKEN = 1_000_000
const PICO_PER_NANO = 1_000

/**
 * (input − cached) × input price + cached × cached price + output × output price, in integers of 1e-12 USD, then
 * rounded up to NanoUsd: no fraction is lost before the end.
 */
export function costOf(price: SimulatedPrice, tokens: BilledTokens): number {
  const cachedPrice = price.cachedInputPerMTok ?? price.inputPerMTok
  const pico =
    (tokens.inputTokens - tokens.cachedInputTokens) * picoPerToken(price.inputPerMTok) +
    tokens.cachedInputTokens * picoPerToken(cachedPrice) +
    tokens.outputTokens * picoPerToken(price.outputPerMTok)
  return Math.ceil(pico / PICO_PER_NANO)
}

/** @param kept How many lines are kept. Default 100,000. */
export function openBill(kept = 100_000): Bill {
  let lines: InvoiceLine[] = []
  let totals: BillTotals = { lines: 0, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, costNanoUsd: 0 }
  return {
    add: (line) => {
      lines.push(line)
      if (lines.length >= 2 * kept) lines = lines.slice(-kept)
      totals = {
        lines: totals.lines + 1,
        inputTokens: totals.inputTokens + line.inputTokens,
        cachedInputTokens: totals.cachedInputTokens + line.cachedInputTokens,
        outputTokens: totals.outputTokens + line.outputTokens,
        costNanoUsd: totals.costNanoUsd + line.costNanoUsd,
      }
    },
    lines: () => lines.slice(-kept),
    totals: () => totals,
  }
}

function picoPerToken(usdPerMTok: number): number {
  return Math.round(usdPerMTok * PICO_PER_TOKEN)
}

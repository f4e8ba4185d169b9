import type { SimulatedPrice, SimulatedRates } from "./models.ts"

/** What one request cost by the simulator's own counting. */
export interface InvoiceLine {
  /** 1 for the server's first line; lines are written as their requests end. */
  readonly number: number
  /** The request's `x-request-id`, else its `x-client-request-id`, else the one the server gave it. */
  readonly requestId: string
  readonly model: string
  /** When it was billed, epoch ms. */
  readonly at: number
  readonly inputTokens: number
  /** Part of `inputTokens`. */
  readonly cachedInputTokens: number
  /** Part of `inputTokens`, and no cached ones. 0 where the model's price says nothing of cache writes. */
  readonly cacheWriteTokens: number
  /** What was generated, all choices together; for a broken-off answer, up to where it broke. */
  readonly outputTokens: number
  /** Part of `outputTokens`. */
  readonly reasoningTokens: number
  /** Billionths of a US dollar, rounded up once. */
  readonly costNanoUsd: number
  /**
   * `aborted`: the client went away; it pays for the prompt, if that was read, and for what was generated. `failed`:
   * refused, which costs nothing, or broken off by a scripted fault, which costs what was generated.
   */
  readonly outcome: "completed" | "aborted" | "failed"
}

export type BilledTokens = Pick<
  InvoiceLine,
  "inputTokens" | "cachedInputTokens" | "cacheWriteTokens" | "outputTokens" | "reasoningTokens"
>

/** The bill of a server. Sums never forget a line; the lines themselves are kept up to a bound, the newest. */
export interface Bill {
  add(line: Omit<InvoiceLine, "number">): void
  lines(): readonly InvoiceLine[]
  /**
   * Up to `limit` lines that follow the one with the number `after`, or "gone" if one of them is not kept any more.
   * @param after Undefined: the oldest kept line is the first.
   */
  page(after: number | undefined, limit: number): readonly InvoiceLine[] | "gone"
  totals(): BillTotals
}

export interface BillTotals extends BilledTokens {
  readonly lines: number
  readonly costNanoUsd: number
}

// Prices have at most six decimals, so that a token's price is a whole number of 1e-12 dollars.
const PICO_PER_TOKEN = 1_000_000
const PICO_PER_NANO = 1_000n

/**
 * fresh × input price + cached × cached price + written × cache-write price + output × output price, in integers of
 * 1e-12 USD, then rounded up to NanoUsd: no fraction is lost before the end. Fresh is what was neither cached nor written.
 */
export function costOf(price: SimulatedPrice, tokens: BilledTokens): number {
  const rates = ratesOf(price, tokens.inputTokens)
  const fresh = tokens.inputTokens - tokens.cachedInputTokens - tokens.cacheWriteTokens
  const pico =
    picoOf(fresh, rates.inputPerMTok) +
    picoOf(tokens.cachedInputTokens, rates.cachedInputPerMTok ?? rates.inputPerMTok) +
    picoOf(tokens.cacheWriteTokens, rates.cacheWritePerMTok ?? rates.inputPerMTok) +
    picoOf(tokens.outputTokens, rates.outputPerMTok)
  return Number((pico + PICO_PER_NANO - 1n) / PICO_PER_NANO)
}

/** Whether writing to the prompt cache has a price of its own, at any length of the input. */
export function chargesCacheWrites({ cacheWritePerMTok, longContext }: SimulatedPrice): boolean {
  const rates = [{ cacheWritePerMTok }, ...[longContext ?? []].flat()]
  return rates.some((at) => at.cacheWritePerMTok !== undefined)
}

/** @param kept How many lines are kept. Default 100,000. */
export function openBill(kept = 100_000): Bill {
  let lines: InvoiceLine[] = []
  let totals: BillTotals = { ...NOTHING, lines: 0, costNanoUsd: 0 }
  return {
    add: (line) => {
      lines.push({ number: totals.lines + 1, ...line })
      if (lines.length >= 2 * kept) lines = lines.slice(-kept)
      totals = {
        lines: totals.lines + 1,
        inputTokens: totals.inputTokens + line.inputTokens,
        cachedInputTokens: totals.cachedInputTokens + line.cachedInputTokens,
        cacheWriteTokens: totals.cacheWriteTokens + line.cacheWriteTokens,
        outputTokens: totals.outputTokens + line.outputTokens,
        reasoningTokens: totals.reasoningTokens + line.reasoningTokens,
        costNanoUsd: totals.costNanoUsd + line.costNanoUsd,
      }
    },
    lines: () => lines.slice(-kept),
    page: (after, limit) => {
      const oldest = Math.max(0, lines.length - kept)
      const from = after === undefined ? oldest : lines.length - (totals.lines - after)
      return from < oldest ? "gone" : lines.slice(from, from + limit)
    },
    totals: () => totals,
  }
}

export const NOTHING: BilledTokens = {
  inputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
}

function ratesOf({ longContext = [], ...base }: SimulatedPrice, inputTokens: number): SimulatedRates {
  let [rates, above]: [SimulatedRates, number] = [base, -1]
  for (const step of [longContext].flat()) {
    if (inputTokens > step.aboveInputTokens && step.aboveInputTokens > above)
      [rates, above] = [step, step.aboveInputTokens]
  }
  return rates
}

function picoOf(tokens: number, usdPerMTok: number): bigint {
  return BigInt(tokens) * BigInt(Math.round(usdPerMTok * PICO_PER_TOKEN))
}

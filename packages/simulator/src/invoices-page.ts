import type { Bill, BillTotals, InvoiceLine } from "./invoice.ts"
import { type JsonObject, WireError } from "./protocol.ts"

/** A part of the bill, as `GET /invoices?after=NUMBER&limit=LINES` gives it. */
export interface InvoicesPage {
  readonly object: "list"
  readonly data: readonly InvoiceLine[]
  /** True if more lines are there now; ask again with `after` = the number of the last line here. */
  readonly has_more: boolean
  /** Of all lines there ever were. */
  readonly totals: BillTotals
  /** Calls under way: each will have its line when it ends. */
  readonly open_calls: number
}

export const MOST_LINES_A_PAGE = 10_000

const LINES_A_PAGE = 1_000

/** @throws WireError 400 for a parameter that is no such number, 410 if lines after that one are not kept any more. */
export function invoicesPage(bill: Bill, query: URLSearchParams, openCalls: number): JsonObject {
  const after = integer(query, "after", { min: 0, max: Number.MAX_SAFE_INTEGER })
  const limit = integer(query, "limit", { min: 1, max: MOST_LINES_A_PAGE }) ?? LINES_A_PAGE
  const lines = bill.page(after, limit)
  if (lines === "gone") {
    throw new WireError(410, `Lines after ${after} are not kept any more: read the bill more often.`, {
      param: "after",
      code: "invoice_lines_gone",
    })
  }
  const totals = bill.totals()
  const page: InvoicesPage = {
    object: "list",
    data: lines,
    has_more: (lines.at(-1)?.number ?? totals.lines) < totals.lines,
    totals,
    open_calls: openCalls,
  }
  return { ...page, data: lines.map((line) => ({ ...line })), totals: { ...totals } }
}

function integer(
  query: URLSearchParams,
  name: string,
  { min, max }: { readonly min: number; readonly max: number },
): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (number >= min && number <= max) return number
  throw new WireError(400, `Invalid value for '${name}': give an integer from ${min} to ${max}.`, {
    param: name,
    code: "invalid_value",
  })
}

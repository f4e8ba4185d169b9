import type { InvoiceLine } from "./invoice.ts"
import { type InvoicesPage, MOST_LINES_A_PAGE } from "./invoices-page.ts"

export interface ReadInvoicesOptions {
  /** Only lines after the one with this number. Default: from the oldest line that is kept. */
  readonly after?: number | undefined
}

/**
 * The lines of a running simulator's bill, read over HTTP page by page: for a process other than the simulator's own.
 * @param baseUrl The simulator's, as an OpenAI client takes it.
 * @throws Error if the server cannot be reached, or does not keep lines after `after` any more.
 */
export async function readInvoices(
  baseUrl: string,
  { after }: ReadInvoicesOptions = {},
): Promise<readonly InvoiceLine[]> {
  const lines: InvoiceLine[] = []
  let last = after
  for (;;) {
    const page = await pageAfter(baseUrl, last)
    for (const line of page.data) lines.push(line)
    last = page.data.at(-1)?.number ?? last
    if (!page.has_more) return lines
  }
}

async function pageAfter(baseUrl: string, after: number | undefined): Promise<InvoicesPage> {
  const url = new URL("/invoices", baseUrl)
  url.searchParams.set("limit", String(MOST_LINES_A_PAGE))
  if (after !== undefined) url.searchParams.set("after", String(after))
  const response = await fetch(url)
  if (!response.ok) throw new Error(`GET ${url} answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as InvoicesPage
}

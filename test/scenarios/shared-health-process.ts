import { Redis } from "ioredis"
import { type HealthBook, healthBook } from "tierwise"
import { redisHealth } from "tierwise/redis"

/**
 * What one of several processes is told to do: to call a target, again and again, for as long as it lives. It says when it
 * is ready, and begins when it is told to.
 */
export interface Order {
  readonly redisUrl: string
  readonly name: string
  readonly targetUrl: string
  readonly openMs: number
  readonly longestOpenMs: number
  readonly pollMs: number
  /** How far its clock is ahead, ms. */
  readonly clockAheadMs: number
}

/** How it went so far, told on request. */
export interface Report {
  /** How many calls were let in, and how many were not. */
  readonly allowed: number
  readonly refused: number
  readonly breaker: string
  /** What was told of the store. */
  readonly problems: readonly string[]
}

const KEY = "light"
const CALLERS = 5
const PAUSE_MS = 3
const TIMEOUT_MS = 1_000

process.once("message", (order: Order) => void carryOut(order))
process.once("disconnect", () => process.exit())

async function carryOut(order: Order): Promise<void> {
  const report = { allowed: 0, refused: 0, problems: [] as string[] }
  const client = new Redis(order.redisUrl, { retryStrategy: () => 50 }).on("error", () => {})
  await client.ping()
  const book = healthBook({
    store: redisHealth({ client, name: order.name, timeoutMs: TIMEOUT_MS }),
    breaker: { failures: 5, openMs: order.openMs, longestOpenMs: order.longestOpenMs, probeLeaseMs: 10_000 },
    pollMs: order.pollMs,
    now: () => Date.now() + order.clockAheadMs,
    onProblem: ({ message }) => void report.problems.push(message),
  })
  process.on("message", (told) => {
    if (told === "report") process.send?.({ ...report, breaker: book.report(KEY).breaker })
    if (told !== "begin") return
    for (let caller = 0; caller < CALLERS; caller++) void callForEver(book, order.targetUrl, report)
  })
  process.send?.("ready")
}

async function callForEver(
  book: HealthBook,
  url: string,
  report: { allowed: number; refused: number },
): Promise<never> {
  for (;;) {
    const entry = await book.enter(KEY)
    if (entry.allowed) {
      report.allowed++
      const { call } = entry
      const isWell = await fetch(url, { headers: { "x-probe": `${call.isProbe}` } }).then(
        (response) => response.text().then(() => response.ok),
        () => false,
      )
      call.ended(isWell ? "well" : "badly")
    } else report.refused++
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}

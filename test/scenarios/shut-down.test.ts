import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { type InvoiceLine, type SimulatedModel, startSimulator } from "@tierwise/simulator"
import type { BudgetLimit, BudgetStatus } from "tierwise"
import { sqliteBudget } from "tierwise/sqlite"
import { describe, expect, it } from "vitest"
import type { News, Order } from "./shut-down-process.ts"

const STREAMS = 100

/** Processes start slowly on a machine that is busy. */
const PATIENCE_MS = 60_000
const TEST_MS = 3 * PATIENCE_MS

const limits: readonly BudgetLimit[] = [{ scope: "tenant", window: "total", usd: 10 }]

const TOKENS_PER_SECOND = 20
const NANO_USD_PER_INPUT_TOKEN = 1_000

/** Says what it is told. */
const ECHO: SimulatedModel = {
  id: "slow-echo",
  skill: "echo",
  price: { inputPerMTok: 1, outputPerMTok: 10 },
  contextWindow: 32_768,
  maxOutputTokens: 8_192,
  latency: { firstTokenMs: 50, perThousandInputMs: 0, tokensPerSecond: TOKENS_PER_SECOND },
}

/** Answered in about so many seconds. */
const question = (seconds: number, number: number) =>
  `${number}:${" salt".repeat(seconds * TOKENS_PER_SECOND)}`

describe("a process that is told to stop in the midst of a hundred streams", () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "ends them all before it ends itself, if there is time: %s [N1.settle] [N2.exact-streamed]",
    async (signal) => {
      const questions = times(STREAMS, (number) => question(2, number))
      const { exit, late, report, tookMs, calls, status } = await story({
        questions,
        stopping: 0,
        deadlineMs: PATIENCE_MS,
        signal,
      })
      expect(exit).toEqual({ code: 0, signal: null })
      expect(report).toMatchObject({ cancelled: 0, stuck: 0 })
      // Else it was not in their midst.
      expect(report.ended).toBeGreaterThan(STREAMS / 2)
      expect(calls.map(({ text }) => text)).toEqual(questions)
      expect(calls.filter(({ failed }) => failed !== undefined)).toEqual([])
      expect(late).toBe("router-closed")
      expect(tookMs).toBeLessThan(PATIENCE_MS)
      expect(calls.filter(({ booked, bill }) => booked !== bill.costNanoUsd)).toEqual([])
      expect(status).toMatchObject({ held: 0, unconfirmed: 0, spent: sum(calls, ({ booked }) => booked) })
    },
    TEST_MS,
  )

  it(
    "cancels at the deadline what is not ended, read or not, and settles its money [N1.settle] [N2.estimate-aborted]",
    async () => {
      const stopping = 20
      const deadlineMs = 1_500
      const isLong = (number: number) => number % 2 === 0
      const questions = times(STREAMS, (number) => question(isLong(number) ? 60 : 1, number))
      const { exit, late, report, tookMs, calls, status } = await story({
        questions,
        stopping,
        deadlineMs,
        signal: "SIGTERM",
      })
      expect(exit).toEqual({ code: 0, signal: null })
      const whole = calls.filter(({ failed }) => failed === undefined)
      const cancelled = calls.filter(({ failed }) => failed === "router-closed")
      expect(whole.length + cancelled.length).toBe(STREAMS)
      expect(whole.filter(({ text, number }) => text !== questions[number])).toEqual([])
      expect(report).toEqual({ ended: expect.any(Number) as number, cancelled: cancelled.length, stuck: 0 })
      // All that were long, those who had stopped reading among them.
      expect(cancelled.length).toBeGreaterThanOrEqual(STREAMS / 2)
      expect(late).toBe("router-closed")
      // Far from the minute that they would have taken, and from the 12 s that whatever does not end is given.
      expect(tookMs).toBeLessThan(deadlineMs + 10_000)

      expect(calls.every(({ state }) => state === "settled")).toBe(true)
      expect(whole.filter(({ booked, bill }) => booked !== bill.costNanoUsd)).toEqual([])
      const aborted = cancelled.filter(({ bill }) => bill.outcome === "aborted")
      expect(aborted.length).toBeGreaterThanOrEqual(STREAMS / 2)
      // What was made for readers who had stopped reading nobody saw.
      const readOn = aborted.filter(({ number }) => number >= stopping)
      expect(sum(readOn, ({ booked }) => booked)).toBeGreaterThan(
        0.95 * sum(readOn, ({ bill }) => bill.costNanoUsd),
      )
      expect(
        aborted.filter(({ booked, bill }) => booked < bill.inputTokens * NANO_USD_PER_INPUT_TOKEN),
      ).toEqual([])
      expect(status).toMatchObject({ held: 0, unconfirmed: 0, spent: sum(calls, ({ booked }) => booked) })
    },
    TEST_MS,
  )
})

/** One stream, as its reader, the ledger and the provider know it. */
interface Call {
  readonly number: number
  readonly text: string
  /** The code of its error; undefined: none. */
  readonly failed: string | undefined
  readonly state: string
  /** NanoUsd. */
  readonly booked: number
  readonly bill: InvoiceLine
}

/** The process from its start to its end, and what ledger and provider say afterwards. */
async function story({
  signal,
  ...asked
}: Pick<Order, "questions" | "stopping" | "deadlineMs"> & { readonly signal: NodeJS.Signals }) {
  const folder = mkdtempSync(join(tmpdir(), "tierwise-shut-down-"))
  try {
    await using simulator = await startSimulator({ models: [ECHO], timeScale: 1 })
    const path = join(folder, "ledger.sqlite")
    const order: Order = { ...asked, path, limits, baseUrl: simulator.baseUrl, model: ECHO }
    const { ends, ...run } = await runUntilStopped(order, signal)
    // The provider writes a line when it notices that its client has left.
    const invoices = () => simulator.invoices()
    await expect.poll(() => invoices().length, { timeout: PATIENCE_MS }).toBe(STREAMS)
    const holds = holdsIn(path)
    expect(holds).toHaveLength(STREAMS)
    const calls = ends.map((end): Call => {
      const hold = holds.find(({ reader }) => reader === end.number) as Hold
      const bill = invoices().find(({ requestId }) => requestId === hold.id) as InvoiceLine
      return { ...end, ...hold, bill }
    })
    return { ...run, calls, status: await statusOf(path) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Stops it when each of its streams has begun. */
async function runUntilStopped(order: Order, signal: NodeJS.Signals) {
  const program = join(import.meta.dirname, "shut-down-process.ts")
  const child = spawn(process.execPath, ["--conditions=@tierwise/source", program], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  child.stdin.end(JSON.stringify(order))
  const ended = new Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>(
    (resolve) => child.once("close", (code, by) => resolve({ code, signal: by })),
  )
  const tooLong = setTimeout(() => child.kill("SIGKILL"), 2 * PATIENCE_MS)
  const news: News[] = []
  let begun = 0
  for await (const line of createInterface(child.stdout)) {
    const told = JSON.parse(line) as News
    news.push(told)
    if ("began" in told && ++begun === order.questions.length) child.kill(signal)
  }
  const exit = await ended
  clearTimeout(tooLong)
  const closings = news.filter((told) => "closed" in told)
  expect({ begun, exit, closings }).toMatchObject({ begun: order.questions.length, closings: [{}] })
  const [{ closed: report, late, tookMs }] = closings as [(typeof closings)[number]]
  const ends = news
    .filter((told) => "ended" in told)
    .map(({ ended: number, text, failed }) => ({ number, text, failed }))
    .toSorted((a, b) => a.number - b.number)
  return { exit, report, late, tookMs, ends }
}

interface Hold {
  readonly id: string
  readonly reader: number
  readonly state: string
  readonly booked: number
}

/** By the ledger's own table, whose ids the provider was told. */
function holdsIn(path: string): readonly Hold[] {
  using database = new DatabaseSync(path)
  const rows = database
    .prepare("select id, state, request, quoted_money, actual_money from tierwise_holds")
    .all() as {
    readonly id: string
    readonly state: string
    /** An amount, and then the names and ids of its scopes. */
    readonly request: string
    readonly quoted_money: number
    readonly actual_money: number | null
  }[]
  return rows.map(({ id, state, request, quoted_money: quoted, actual_money: actual }) => {
    const [, , ...scopes] = JSON.parse(request) as readonly [number, number, ...[string, string][]]
    return { id, state, booked: actual ?? quoted, reader: Number(new Map(scopes).get("reader")) }
  })
}

async function statusOf(path: string): Promise<BudgetStatus | undefined> {
  const budget = sqliteBudget({ path, limits })
  const [status] = await budget.status({})
  await budget.close()
  return status
}

function times<T>(count: number, make: (number: number) => T): readonly T[] {
  return Array.from({ length: count }, (_, number) => make(number))
}

function sum<T>(list: readonly T[], of: (one: T) => number): number {
  return list.reduce((total, one) => total + of(one), 0)
}

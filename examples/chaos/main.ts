import assert from "node:assert/strict"
import { setTimeout as pause } from "node:timers/promises"
import { styleText } from "node:util"
import { type SimulatorProcess, startSimulatorProcess } from "@tierwise/simulator"
import { chapter } from "../show.ts"
import { ask, openFallbacks, openRouter, type Reader } from "./readers.ts"
import { MODELS, PHASES } from "./schedule.ts"

/** Both are asked so often, for so long. */
const CALLS_PER_SECOND = 20
const SECONDS = 15

/** The 99th percentile of how much later than they should calls begin, ms, on a machine that has time for them. */
const MOST_LATE_MS = 50

/** One of the two that are compared, each with a provider of its own, which fails like the other's. */
interface Side {
  readonly name: string
  readonly provider: SimulatorProcess
  readonly reader: Reader
}

/** What became of a call: what its caller saw, how long he waited, and how much later than he should he began, ms. */
interface Seen {
  readonly outcome: string
  readonly ms: number
  readonly lateMs: number
}

/**
 * Six models of equal worth. One dies, one stalls in the middle of its answers, one refuses half its calls, one comes and
 * goes. A router and LangChain's own fallbacks go through the same fifteen seconds. `npm run bench -- chaos` is the long
 * version.
 */
const stop = new AbortController()
process.on("SIGINT", () => stop.abort())
try {
  await runChaos(stop.signal)
} catch (error) {
  if (!stop.signal.aborted) throw error
  console.log("\nStopped.")
  process.exitCode = 130
}

async function runChaos(signal: AbortSignal): Promise<void> {
  console.log(styleText("bold", "Fifteen seconds in which models fail"))
  const providers = await Promise.all(
    [1, 2].map(() => startSimulatorProcess({ models: MODELS, timeScale: 1 })),
  )
  try {
    const [ours, theirs] = providers as [SimulatorProcess, SimulatorProcess]
    const router = openRouter(ours.baseUrl)
    const sides: readonly [Side, Side] = [
      { name: "RouterChatModel", provider: ours, reader: router.reader },
      { name: "withFallbacks", provider: theirs, reader: openFallbacks(theirs.baseUrl) },
    ]
    // What is loaded by the first call is not the second one's doing.
    for (const { reader } of sides) await ask(reader, "warm up", 0, signal)
    const [seen] = await Promise.all([
      Promise.all(sides.map(({ reader }) => makeCalls(reader, signal))),
      playPhases(providers, signal),
    ])
    const rows = await Promise.all(sides.map((side, index) => rowOf(side, seen[index] ?? [])))
    show(rows)
    chapter("what the router knows of them now")
    for (const { id } of MODELS) console.log(`    ${id.padEnd(10)} ${router.state(id)}`)
    check(rows)
    assert.notEqual(router.state("dies"), "closed")
  } finally {
    await Promise.all(providers.map((provider) => provider.close()))
  }
}

/** Steadily, whatever became of the calls before. */
async function makeCalls(reader: Reader, signal: AbortSignal): Promise<readonly Seen[]> {
  const under: Promise<Seen>[] = []
  const from = performance.now()
  for (let number = 0; number < SECONDS * CALLS_PER_SECOND; number++) {
    const due = from + (number * 1_000) / CALLS_PER_SECOND
    await pause(Math.max(0, due - performance.now()), undefined, { signal })
    under.push(oneCall(reader, number, due, signal))
  }
  return Promise.all(under)
}

async function oneCall(reader: Reader, number: number, due: number, signal: AbortSignal): Promise<Seen> {
  const question = `${number} boats in the harbour`
  const from = performance.now()
  const outcome = await ask(reader, question, number, signal).then(
    (words) => (words === question ? "answered" : "wrong"),
    (error: unknown) => (error instanceof Error ? error.name : "unknown"),
  )
  return { outcome, ms: performance.now() - from, lateMs: from - due }
}

async function playPhases(providers: readonly SimulatorProcess[], signal: AbortSignal): Promise<void> {
  const from = performance.now()
  for (const { fromSecond, name, outages, rates } of PHASES) {
    await pause(Math.max(0, from + fromSecond * 1_000 - performance.now()), undefined, { signal })
    for (const provider of providers) {
      await provider.setOutages(outages)
      await provider.setFaultRates(rates)
    }
    console.log(`    second ${`${fromSecond}`.padStart(2)}  ${name}`)
  }
}

interface Row {
  readonly name: string
  readonly answeredShare: number
  /** Calls that ended with other words than they should. */
  readonly wrong: number
  readonly medianMs: number
  readonly p99Ms: number
  /** Calls at the provider, for each that was made. */
  readonly upstream: number
  readonly lateP99Ms: number
}

async function rowOf({ name, provider }: Side, seen: readonly Seen[]): Promise<Row> {
  const times = seen.map(({ ms }) => ms)
  const count = (wanted: string) => seen.filter(({ outcome }) => outcome === wanted).length
  const lines = await provider.invoices()
  return {
    name,
    answeredShare: count("answered") / seen.length,
    wrong: count("wrong"),
    medianMs: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    upstream: lines.length / (seen.length + 1),
    lateP99Ms: quantile(
      seen.map(({ lateMs }) => lateMs),
      0.99,
    ),
  }
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((one, other) => one - other)[Math.floor(share * (values.length - 1))] ?? 0
}

function show(rows: readonly Row[]): void {
  chapter("what callers saw")
  console.log(`    ${"".padEnd(16)} answered    median       99 %   calls at the provider, each`)
  for (const { name, answeredShare, medianMs, p99Ms, upstream } of rows) {
    const figures = [
      `${(100 * answeredShare).toFixed(1)} %`.padStart(8),
      `${medianMs.toFixed(0)} ms`.padStart(9),
      `${p99Ms.toFixed(0)} ms`.padStart(10),
      upstream.toFixed(2).padStart(7),
    ]
    console.log(`    ${name.padEnd(16)} ${figures.join(" ")}`)
  }
}

/** What holds on any machine, and what holds on one that had time for its callers. */
function check([ours, theirs]: readonly Row[]): void {
  assert(ours !== undefined && theirs !== undefined)
  assert.equal(ours.wrong, 0)
  const lateMs = Math.max(ours.lateP99Ms, theirs.lateP99Ms)
  if (lateMs > MOST_LATE_MS) {
    console.log(
      `\n    This machine was busy: one call in a hundred began ${lateMs.toFixed(0)} ms late. These figures say little.`,
    )
    return
  }
  assert(ours.answeredShare >= 0.97, `only ${ours.answeredShare} were answered`)
  assert(ours.answeredShare > theirs.answeredShare)
  assert(ours.upstream < 1.25, `${ours.upstream} calls for each`)
}

import assert from "node:assert/strict"
import { fork } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { InvoiceLine, Simulator } from "@tierwise/simulator"
import { BudgetExceededError, type BudgetWarning, nanoToUsd, nanoUsd, savingsReport } from "tierwise"
import { at, runStory, type Stage } from "../run-story.ts"
import { chapter, usd } from "../show.ts"
import { openLedger } from "./open-ledger.ts"

const RIDDLE = "Take 27, add 28, double it, subtract 4, divide by 2, add 19. What is the result?"
const GREETING = "Good morning! Who are you?"

/** Acme wants the best there is, as long as there is money for it. */
const ACME = { scopes: { tenant: "acme" }, preference: 1 }
const UMBRA = { scopes: { tenant: "umbra" } }

const folder = await mkdtemp(join(tmpdir(), "tierwise-budget-"))
const file = join(folder, "money.db")
const warnings: BudgetWarning[] = []
const ledger = openLedger(file, (warning) => void warnings.push(warning))

/** One file holds the money of two tenants. Two programs spend it, and neither can spend what the other has. */
await runStory(
  "A budget that programs share",
  {
    budget: ledger,
    maxOutputTokens: 120,
    requestIdHeader: "x-request-id",
    underPressure: { downgradeAt: 0.8 },
  },
  async (stage) => {
    const { simulator } = stage
    if (simulator === undefined) {
      console.log("This story is checked against a provider's own bill, which only the simulator shows.")
      return
    }
    await holdAndSettle(stage, simulator)
    await spendElsewhere(stage, simulator)
    await warn(stage)
    await downgrade(stage)
    await refuse(stage, simulator)
    await compareBills(simulator)
    report(stage)
  },
)
await ledger.close()
await rm(folder, { recursive: true })

/** What a call may cost is held before it, and replaced by what it did cost: to the nano-dollar what the provider bills. */
async function holdAndSettle({ router, records, signal, tell }: Stage, simulator: Simulator) {
  chapter("two tenants, one file")
  const { most, likely } = await router.quote(RIDDLE, ACME)
  console.log(
    `    the riddle may cost ${shown(likely.money)}, ${shown(most.money)} at most: that much is held`,
  )
  for (const call of [ACME, ACME, UMBRA]) {
    await router.invoke(call === UMBRA ? GREETING : RIDDLE, { ...call, signal })
  }
  tell(RIDDLE, RIDDLE, GREETING)
  for (const { attempts } of records) {
    const [attempt] = attempts
    assert(attempt?.outcome === "answered")
    // The hold's id travels with the request, and stands on the invoice.
    const invoice = simulator.invoices().find(({ requestId }) => requestId === attempt.holdId)
    assert.equal(attempt.cost, invoice?.costNanoUsd)
  }
  assert.deepEqual(
    records.map(({ attempts: [attempt] }) => attempt?.tier),
    ["heavy", "heavy", "light"],
  )
}

/** A plain ChatOpenAI in another process, with a callback handler over the same file. */
async function spendElsewhere({ signal }: Stage, simulator: Simulator) {
  chapter("another program spends acme's money too")
  const program = fork(new URL("./night-shift.ts", import.meta.url), [simulator.baseUrl, file], { signal })
  const [code] = await once(program, "exit")
  assert.equal(code, 0)
  const [month] = await ledger.status({ tenant: "acme" })
  assert(month !== undefined)
  console.log(`    acme has spent ${shown(month.spent)} of ${shown(month.limit)}`)
  assert.equal(month.spent, sumOf(simulator.invoices().filter(({ model }) => model === "sim-large")))
}

async function warn({ router, signal, tell }: Stage) {
  chapter("four fifths are spent")
  while (warnings.length === 0) await router.invoke(RIDDLE, { ...ACME, signal })
  tell(RIDDLE)
  const [warning] = warnings
  assert(warning !== undefined && warnings.length === 1)
  console.log(`    warning: ${warning.scope} has spent ${shown(warning.spent)} of ${shown(warning.limit)}`)
  assert.equal(warning.share, 0.8)
}

/** From here on acme is answered one tier lower. The record says so, and why. */
async function downgrade({ router, records, signal, tell }: Stage) {
  chapter("money runs low")
  await router.invoke(RIDDLE, { ...ACME, signal })
  tell(RIDDLE)
  const { decision } = at(records, -1).plan
  assert.deepEqual([decision.reason, decision.tier], ["downgraded", "standard"])
}

/** Whoever insists is refused before anybody is called. The other tenant does not notice. */
async function refuse({ router, signal, tell }: Stage, simulator: Simulator) {
  chapter("a call that insists on the heavy tier")
  const asked = simulator.requests().length
  const insisting = router.invoke(RIDDLE, { ...ACME, tier: "heavy", signal })
  const error = await insisting.catch((thrown: unknown) => thrown)
  tell(RIDDLE)
  if (!(error instanceof BudgetExceededError)) throw error
  console.log(`    ${error.message}`)
  const { scope, window, limit, remaining, resetsAt } = error.refusal
  assert.deepEqual([scope, window, limit], ["tenant:acme", "month", 10_000_000])
  assert(remaining < error.quote.money && resetsAt !== undefined)
  assert.equal(simulator.requests().length, asked)
  await router.invoke(GREETING, { ...UMBRA, signal })
  tell(GREETING)
}

/** Opened anew, as after a restart: the file has every call of both programs, and nothing that is still held. */
async function compareBills(simulator: Simulator) {
  chapter("the ledger and the provider's bill")
  await ledger.close()
  const reopened = openLedger(file)
  try {
    const [, all] = await reopened.status({ tenant: "acme" })
    assert(all?.scope === "global:all")
    const invoices = simulator.invoices()
    const billed = sumOf(invoices)
    assert.deepEqual([all.spent, all.held, all.unconfirmed, all.overrun], [billed, 0, 0, 0])
    console.log(`    booked ${shown(all.spent)}, billed ${shown(billed)} in ${invoices.length} lines`)
  } finally {
    await reopened.close()
  }
}

function report({ records }: Stage) {
  chapter("what routing saved")
  const { total, rows } = savingsReport(records)
  for (const { key, answers, spent, alwaysHeavy } of [...rows, { ...total, key: "together" }]) {
    const { cost, savedPercent = 0 } = alwaysHeavy
    const saved = `${savedPercent.toFixed(0)} % less than always heavy (${usd(cost.usd)})`
    console.log(`    ${key.padEnd(9)} ${answers} answers, ${usd(spent.usd)}: ${saved}`)
    assert(spent.nanoUsd < cost.nanoUsd)
  }
}

function sumOf(invoices: readonly InvoiceLine[]): number {
  return invoices.reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0)
}

function shown(nano: number): string {
  return usd(nanoToUsd(nanoUsd(nano)))
}

import { BudgetExceededError, TierwiseError } from "tierwise"
import { afterAll, describe, expect, it } from "vitest"
import { ENTRIES, type Entry, POOR } from "./matrix/entries.ts"
import { askPlainModel, type Played, play, type Reference } from "./matrix/play.ts"
import { type Expectation, SITUATIONS, type Situation } from "./matrix/situations.ts"
import { type CellReport, matrixTable } from "./matrix/table.ts"

/** Turns of a 1 ms timer within which a caller that aborts has its error. */
const PROMPT_TICKS = 50

const cells: CellReport[] = []

afterAll(() => {
  console.log(`\nA router in the place of one chat model:\n\n${matrixTable(cells)}\n`)
})

describe.each(ENTRIES)("$name", (entry) => {
  for (const situation of SITUATIONS) {
    it(
      `stands in for one chat model: ${situation.name} ${entry.proves} ${situation.proves}`.trim(),
      async () => {
        expect.hasAssertions()
        const cell = { entry: entry.name, situation: situation.name, seen: "it did not end" }
        cells.push(cell)
        await checkCell(entry, situation).then(
          () => Object.assign(cell, { seen: undefined }),
          (error: Error) => {
            cell.seen = error.message.split("\n", 1)[0] ?? ""
            throw error
          },
        )
      },
    )
  }
})

async function checkCell(entry: Entry, situation: Situation): Promise<void> {
  const expected = situation.expects[entry.reading]
  const reference = await askPlainModel(entry)
  await using played = await play(entry, situation)
  checkOutcome(expected, played, reference, entry, situation)
  await checkCalls(expected, played, entry)
  await checkMoney(expected, played)
  await checkRuns(played)
}

/** What the caller got, and what the reader saw. */
function checkOutcome(
  { outcome: wanted }: Expectation,
  { outcome, shown, reason, abortTicks }: Played,
  reference: Reference,
  entry: Entry,
  situation: Situation,
): void {
  const error = "error" in outcome ? outcome.error : undefined
  switch (wanted) {
    case "answers":
      expect(outcome, "what the caller gets").toEqual({ result: reference.result })
      expect(shown, "what the reader sees").toBe(reference.shown)
      return
    case "poor":
      expect(JSON.stringify(outcome)).toContain(POOR)
      expect(shown, "what the reader sees").toBe(entry.poorAnswer)
      return
    case "breaks":
      expect(error, "what the caller gets").toBeInstanceOf(Error)
      expect((error as Error).message).toMatch(/terminated|socket|network|aborted/i)
      checkPartial(shown, reference, entry, situation)
      return
    case "aborted":
      expect(error, "what the caller gets").toBe(reason)
      expect(abortTicks).toBeLessThanOrEqual(PROMPT_TICKS)
      checkPartial(shown, reference, entry, situation)
      return
    default:
      expect(TierwiseError.find(error), "what the caller gets").toBeInstanceOf(BudgetExceededError)
      expect(shown).toBe("")
  }
}

/** What was read before it broke off: a part of the answer, nothing else and nothing twice. */
function checkPartial(shown: string, reference: Reference, entry: Entry, { hangs }: Situation): void {
  expect(reference.shown.slice(0, shown.length), "what the reader sees").toBe(shown)
  if (reference.shown !== "") expect(shown.length).toBeLessThan(reference.shown.length)
  const wasRead = entry.reading === "live" && hangs !== "light"
  if (!wasRead) expect(shown).toBe("")
  else if (entry.firstAnswer === "words") expect(shown).not.toBe("")
}

/** Whom the router asked, and that nobody is still at work. */
async function checkCalls(
  { outcome, asked }: Expectation,
  { world, records }: Played,
  entry: Entry,
): Promise<void> {
  const isBatch = entry.name === "batch"
  // Nothing is asked any more after an error; the other items of a batch were on their way.
  const others = outcome === "answers" || isBatch ? entry.calls - 1 : 0
  const models = world.bodies().map(({ model }) => model)
  const wanted = asked.length === 0 ? [] : [...asked, ...Array<string>(others).fill("sim-small")]
  expect([...models].sort(), "whom the router asked").toEqual([...wanted].sort())
  if (!isBatch) expect(models).toEqual(wanted)
  // A caller who aborts is let go at once; what that call did cost is written down right after.
  await expect.poll(() => records.length, { message: "records" }).toBe(others + 1)
}

/** Every token of every attempt is on our books, as it is on the provider's, and nothing is held. */
async function checkMoney({ asked }: Expectation, { world, budget, records }: Played): Promise<void> {
  const { simulator } = world
  // The provider writes its invoice when it has sent everything, or when it sees the connection close.
  await expect.poll(() => simulator.invoices().length).toBe(simulator.requests().length)
  const invoices = simulator.invoices()
  const attempts = records.flatMap((record) => record.attempts)
  const spent = sum(attempts.map((attempt) => (attempt.outcome === "skipped" ? 0 : attempt.cost)))
  const answered = attempts.filter((attempt) => attempt.outcome === "answered")
  const completed = invoices.filter(({ outcome }) => outcome === "completed")
  expect(sum(answered.map(({ cost }) => cost)), "cost of what was answered").toBe(
    sum(completed.map(({ costNanoUsd }) => costNanoUsd)),
  )
  const billed = sum(invoices.map(({ costNanoUsd }) => costNanoUsd))
  expect(spent, "cost of everything").toBeGreaterThanOrEqual(billed)
  expect(sum(records.map(({ cost }) => cost))).toBe(spent)
  const status = await budget.status({})
  expect(status, "the budget").toMatchObject([{ held: 0, unconfirmed: 0 }])
  if (asked.length > 0) expect(status[0]?.spent).toBe(spent)
}

/** One LLM run per provider call, with its tokens, and no run is left open. */
async function checkRuns({ world, runs }: Played): Promise<void> {
  expect(runs.llmRuns, "LLM runs").toBe(world.simulator.requests().length)
  await expect.poll(() => runs.open.size).toBe(0)
  const completed = world.simulator.invoices().filter(({ outcome }) => outcome === "completed")
  expect(runs.tokens, "tokens of LLM runs").toBe(
    sum(completed.map(({ inputTokens, outputTokens }) => inputTokens + outputTokens)),
  )
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

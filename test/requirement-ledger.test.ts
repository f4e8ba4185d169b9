import { describe, expect, it } from "vitest"
import { citedIds, countsBySystem, judgeRun, type LedgerRun, type LedgerTest } from "./requirement-ledger.ts"
import { requirementIds, requirements } from "./requirements.ts"

const known = new Set(["E1.a", "E1.b", "C2.x"])

const test = (title: string, state: LedgerTest["state"] = "passed"): LedgerTest => ({
  title,
  fullTitle: `some.test.ts > ${title}`,
  state,
})

const fullRun = (tests: readonly LedgerTest[], rest: Partial<LedgerRun> = {}): LedgerRun => ({
  tests,
  full: true,
  ci: false,
  noSkips: false,
  proven: [],
  ...rest,
})

describe("the requirements", () => {
  it("have ids of one form, a row of their own system and a text", () => {
    for (const [letter, { rows }] of Object.entries(requirements)) {
      for (const [row, { clauses }] of Object.entries(rows)) {
        expect(row).toMatch(new RegExp(`^${letter}\\d+$`))
        expect(Object.keys(clauses)).not.toHaveLength(0)
        for (const [slug, text] of Object.entries(clauses)) {
          expect(slug).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/)
          expect(text.trim()).not.toBe("")
        }
      }
    }
    expect([...requirementIds].every((id) => citedIds(`[${id}]`)[0] === id)).toBe(true)
  })
})

describe("citing", () => {
  it("reads one id, several in one bracket and several brackets", () => {
    expect(citedIds("scores Hello as light [E1.a]")).toEqual(["E1.a"])
    expect(citedIds("does both [E1.a, C2.x] and more [E1.b]")).toEqual(["E1.a", "C2.x", "E1.b"])
  })

  it("leaves other brackets alone", () => {
    expect(citedIds("reads messages[3].content, [1, 2] and [DONE] lines of [text]")).toEqual([])
  })

  it("reads a whole row too, so that it can be refused", () => {
    expect(judgeRun(fullRun([test("does everything [E1]")]), known).problems).toEqual([
      '"some.test.ts > does everything [E1]" cites E1, which test/requirements.ts does not know',
    ])
  })
})

describe("judging a run", () => {
  it("counts as proven what passing tests cite and no failing test does", () => {
    const { proved } = judgeRun(
      fullRun([test("[E1.a]"), test("[E1.b]"), test("[E1.b]", "failed"), test("[C2.x]", "skipped")]),
      known,
    )
    expect([...proved]).toEqual(["E1.a"])
  })

  it("fails on an unknown id, filtered or not", () => {
    for (const full of [true, false]) {
      const { problems } = judgeRun(fullRun([test("[E1.typo]")], { full }), known)
      expect(problems).toEqual([expect.stringContaining("E1.typo")])
    }
  })

  it("fails a full run when something proven is proven no more", () => {
    const proven = ["E1.a", "E1.b"]
    expect(judgeRun(fullRun([test("[E1.a]"), test("[E1.b]", "failed")], { proven }), known).problems).toEqual(
      ["E1.b was proven and is no more: no passing test cites it"],
    )
    expect(judgeRun(fullRun([test("[E1.a]")], { proven, full: false }), known).problems).toEqual([])
  })

  it("does not call something lost because its test was skipped, but lists the skip", () => {
    const { problems, skipped } = judgeRun(fullRun([test("[E1.a]", "skipped")], { proven: ["E1.a"] }), known)
    expect(problems).toEqual([])
    expect(skipped).toEqual(["some.test.ts > [E1.a]"])
  })

  it("fails on any skip where none is allowed", () => {
    const { problems } = judgeRun(fullRun([test("x", "skipped")], { noSkips: true }), known)
    expect(problems).toEqual(["tests were skipped (1), and here none may be"])
  })

  it("names what is newly proven, and fails on it where nobody commits it", () => {
    const tests = [test("[E1.b]"), test("[E1.a]")]
    expect(judgeRun(fullRun(tests, { proven: ["E1.b"] }), known)).toMatchObject({
      newlyProved: ["E1.a"],
      problems: [],
    })
    expect(judgeRun(fullRun(tests, { ci: true }), known).problems).toEqual([
      "test/proven.json lacks E1.a, E1.b: run npm test and commit test/proven.json",
    ])
    expect(judgeRun(fullRun(tests, { ci: true, full: false }), known).problems).toEqual([])
  })

  it("refuses a proven list that names what nobody knows", () => {
    const { problems } = judgeRun(fullRun([], { proven: ["Z9.gone"] }), known)
    expect(problems).toEqual([expect.stringContaining("test/proven.json lists Z9.gone")])
  })

  it("counts proven and open clauses by system", () => {
    const clauses = { a: "…", b: "…" }
    const lines = countsBySystem(
      { E: { title: "One", rows: { E1: { what: "", clauses } } } },
      new Set(["E1.b"]),
    )
    expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
      ["E", "One", "1 proven", "1 open"],
      ["all", "1 proven", "1 open"],
    ])
  })
})

import { type RequirementSystem, requirementIds } from "./requirements.ts"

/** One test of a run, as the ledger needs it. */
export interface LedgerTest {
  /** The test's own title, in which it cites what it proves. */
  readonly title: string
  /** The title with those of its suites and its file, for people. */
  readonly fullTitle: string
  readonly state: "passed" | "failed" | "skipped"
}

export interface LedgerRun {
  readonly tests: readonly LedgerTest[]
  /** True if nothing was filtered away and the run came to its end. */
  readonly full: boolean
  /** True on a build server, where nobody commits what a run would write. */
  readonly ci: boolean
  /** True if every test has to run. */
  readonly noSkips: boolean
  /** The ids that were proven before: test/proven.json. */
  readonly proven: readonly string[]
}

export interface Judgement {
  /** Why the run fails; empty if it does not. */
  readonly problems: readonly string[]
  /** Ids cited by a passing test and by no failing one. */
  readonly proved: ReadonlySet<string>
  /** Ids that this run proved first; a full local run adds them to test/proven.json. */
  readonly newlyProved: readonly string[]
  readonly skipped: readonly string[]
}

/** The ids in a title: `[E1.hello-light]`, several as `[E1.a] [E2.b]` or `[E1.a, E2.b]`. */
export function citedIds(title: string): readonly string[] {
  return [...title.matchAll(/\[([^[\]]*)\]/g)]
    .map(([, inside = ""]) => inside.split(",").map((part) => part.trim()))
    .filter((parts) => parts.every((part) => LOOKS_LIKE_ID.test(part)))
    .flat()
}

/** `E1` alone counts too, to be refused: a row is too much for one test. */
const LOOKS_LIKE_ID = /^[A-Z]\d{1,2}(?:\..*)?$/

/** What a run says about the requirements, and what is wrong with it. */
export function judgeRun(run: LedgerRun, known: ReadonlySet<string> = requirementIds): Judgement {
  const cited = {
    passed: idsOf(run.tests, "passed"),
    failed: idsOf(run.tests, "failed"),
    skipped: idsOf(run.tests, "skipped"),
  }
  const proved = new Set([...cited.passed].filter((id) => known.has(id) && !cited.failed.has(id)))
  const proven = new Set(run.proven)
  const newlyProved = run.full ? [...proved].filter((id) => !proven.has(id)).sort() : []
  const skipped = run.full ? run.tests.filter(({ state }) => state === "skipped").map((t) => t.fullTitle) : []
  // A skipped test says nothing about its requirement: it is listed, and refused where skips are.
  const lost = run.full ? run.proven.filter((id) => !proved.has(id) && !cited.skipped.has(id)) : []

  return {
    proved,
    newlyProved,
    skipped,
    problems: [
      ...unknownIds(run.tests, known),
      ...run.proven
        .filter((id) => !known.has(id))
        .map((id) => `test/proven.json lists ${id}, which test/requirements.ts does not know: remove it`),
      ...lost
        .filter((id) => known.has(id))
        .map((id) => `${id} was proven and is no more: no passing test cites it`),
      ...(run.ci && newlyProved.length > 0
        ? [`test/proven.json lacks ${newlyProved.join(", ")}: run npm test and commit test/proven.json`]
        : []),
      ...(run.noSkips && skipped.length > 0
        ? [`tests were skipped (${skipped.length}), and here none may be`]
        : []),
    ],
  }
}

/** Proven and open clauses by system, as lines of a small table. */
export function countsBySystem(
  systems: Readonly<Record<string, RequirementSystem>>,
  proved: ReadonlySet<string>,
): readonly string[] {
  const rows = Object.entries(systems).map(([letter, { title, rows }]) => {
    const ids = Object.entries(rows).flatMap(([row, { clauses }]) =>
      Object.keys(clauses).map((clause) => `${row}.${clause}`),
    )
    const done = ids.filter((id) => proved.has(id)).length
    return { name: `${letter}  ${title}`, done, open: ids.length - done }
  })
  const total = rows.reduce((sum, row) => ({ done: sum.done + row.done, open: sum.open + row.open }), {
    done: 0,
    open: 0,
  })
  const all = [...rows, { name: "   all", ...total }]
  const width = Math.max(...all.map(({ name }) => name.length))
  return all.map(
    ({ name, done, open }) =>
      `${name.padEnd(width)}  ${String(done).padStart(4)} proven  ${String(open).padStart(4)} open`,
  )
}

function idsOf(tests: readonly LedgerTest[], state: LedgerTest["state"]): ReadonlySet<string> {
  return new Set(tests.filter((test) => test.state === state).flatMap(({ title }) => citedIds(title)))
}

function unknownIds(tests: readonly LedgerTest[], known: ReadonlySet<string>): readonly string[] {
  return tests.flatMap(({ title, fullTitle }) =>
    citedIds(title)
      .filter((id) => !known.has(id))
      .map((id) => `"${fullTitle}" cites ${id}, which test/requirements.ts does not know`),
  )
}

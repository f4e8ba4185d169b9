import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { styleText } from "node:util"
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from "vitest/node"
import { countsBySystem, type Judgement, judgeRun, type LedgerTest } from "./requirement-ledger.ts"
import { requirements } from "./requirements.ts"
import { TEST_PROJECTS } from "./test-projects.ts"

export interface RequirementsReporterOptions {
  /** The committed list of what is proven: a sorted JSON array of ids. */
  readonly provenFile: URL
  /** Default: `process.env`; read are `CI` and `TIERWISE_NO_SKIPS`. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
}

/**
 * Says after a run what the product is proven to do. A full run fails when something proven is proven no more, and
 * a local one adds what is newly proven to the list. Any run fails on an id that nobody knows.
 */
export function requirementsReporter({
  provenFile,
  env = process.env,
}: RequirementsReporterOptions): Reporter {
  let vitest: Vitest | undefined
  let unfiltered = false
  return {
    onInit(started) {
      vitest = started
    },
    async onTestRunStart(specifications) {
      if (vitest !== undefined) unfiltered = await isUnfiltered(vitest, specifications)
    },
    onTestRunEnd(modules, _errors, reason) {
      if (vitest === undefined || modules.length === 0) return
      const log = (line: string): void => vitest?.logger.log(line)
      const full = unfiltered && reason !== "interrupted"
      const ci = isSet(env["CI"])
      const proven = readProven(provenFile)
      const judgement = judgeRun({
        tests: modules.flatMap(ledgerTests),
        full,
        ci,
        noSkips: isSet(env["TIERWISE_NO_SKIPS"]),
        proven,
      })

      const written = full && !ci && reason === "passed" && judgement.problems.length === 0
      if (written && judgement.newlyProved.length > 0) {
        writeProven(provenFile, [...proven, ...judgement.newlyProved])
      }
      if (full) printStanding(judgement, written, log)
      if (judgement.problems.length > 0) {
        process.exitCode = 1
        log(`\n ${styleText(["red", "bold"], "This run fails, whatever the summary says:")}`)
        for (const problem of judgement.problems) log(styleText("red", `   ✗ ${problem}`))
      }
    },
  }
}

/** True if the run holds every test there is: no file, name, tag or project was asked for. */
async function isUnfiltered(vitest: Vitest, specifications: readonly unknown[]): Promise<boolean> {
  const { config, projects } = vitest
  const everything = await vitest.globTestSpecifications()
  return (
    specifications.length === everything.length &&
    config.testNamePattern === undefined &&
    !config.tagsFilter?.length &&
    Object.keys(TEST_PROJECTS).every((name) => projects.some((project) => project.name === name))
  )
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && !["", "0", "false"].includes(value)
}

function ledgerTests(module: TestModule): LedgerTest[] {
  return [...module.children.allTests()].map((test) => ({
    title: test.name,
    fullTitle: `${module.relativeModuleId} > ${test.fullName}`,
    state: finalState(test),
  }))
}

/** A test that never came to its end, or never to its start because its suite broke, counts as failed. */
function finalState(test: TestCase): LedgerTest["state"] {
  const { state } = test.result()
  if (state === "pending") return "failed"
  return state === "skipped" && suitesOf(test).some((suite) => suite.errors().length > 0) ? "failed" : state
}

function suitesOf(test: TestCase): readonly (TestSuite | TestModule)[] {
  const suites: (TestSuite | TestModule)[] = [test.parent]
  for (let at = test.parent; at.type === "suite"; at = at.parent) suites.push(at.parent)
  return suites
}

function readProven(file: URL): readonly string[] {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as string[]) : []
}

function writeProven(file: URL, ids: readonly string[]): void {
  writeFileSync(file, `${JSON.stringify([...new Set(ids)].sort(), null, 2)}\n`)
}

function printStanding(judgement: Judgement, written: boolean, log: (line: string) => void): void {
  const { proved, newlyProved, skipped } = judgement
  log(`\n ${styleText("bold", "Requirements")}`)
  for (const line of countsBySystem(requirements, proved)) log(`   ${line}`)
  if (written && newlyProved.length > 0) {
    log(`   newly proven, added to test/proven.json: ${newlyProved.join(", ")}`)
  }
  if (skipped.length > 0) {
    log(`\n ${styleText("yellow", `Skipped ${skipped.length}`)}`)
    for (const title of skipped) log(styleText("yellow", `   ↓ ${title}`))
  }
}

import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, matchesGlob } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { importsOf, readImports } from "./import-graph.ts"
import { brokenImportRules, type PublishedEntries, placeOf } from "./import-rules.ts"
import { TEST_PROJECTS } from "./test-projects.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const SOURCES = ["packages/*/src", "examples", "test"].map((folder) => `${folder}/**/*.{ts,mts,js,mjs}`)

describe("the house", () => {
  it("keeps its import rules", () => {
    expect(brokenImportRules(readImports(root, SOURCES), publishedEntries(root))).toEqual([])
  })

  it("was seen whole: every place of the library has imports that were checked", () => {
    const places = new Set(readImports(root, SOURCES).map(({ from }) => placeOf(from)))
    expect([...places]).toEqual(
      expect.arrayContaining(["spec", "tokens", "hall", "door", "langchain", "room budget", "room pricing"]),
    )
  })
})

describe("the tests", () => {
  it("are all run by vitest: no test file lies outside its projects [L7.vitest]", () => {
    const files = globSync("**/*.{test,spec}.{ts,mts,js,mjs}", {
      cwd: root,
      exclude: ["**/node_modules", "**/dist", "**/.*"],
    })
    const patterns = Object.values(TEST_PROJECTS)
    expect(files.filter((file) => !patterns.some((pattern) => matchesGlob(file, pattern)))).toEqual([])
    expect(files).not.toEqual([])
  })
})

/** File (below packages/tierwise/src if it has no folder of its own) → source, and why it is refused. */
const PLANTED: readonly (readonly [story: string, file: string, source: string, refusal: RegExp])[] = [
  ["spec importing a room", "spec/x.ts", `import { a } from "../budget/a.ts"`, /spec may import spec alone/],
  ["spec importing behaviour", "spec/x.ts", `import { z } from "zod"`, /may import types alone/],
  ["tokens importing a room", "tokens/x.ts", `import "../budget/a.ts"`, /tokens may import spec and itself/],
  [
    "a room importing another",
    "budget/x.ts",
    `import { a } from "../pricing/a.ts"`,
    /a room may import spec/,
  ],
  [
    "a room importing a type of another",
    "budget/x.ts",
    `import type { A } from "../pricing/a.ts"`,
    /a room may import spec/,
  ],
  [
    "a room naming a type of another in place",
    "budget/x.ts",
    `export type X = import("../pricing/a.ts").A`,
    /a room may import spec/,
  ],
  [
    "a room importing another dynamically",
    "budget/x.ts",
    `export const load = () => import("../pricing/a.ts")`,
    /a room may import spec/,
  ],
  ["a room re-exporting another", "budget/x.ts", `export * from "../pricing/a.ts"`, /a room may import spec/],
  [
    "a room's test importing another",
    "budget/x.test.ts",
    `import "../pricing/a.ts"`,
    /a room may import spec/,
  ],
  [
    "a room importing the hall",
    "budget/x.ts",
    `import { route } from "../route.ts"`,
    /a room may import spec/,
  ],
  ["a room importing a door", "budget/x.ts", `import "../some-door.ts"`, /a room may import spec/],
  ["a room importing langchain", "budget/x.ts", `import "../langchain/a.ts"`, /a room may import spec/],
  ["langchain importing a room", "langchain/x.ts", `import "../budget/a.ts"`, /langchain may import spec/],
  ["the hall importing a door", "route.ts", `import "./some-door.ts"`, /the hall may import/],
  ["the hall's folder importing a door", "route/x.ts", `import "../some-door.ts"`, /the hall may import/],
  ["a folder nobody knows", "attic/x.ts", `import "../spec/a.ts"`, /src\/attic is no place of the house/],
  ["a door into a folder nobody knows", "x.ts", `import "./attic/a.ts"`, /src\/attic is no place/],
  ["a room importing Node", "budget/x.ts", `import { join } from "node:path"`, /browsers and at the edge/],
  ["a door importing Node", "x.ts", `import { readFile } from "fs"`, /browsers and at the edge/],
  ["a room loading Node", "budget/x.ts", `export const x = import("node:fs")`, /browsers and at the edge/],
  ["env importing Node at the top", "env/x.ts", `import "node:fs"`, /browsers and at the edge/],
  ["an import that only a run can tell", "x.ts", `export const x = (y: string) => import(y)`, /only a run/],
  [
    "the library importing the simulator",
    "x.ts",
    `import "@tierwise/simulator"`,
    /never imports @tierwise\/sim/,
  ],
  ["the library importing itself by name", "x.ts", `import "tierwise"`, /never imports tierwise/],
  [
    "the library reaching into the simulator",
    "x.test.ts",
    `import "../../simulator/src/index.ts"`,
    /relative paths stay inside packages\/tierwise/,
  ],
  [
    "the simulator importing the library",
    "packages/simulator/src/x.test.ts",
    `import "tierwise"`,
    /packages\/simulator never imports tierwise/,
  ],
  [
    "the gateway reaching into the library",
    "packages/gateway/src/x.ts",
    `import "../../tierwise/src/route.ts"`,
    /relative paths stay inside packages\/gateway/,
  ],
  [
    "an example reaching into the library",
    "examples/story/main.ts",
    `import "../../packages/tierwise/src/index.ts"`,
    /relative paths stay inside examples/,
  ],
  [
    "a scenario reaching into the library",
    "test/scenarios/x.test.ts",
    `import "../../packages/tierwise/src/index.ts"`,
    /relative paths stay inside test/,
  ],
  [
    "an example importing what is not published",
    "examples/story/main.ts",
    `import "tierwise/src/route.ts"`,
    /tierwise publishes no entry ".\/src\/route.ts"/,
  ],
]

const ALLOWED: readonly (readonly [story: string, file: string, source: string])[] = [
  ["a room importing spec, tokens and itself", "budget/x.ts", `import "../spec/a.ts"; import "./a.ts"`],
  ["spec importing an external type", "spec/x.ts", `import type { A } from "@langchain/core/messages"`],
  ["the hall importing rooms", "route.ts", `import "./budget/a.ts"; import "./pricing/a.ts"`],
  ["a door importing the hall and a room", "x.ts", `import "./route.ts"; import "./budget/a.ts"`],
  ["env loading Node when asked", "env/x.ts", `export const read = () => import("node:fs/promises")`],
  ["a library test using the simulator", "budget/x.test.ts", `import "@tierwise/simulator"`],
  ["a room's test using a contract suite", "budget/x.test.ts", `import "../testing/a.ts"`],
  ["a room's test using Node", "budget/x.test.ts", `import "node:fs"`],
  [
    "an example using published entries",
    "examples/x/main.ts",
    `import "tierwise"; import "tierwise/testing"`,
  ],
]

describe("the checker", () => {
  it.for(PLANTED)("refuses %s", ([, file, source, refusal]) => {
    expect(problemsOf({ [place(file)]: source })).toEqual([expect.stringMatching(refusal)])
  })

  it.for(ALLOWED)("allows %s", ([, file, source]) => {
    expect(problemsOf({ [place(file)]: source })).toEqual([])
  })

  it("refuses an import cycle and names its files", () => {
    const problems = problemsOf({
      [place("budget/x.ts")]: `import "./y.ts"`,
      [place("budget/y.ts")]: `export { z } from "./z.ts"`,
      [place("budget/z.ts")]: `import "./x.ts"; export const z = 1`,
    })
    expect(problems).toEqual([expect.stringMatching(/^import cycle: .*x\.ts → .*y\.ts → .*z\.ts → .*x\.ts$/)])
  })

  it("allows a cycle of types, which is gone before anything runs", () => {
    const problems = problemsOf({
      [place("budget/x.ts")]: `import type { Y } from "./y.ts"`,
      [place("budget/y.ts")]: `import { x } from "./x.ts"`,
    })
    expect(problems).toEqual([])
  })

  it("says file and line", () => {
    const [problem] = problemsOf({ [place("budget/x.ts")]: `const a = 1\n\nimport "../pricing/a.ts"` })
    expect(problem).toContain(`packages/tierwise/src/budget/x.ts:3 imports "../pricing/a.ts"`)
  })

  it("throws on a file that it cannot parse", () => {
    expect(() => importsOf("x.ts", "import {")).toThrow(/^x\.ts: /)
  })
})

function place(file: string): string {
  return /^(?:packages|examples|test)\//.test(file) ? file : `packages/tierwise/src/${file}`
}

/** What the checker says of a small workspace that holds these files. */
function problemsOf(files: Readonly<Record<string, string>>): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), "tierwise-architecture-"))
  try {
    for (const [file, source] of Object.entries(files)) {
      mkdirSync(join(folder, dirname(file)), { recursive: true })
      writeFileSync(join(folder, file), source)
    }
    return brokenImportRules(readImports(folder, SOURCES), publishedEntries(root))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function publishedEntries(workspace: string): PublishedEntries {
  const manifests = globSync("packages/*/package.json", { cwd: workspace }).map(
    (file) =>
      JSON.parse(readFileSync(join(workspace, file), "utf8")) as {
        name: string
        exports: Record<string, unknown>
      },
  )
  return new Map(manifests.map(({ name, exports }) => [name, new Set(Object.keys(exports))]))
}

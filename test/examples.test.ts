import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type ProgramRun, runProgram } from "./run-program.ts"
import { runnableSnippets } from "./runnable-snippets.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

const examples = globSync("examples/*/", {
  cwd: root,
  exclude: ["**/node_modules", "**/dist", "**/.*"],
}).sort()

const pages = globSync(["README.md", "packages/*/README.md", "docs/guide/**/*.md"], { cwd: root }).sort()
const snippets = pages.flatMap((page) => runnableSnippets(page, readFileSync(join(root, page), "utf8")))

describe("the examples", () => {
  it("have a main.ts each", () => {
    expect(examples.filter((folder) => !existsSync(join(root, folder, "main.ts")))).toEqual([])
  })

  it.for(examples)("%s runs offline and exits 0 [L6.offline-examples]", async (folder) => {
    const { code, output } = await runOffline(`${folder}/main.ts`)
    expect(code, output).toBe(0)
  })
})

describe("the snippets in the docs", () => {
  // Below examples/, to resolve what an example can; in a dist folder, which every other tool leaves alone.
  const folder = join(root, "examples", "dist", `snippets-${process.pid}`)

  beforeAll(() => {
    mkdirSync(folder, { recursive: true })
    for (const { name, code } of snippets) writeFileSync(join(folder, `${name}.ts`), code)
  })

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it("hold the README's quick start, if there is a README", () => {
    const quickStarts = snippets.filter(({ page }) => page === "README.md")
    expect(quickStarts.length > 0).toBe(pages.includes("README.md"))
  })

  it("compile", async () => {
    writeFileSync(join(folder, "index.ts"), "export {}\n")
    const config = { extends: join(root, "tsconfig.json"), include: ["*.ts"], exclude: [] }
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config))
    const tsc = join(root, "node_modules", ".bin", "tsc")
    const { code, output } = await runProgram(tsc, ["-p", folder], { cwd: folder })
    expect(code, output).toBe(0)
  })

  it.for(snippets)("$page:$line runs offline and exits 0", async ({ name }) => {
    const { code, output } = await runOffline(join(folder, `${name}.ts`))
    expect(code, output).toBe(0)
  })
})

describe("the way they are run", () => {
  it("fails what asks for a connection to another machine", async () => {
    const folder = join(root, "examples", "dist", `offline-${process.pid}`)
    mkdirSync(folder, { recursive: true })
    try {
      for (const call of [
        `fetch("http://192.0.2.1/v1")`,
        `(await import("node:https")).get("https://192.0.2.1")`,
        `(await import("node:net")).connect(443, "192.0.2.1")`,
      ]) {
        writeFileSync(join(folder, "main.ts"), `await ${call}\n`)
        const { code, output } = await runOffline(join(folder, "main.ts"))
        expect(code).not.toBe(0)
        expect(output).toContain("A connection to 192.0.2.1 was asked for")
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("takes the marked TypeScript blocks of a page, with their lines", () => {
    const page = [
      "# Page",
      "```ts test",
      `console.log("a")`,
      "```",
      "```ts",
      "not(this)",
      "```",
      "```typescript",
      "// quick-start",
      "run()",
      "```",
      "```js test",
      "norThis()",
      "```",
    ].join("\n")
    expect(runnableSnippets("docs/guide/page.md", page)).toEqual([
      { page: "docs/guide/page.md", line: 2, name: "page-2", code: `console.log("a")\n` },
      { page: "docs/guide/page.md", line: 8, name: "page-8", code: "// quick-start\nrun()\n" },
    ])
  })
})

function runOffline(file: string): Promise<ProgramRun> {
  const guard = join(root, "test", "loopback-only.ts")
  return runProgram(process.execPath, ["--conditions=@tierwise/source", `--import=${guard}`, file], {
    cwd: root,
  })
}

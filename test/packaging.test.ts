import { copyFileSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseSync, Visitor } from "oxc-parser"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { runProgram } from "./run-program.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const packages = globSync("packages/*/package.json", { cwd: root })
  .map((file) => ({ folder: join(root, dirname(file)), manifest: readManifest(join(root, file)) }))
  .filter(({ manifest }) => manifest.private !== true)
const entries = packages.flatMap(({ manifest }) => publicEntries(manifest))

/** Entries that ask for a package which the others do without. */
const NEEDS: Readonly<Record<string, string>> = { "tierwise/middleware": "langchain" }

/**
 * Both ends of the supported range, each with the newest provider's package that takes it. Cores before 1.2.8 let no call
 * switch off the package's own retries, which multiply the router's.
 */
const ENDS = {
  oldest: [`@langchain/core@${oldestOf("@langchain/core")}`, "@langchain/openai@1.5.8"],
  newest: ["@langchain/core", "@langchain/openai", "langchain"].map((name) => `${name}@${installed(name)}`),
}

/** What a user gets: the packages, built, packed and installed from their tarballs beside the peers they need. */
describe("the published packages", () => {
  const newest = mkdtempSync(join(tmpdir(), "tierwise-consumer-"))
  const oldest = mkdtempSync(join(tmpdir(), "tierwise-consumer-"))
  const folders = { oldest, newest }
  const tarballs = new Map<string, Tarball>()

  beforeAll(async () => {
    // A file that is gone from the sources would otherwise live on in what is packed.
    for (const { folder } of packages) rmSync(join(folder, "dist"), { recursive: true, force: true })
    await mustRun("tsc", ["-b", ...packages.map(({ folder }) => join(folder, "tsconfig.build.json"))], root)
    for (const { folder, manifest } of packages) tarballs.set(manifest.name, await pack(folder, newest))

    const packed = [...tarballs.values()].map(({ file }) => file)
    await Promise.all([
      install([...packed, ...ENDS.oldest], oldest),
      install([...packed, ...ENDS.newest], newest),
    ])
  })

  afterAll(() => {
    for (const folder of [oldest, newest]) rmSync(folder, { recursive: true, force: true })
  })

  it.for(packages)(
    "$manifest.name holds its README and LICENSE, and no tests or build notes",
    ({ manifest }) => {
      const files = tarballs.get(manifest.name)?.files ?? []
      expect(["LICENSE", "README.md", "package.json"].filter((file) => !files.includes(file))).toEqual([])
      expect(files.filter((file) => /\.test\.|tsbuildinfo|tsconfig|node_modules/.test(file))).toEqual([])
      expect(files.filter((file) => /^dist\/.*\.(?:js|d\.ts)$/.test(file))).not.toEqual([])
    },
  )

  it.for(packages)("$manifest.name depends on versions, not on the workspace", ({ manifest }) => {
    const published = JSON.stringify(
      readManifest(join(newest, "node_modules", manifest.name, "package.json")),
    )
    expect(published).not.toMatch(/"(?:catalog|workspace):/)
  })

  it("can be imported and required, with the same names", async () => {
    for (const entry of entries) {
      const imported = await namesByNode(`await import("${entry}")`, newest)
      const required = await namesByNode(`createRequire(import.meta.url)("${entry}")`, newest)
      expect(required, entry).toEqual(imported)
    }
  })

  it("need of the oldest core nothing that only newer ones have", async () => {
    for (const entry of entries.filter((entry) => !(entry in NEEDS))) {
      const [before, now] = await Promise.all(
        [oldest, newest].map((folder) => namesByNode(`await import("${entry}")`, folder)),
      )
      expect(before, entry).toEqual(now)
    }
  })

  it.for(["oldest", "newest"] as const)("work for a user with the %s supported core", async (end) => {
    const folder = folders[end]
    copyFileSync(new URL("./consumer-program.ts", import.meta.url), join(folder, "program.ts"))
    const [{ code, output }, errors] = await Promise.all([
      runProgram("node", ["program.ts"], { cwd: folder }),
      typeErrors(folder, "program.ts", { moduleResolution: "nodenext", module: "nodenext" }),
    ])
    expect(code, output).toBe(0)
    expect(errors).toEqual([])
  })

  it.for(Object.entries(NEEDS))("say that %s needs %s where it is missing", async ([entry, needed]) => {
    expect(entries).toContain(entry)
    const { code, output } = await runProgram(
      "node",
      ["--input-type=module", "--eval", `import "${entry}"`],
      {
        cwd: oldest,
      },
    )
    expect(code).not.toBe(0)
    expect(output).toMatch(new RegExp(`Cannot find package '${needed}'|npm install ${needed}`))
  })

  // After a wanted change: npm test -- packaging -u
  it("export the names in test/exported-names.json, and no others", async () => {
    const names: Record<string, { values: readonly string[]; types: readonly string[] }> = {}
    for (const entry of entries) {
      const values = await namesByNode(`await import("${entry}")`, newest)
      const declared = declaredNames(declarationsOf(entry, newest))
      expect(values.filter((name) => !declared.includes(name))).toEqual([])
      names[entry] = { values, types: declared.filter((name) => !values.includes(name)) }
    }
    await expect(`${JSON.stringify(names, null, 2)}\n`).toMatchFileSnapshot("exported-names.json")
  })

  it.for([
    { moduleResolution: "nodenext", module: "nodenext" },
    { moduleResolution: "bundler", module: "esnext" },
  ])("type-check for a user with moduleResolution $moduleResolution", async (compilerOptions) => {
    writeFileSync(join(newest, "consumer.ts"), importEverything(newest))
    expect(await typeErrors(newest, "consumer.ts", compilerOptions)).toEqual([])
  })

  it("say which package to install when a provider's is missing", async () => {
    const program = `import { RouterChatModel } from "tierwise"
      await RouterChatModel.fromEnv({ env: {}, envFile: false }).catch((error) => console.log(error.message))`
    const { output } = await runProgram("node", ["--input-type=module", "-e", program], {
      cwd: newest,
      env: process.env,
    })
    expect(output).toContain("MODEL_LIGHT: it needs the package @langchain/ollama, which is not installed")
    expect(output).toContain("Fix: npm install @langchain/ollama.")
  })

  it.for(packages)("$manifest.name declares nothing as any", ({ manifest }) => {
    const folder = join(newest, "node_modules", manifest.name)
    const found: string[] = []
    for (const file of globSync("dist/**/*.d.ts", { cwd: folder })) {
      const { program } = parseSync(file, readFileSync(join(folder, file), "utf8"))
      new Visitor({ TSAnyKeyword: ({ start }) => void found.push(`${file}:${start}`) }).visit(program)
    }
    expect(found).toEqual([])
  })

  it.for(packages)("$manifest.name pleases publint and attw", async ({ manifest }) => {
    const file = tarballs.get(manifest.name)?.file ?? ""
    for (const [program, ...args] of [
      ["publint", "--strict", file],
      ["attw", file, "--profile", "esm-only", "--format", "ascii", "--no-color"],
    ] as const) {
      const { code, output } = await runProgram(program, args, { cwd: newest, env: process.env })
      expect(code, output).toBe(0)
    }
  })
})

interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly exports?: Readonly<Record<string, unknown>>
}

interface Tarball {
  readonly file: string
  readonly files: readonly string[]
}

/** Strict, and with the libraries' own declarations checked. */
const CONSUMER_CONFIG = {
  compilerOptions: {
    target: "es2023",
    lib: ["es2023", "dom", "esnext.disposable"],
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    types: ["node"],
    typeRoots: [join(root, "node_modules", "@types")],
  },
}

function readManifest(file: string): Manifest {
  return JSON.parse(readFileSync(file, "utf8")) as Manifest
}

/** The lowest version that the library says it works with. */
function oldestOf(peer: string): string {
  const range = packages.find(({ manifest }) => manifest.name === "tierwise")?.manifest.peerDependencies?.[
    peer
  ]
  if (range?.startsWith("^") !== true) throw new Error(`tierwise has no caret range for ${peer}`)
  return range.slice(1)
}

/** The version that everything else here is tested with. */
function installed(name: string): string {
  return readManifest(join(root, "packages/tierwise/node_modules", name, "package.json")).version
}

/** `tierwise`, `tierwise/testing` …: what a user can import. */
function publicEntries({ name, exports = {} }: Manifest): readonly string[] {
  return Object.keys(exports)
    .filter((entry) => entry !== "./package.json")
    .map((entry) => name + entry.slice(1))
}

async function pack(folder: string, into: string): Promise<Tarball> {
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    packageManager: string
  }
  const output = await mustRun(
    "npx",
    ["--yes", packageManager, "pack", "--json", "--pack-destination", into],
    folder,
  )
  const { filename, files } = JSON.parse(output.slice(output.indexOf("{"))) as {
    filename: string
    files: { path: string }[]
  }
  return { file: join(into, filename.split(/[\\/]/).at(-1) ?? ""), files: files.map(({ path }) => path) }
}

async function install(wanted: readonly string[], folder: string): Promise<void> {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }))
  await mustRun("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", ...wanted], folder)
}

/** What a strict user's compiler says of one of their files and of our declarations. */
async function typeErrors(
  folder: string,
  file: string,
  compilerOptions: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  const config = `tsconfig.${file}.${compilerOptions["moduleResolution"]}.json`
  const options = { ...CONSUMER_CONFIG.compilerOptions, ...compilerOptions }
  writeFileSync(join(folder, config), JSON.stringify({ compilerOptions: options, files: [file] }))
  const { output } = await runProgram("tsc", ["-p", config], { cwd: folder, env: process.env })
  // Declarations of other packages are checked as well, and are not ours to mend.
  return output
    .split("\n")
    .filter((line) => line.startsWith(file) || /^node_modules\/(?:@tierwise\/|tierwise\/)/.test(line))
}

/** Runs a program that has to succeed, and gives its output. */
async function mustRun(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, output } = await runProgram(program, args, { cwd, env: process.env, timeoutMs: 100_000 })
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} failed (${code}):\n${output}`)
  return output
}

/** The sorted names of a module namespace, as Node sees them in the consumer's folder. */
async function namesByNode(expression: string, consumer: string): Promise<readonly string[]> {
  const script = `
    import { createRequire } from "node:module"
    const names = Object.keys(${expression}).filter((name) => name !== "module.exports" && name !== "__esModule")
    console.log(JSON.stringify(names.sort()))
    createRequire`
  const output = await mustRun(process.execPath, ["--input-type=module", "--eval", script], consumer)
  return JSON.parse(output) as string[]
}

function declarationsOf(entry: string, consumer: string): string {
  const { manifest } = packages.find(({ manifest: { name } }) => `${entry}/`.startsWith(`${name}/`)) ?? {}
  if (manifest === undefined) throw new Error(`${entry} belongs to no package`)
  const published = manifest.exports?.[`.${entry.slice(manifest.name.length)}`] as { types: string }
  return join(consumer, "node_modules", manifest.name, published.types)
}

/** Every name a declaration file exports, types included, sorted. */
function declaredNames(file: string): readonly string[] {
  const names = new Set<string>()
  const { program } = parseSync(file, readFileSync(file, "utf8"))
  new Visitor({
    ExportNamedDeclaration: ({ specifiers, declaration }) => {
      for (const { exported } of specifiers)
        names.add(exported.type === "Literal" ? exported.value : exported.name)
      if (declaration !== null && "id" in declaration && declaration.id?.type === "Identifier")
        names.add(declaration.id.name)
      if (declaration?.type === "VariableDeclaration") {
        for (const { id } of declaration.declarations) if (id.type === "Identifier") names.add(id.name)
      }
    },
    ExportAllDeclaration: ({ source, exported }) => {
      if (exported !== null) names.add(exported.type === "Literal" ? exported.value : exported.name)
      else
        for (const name of declaredNames(join(dirname(file), source.value.replace(/\.js$/, ".d.ts"))))
          names.add(name)
    },
  }).visit(program)
  return [...names].sort()
}

/** A module that imports every exported name, types too. */
function importEverything(consumer: string): string {
  const lines = entries.map((entry, index) => {
    const names = declaredNames(declarationsOf(entry, consumer)).map(
      (name) => `type ${name} as _${index}${name}`,
    )
    return `import { ${names.join(", ")} } from "${entry}"`
  })
  return `${lines.join("\n")}\nexport {}\n`
}

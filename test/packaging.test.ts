import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
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

/** What a user gets: the packages, built, packed and installed from their tarballs beside the peer they need. */
describe("the published packages", () => {
  const consumer = mkdtempSync(join(tmpdir(), "tierwise-consumer-"))
  const tarballs = new Map<string, Tarball>()

  beforeAll(async () => {
    // A file that is gone from the sources would otherwise live on in what is packed.
    for (const { folder } of packages) rmSync(join(folder, "dist"), { recursive: true, force: true })
    await mustRun("tsc", ["-b", ...packages.map(({ folder }) => join(folder, "tsconfig.build.json"))], root)
    for (const { folder, manifest } of packages) tarballs.set(manifest.name, await pack(folder, consumer))

    writeFileSync(join(consumer, "package.json"), JSON.stringify({ private: true, type: "module" }))
    const core = readManifest(join(root, "packages/tierwise/node_modules/@langchain/core/package.json"))
    const wanted = [...[...tarballs.values()].map(({ file }) => file), `@langchain/core@${core.version}`]
    await mustRun(
      "npm",
      ["install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", ...wanted],
      consumer,
    )
  })

  afterAll(() => rmSync(consumer, { recursive: true, force: true }))

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
      readManifest(join(consumer, "node_modules", manifest.name, "package.json")),
    )
    expect(published).not.toMatch(/"(?:catalog|workspace):/)
  })

  it("can be imported and required, with the same names", async () => {
    for (const entry of entries) {
      const imported = await namesByNode(`await import("${entry}")`, consumer)
      const required = await namesByNode(`createRequire(import.meta.url)("${entry}")`, consumer)
      expect(required, entry).toEqual(imported)
    }
  })

  // After a wanted change: npm test -- packaging -u
  it("export the names in test/exported-names.json, and no others", async () => {
    const names: Record<string, { values: readonly string[]; types: readonly string[] }> = {}
    for (const entry of entries) {
      const values = await namesByNode(`await import("${entry}")`, consumer)
      const declared = declaredNames(declarationsOf(entry, consumer))
      expect(values.filter((name) => !declared.includes(name))).toEqual([])
      names[entry] = { values, types: declared.filter((name) => !values.includes(name)) }
    }
    await expect(`${JSON.stringify(names, null, 2)}\n`).toMatchFileSnapshot("exported-names.json")
  })

  it.for([
    { moduleResolution: "nodenext", module: "nodenext" },
    { moduleResolution: "bundler", module: "esnext" },
  ])("type-check for a user with moduleResolution $moduleResolution", async (compilerOptions) => {
    const config = `tsconfig.${compilerOptions.moduleResolution}.json`
    writeFileSync(join(consumer, "consumer.ts"), importEverything(consumer))
    writeFileSync(
      join(consumer, config),
      JSON.stringify({
        ...CONSUMER_CONFIG,
        compilerOptions: {
          ...CONSUMER_CONFIG.compilerOptions,
          ...compilerOptions,
        },
      }),
    )
    const { output } = await runProgram("tsc", ["-p", config], { cwd: consumer, env: process.env })
    // Declarations of other packages are checked as well, and are not ours to mend.
    const ours = output
      .split("\n")
      .filter((line) => /^(?:consumer|node_modules\/(?:@tierwise\/|tierwise\/))/.test(line))
    expect(ours).toEqual([])
  })

  it("say which package to install when a provider's is missing", async () => {
    const program = `import { RouterChatModel } from "tierwise"
      await RouterChatModel.fromEnv({ env: {}, envFile: false }).catch((error) => console.log(error.message))`
    const { output } = await runProgram("node", ["--input-type=module", "-e", program], {
      cwd: consumer,
      env: process.env,
    })
    expect(output).toContain("MODEL_LIGHT: it needs the package @langchain/ollama, which is not installed")
    expect(output).toContain("Fix: npm install @langchain/ollama.")
  })

  it.for(packages)("$manifest.name pleases publint and attw", async ({ manifest }) => {
    const file = tarballs.get(manifest.name)?.file ?? ""
    for (const [program, ...args] of [
      ["publint", "--strict", file],
      ["attw", file, "--profile", "esm-only", "--format", "ascii", "--no-color"],
    ] as const) {
      const { code, output } = await runProgram(program, args, { cwd: consumer, env: process.env })
      expect(code, output).toBe(0)
    }
  })
})

interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
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
  files: ["consumer.ts"],
}

function readManifest(file: string): Manifest {
  return JSON.parse(readFileSync(file, "utf8")) as Manifest
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

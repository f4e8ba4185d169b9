import { spawn } from "node:child_process"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

/** What `npm test` does, in this order. The first step that fails ends it. */
const STEPS: readonly Step[] = [
  {
    name: "format",
    command: ["biome", "ci", "--colors=off", "--error-on-warnings", "."],
    fix: "npx biome check --write .",
  },
  { name: "lint", command: ["oxlint", "--type-aware", "--deny-warnings"] },
  { name: "unused", command: ["knip", "--config", ".knip.json", "--no-progress"] },
  { name: "types", command: ["tsc", "-p", "tsconfig.json"] },
]

const TESTS = ["vitest", "run", "--config", "test/vitest.config.ts"]

interface Step {
  readonly name: string
  readonly command: readonly string[]
  /** A command that mends most of what this step finds. */
  readonly fix?: string
}

const root = fileURLToPath(new URL("..", import.meta.url))

process.exitCode = await check(process.argv.slice(2))

/** With filters only the tests that match run. The result is the exit code. */
async function check(filters: readonly string[]): Promise<number> {
  if (filters.length === 0) {
    for (const step of STEPS) {
      const code = await runStep(step)
      if (code !== 0) return code
    }
  }
  const { code } = await run([...TESTS, ...filters], "shown")
  return code
}

async function runStep({ name, command, fix }: Step): Promise<number> {
  const started = performance.now()
  const { code, output } = await run(command, "kept")
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(` ${code === 0 ? "✓" : "✗"} ${name.padEnd(8)} ${seconds} s`)
  if (code !== 0) {
    console.log(output.trimEnd())
    console.log(`\n ✗ ${name} failed: ${command.join(" ")}${fix === undefined ? "" : `\n   try: ${fix}`}`)
  }
  return code
}

interface Outcome {
  readonly code: number
  readonly output: string
}

/** Runs one of the workspace's own programs, also when they are not on the PATH yet. */
function run([program = "", ...args]: readonly string[], show: "shown" | "kept"): Promise<Outcome> {
  const path = `${join(root, "node_modules", ".bin")}${delimiter}${process.env["PATH"] ?? ""}`
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, PATH: path },
      stdio: show === "shown" ? "inherit" : ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32",
    })
    // A terminal's Ctrl-C reaches the child as well; what is left to do here is to wait for its end.
    const wait = (): void => {}
    process.on("SIGINT", wait)
    const pieces: Buffer[] = []
    child.stdout?.on("data", (piece: Buffer) => pieces.push(piece))
    child.stderr?.on("data", (piece: Buffer) => pieces.push(piece))
    child.on("error", reject)
    child.on("close", (code, signal) => {
      process.off("SIGINT", wait)
      resolve({ code: code ?? (signal === "SIGINT" ? 130 : 1), output: Buffer.concat(pieces).toString() })
    })
  })
}

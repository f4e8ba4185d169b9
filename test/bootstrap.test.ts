import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { type ProgramRun, runProgram } from "./run-program.ts"

const BOOTSTRAP = fileURLToPath(new URL("../scripts/bootstrap.mjs", import.meta.url))

/** What stands in for npx: it notes that it was called, then does what a story needs. */
const INSTALLS = `/bin/mkdir -p node_modules/node/bin && /bin/ln -sf "${process.execPath}" node_modules/node/bin/node`
const IS_OFFLINE = `echo "npm error request to the registry failed, reason: connect ECONNREFUSED 127.0.0.1:9" >&2; exit 1`
const BREAKS_HALFWAY = `${INSTALLS}; echo "ERR_PNPM_TARBALL_INTEGRITY  Got unexpected checksum" >&2; exit 1`

describe("the bootstrap", () => {
  it("installs once, then runs with the arguments and the exit code of what it ran", async () => {
    await inWorkspace(INSTALLS, async ({ start, installs }) => {
      const first = await start("a prompt", `q"uo'te`)
      expect(first.output).toContain("Installed in")
      expect(first.output).toContain(JSON.stringify(["a prompt", `q"uo'te`]))
      expect(first.code).toBe(7)
      const second = await start("again")
      expect(second.output).toBe(`${JSON.stringify(["again"])}\n`)
      expect(installs()).toBe(1)
    })
  })

  it("installs again when the lockfile, the workspace or any package.json changes", async () => {
    await inWorkspace(INSTALLS, async ({ start, installs, write }) => {
      await start()
      const changed = [
        "pnpm-lock.yaml",
        "package.json",
        "packages/one/package.json",
        "packages/two/package.json",
      ]
      for (const [index, file] of changed.entries()) {
        write(file, file.endsWith("package.json") ? `${manifest(file)}\n` : "changed: true\n")
        write(join(file, "../node_modules/.keep"), "")
        await start()
        expect(installs(), file).toBe(index + 2)
      }
    })
  })

  it("installs again when a package's node_modules or the pinned Node is gone", async () => {
    await inWorkspace(INSTALLS, async ({ start, installs, remove, write }) => {
      await start()
      remove("packages/one/node_modules")
      await start()
      expect(installs()).toBe(2)
      write("packages/one/node_modules/.keep", "")
      remove("node_modules/node")
      await start()
      expect(installs()).toBe(3)
    })
  })

  it("says in one sentence that it is offline", async () => {
    await inWorkspace(IS_OFFLINE, async ({ start, has }) => {
      const { code, output } = await start()
      expect(code).toBe(1)
      expect(lastLines(output)).toEqual([
        expect.stringMatching(
          /^The dependencies could not be installed because the package registry cannot be reached: check the network .* \(log: .*\)\.$/,
        ),
      ])
      expect(has("node_modules/.tierwise-installed")).toBe(false)
    })
  })

  it("does not take a half-failed install for one, and says what broke", async () => {
    await inWorkspace(BREAKS_HALFWAY, async ({ start, installs, has }) => {
      const { code, output } = await start()
      expect(code).toBe(1)
      expect(lastLines(output)).toEqual([expect.stringContaining("ERR_PNPM_TARBALL_INTEGRITY")])
      expect(has("node_modules/.tierwise-installed")).toBe(false)
      await start()
      expect(installs()).toBe(2)
    })
  })

  it("says in one sentence that npm is missing", async () => {
    await inWorkspace(undefined, async ({ start }) => {
      const { code, output } = await start()
      expect(code).toBe(1)
      expect(lastLines(output)).toEqual([
        expect.stringMatching(/^npm was not found: install Node 20 or newer/),
      ])
    })
  })

  it("hands none of npm's own variables on, but keeps the way to the registry", async () => {
    await inWorkspace(INSTALLS, async ({ start, write }) => {
      write("main.mjs", "console.log(Object.keys(process.env).filter((name) => /^npm_/i.test(name)).join())")
      const { output } = await start()
      expect(output.trim().split("\n").at(-1)).toBe("npm_config_registry")
    })
  })
})

interface World {
  readonly start: (...args: string[]) => Promise<ProgramRun>
  readonly installs: () => number
  readonly has: (file: string) => boolean
  readonly write: (file: string, text: string) => void
  readonly remove: (file: string) => void
}

/** A small workspace with two packages, and an npx of ours, or none, as the only program on the PATH. */
async function inWorkspace(npx: string | undefined, story: (world: World) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "tierwise-bootstrap-"))
  const write = (file: string, text: string): void => {
    mkdirSync(join(root, file, ".."), { recursive: true })
    writeFileSync(join(root, file), text)
  }
  try {
    mkdirSync(join(root, "scripts"))
    cpSync(BOOTSTRAP, join(root, "scripts/bootstrap.mjs"))
    write("pnpm-workspace.yaml", "packages:\n  - packages/*\n\n# The end.\n")
    write("pnpm-lock.yaml", "changed: false\n")
    for (const file of ["package.json", "packages/one/package.json", "packages/two/package.json"])
      write(file, manifest(file))
    for (const name of ["one", "two"]) write(`packages/${name}/node_modules/.keep`, "")
    write("main.mjs", "console.log(JSON.stringify(process.argv.slice(2))); process.exitCode = 7")
    mkdirSync(join(root, "bin"))
    if (npx !== undefined) {
      write("bin/npx", `#!/bin/sh\necho called >> npx.log\n${npx}\n`)
      chmodSync(join(root, "bin/npx"), 0o755)
    }
    symlinkSync(process.execPath, join(root, "bin/node"))
    const env = {
      PATH: join(root, "bin"),
      // The logs of failed installs go with the rest.
      TMPDIR: root,
      npm_config_registry: "http://127.0.0.1:9/",
      npm_lifecycle_event: "start",
      npm_config_prefix: "/nowhere",
    }
    await story({
      start: (...args) =>
        runProgram(process.execPath, [join(root, "scripts/bootstrap.mjs"), "start", ...args], {
          cwd: root,
          env,
        }),
      installs: () => readFileSync(join(root, "npx.log"), "utf8").trim().split("\n").length,
      has: (file) => existsSync(join(root, file)),
      write,
      remove: (file) => rmSync(join(root, file), { recursive: true }),
    })
  } finally {
    rmSync(root, { recursive: true })
  }
}

function manifest(file: string): string {
  return JSON.stringify({
    name: file,
    packageManager: "pnpm@1.2.3",
    scripts: { "ws:start": "node main.mjs" },
  })
}

/** The output but for the progress that goes before. */
function lastLines(output: string): readonly string[] {
  return output
    .trim()
    .split("\n")
    .filter((line) => !/^(?:Installing| )/.test(line))
}

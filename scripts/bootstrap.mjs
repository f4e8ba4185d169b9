#!/usr/bin/env node
// Brings the workspace to life on any machine that has Node 20 or newer and npm, then hands over to the `ws:` script
// of the same name under the pinned Node. It runs before anything is installed, so it may import Node alone, and it
// must parse on an old Node, to say there what is missing.
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const OLDEST_NODE = 20

// What a user may have set in the environment about the way to the registry. Everything else that npm hands to its
// scripts as npm_* describes this npm run and would mislead the next package manager.
const REGISTRY_SETTINGS = [
  "registry",
  "proxy",
  "https_proxy",
  "noproxy",
  "cafile",
  "strict_ssl",
  "cache",
  "userconfig",
]

// The defaults (10 s, then 60 s) make an offline machine wait minutes for its one sentence.
const RETRY_SETTINGS = { fetch_retries: "2", fetch_retry_mintimeout: "1000", fetch_retry_maxtimeout: "4000" }

const CAUSES = [
  {
    pattern: /OUTDATED_LOCKFILE/,
    problem: "pnpm-lock.yaml does not match the package.json files",
    fix: (pnpm) => `run \`npx ${pnpm} install\` and commit the lockfile`,
  },
  {
    pattern: /ENOSPC|No space left/i,
    problem: "the disk is full",
    fix: () => "free some space and run the same command again",
  },
  {
    pattern: /EACCES|EPERM|EROFS|Permission denied|Read-only file system/i,
    problem: "a folder cannot be written",
    fix: () =>
      "make sure that this folder and your home folder belong to you, then run the same command again",
  },
  {
    pattern:
      /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|EHOSTUNREACH|error sending request|dns error/i,
    problem: "the package registry cannot be reached",
    fix: () => "check the network (and proxy, if there is one), then run the same command again",
  },
]

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, "node_modules", ".tierwise-installed")
const pinnedNode = join(
  root,
  "node_modules",
  "node",
  "bin",
  process.platform === "win32" ? "node.exe" : "node",
)

/** A failure that is told in one sentence, without a stack. */
class Stop extends Error {}

main(process.argv[2] || "test", process.argv.slice(3)).then(
  (code) => process.exit(code),
  (error) => {
    console.error(error instanceof Stop ? error.message : `Tierwise could not start: ${error.message}`)
    process.exit(1)
  },
)

async function main(target, args) {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    throw new Stop(
      `Tierwise needs Node ${OLDEST_NODE} or newer and this is Node ${process.versions.node}: ` +
        "install a newer one from https://nodejs.org, then run the same command again.",
    )
  }
  const manifest = readManifest()
  const [program, ...words] = (manifest.scripts[`ws:${target}`] || "").split(" ")
  if (program !== "node") {
    throw new Stop(`There is nothing called "${target}" to run: package.json has no script "ws:${target}".`)
  }
  const installed = await installIfChanged(manifest.packageManager)
  if (installed !== 0) return installed
  const { code } = await run(pinnedNode, [...words, ...args], { env: workspaceEnv(), stdio: "inherit" })
  return code
}

function readManifest() {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
}

async function installIfChanged(pnpm) {
  const wanted = fingerprint()
  if (isInstalled(wanted)) return 0
  rmSync(stamp, { force: true })

  say(`Installing what Tierwise needs with ${pnpm} (once; half a minute or so) …`)
  const started = Date.now()
  const log = []
  let waiting = false
  const { code, interrupted } = await run(
    "npx",
    ["--yes", pnpm, "install", "--frozen-lockfile", "--reporter=append-only"],
    { env: installEnv(), stdio: ["ignore", "pipe", "pipe"], shell: process.platform === "win32" },
    (line) => {
      log.push(line)
      if (/^Progress:|^\S+ preinstall: \S/.test(line)) say(`  ${line}`)
      if (/^\[WARN\] GET .* error/.test(line) && !waiting) {
        waiting = true
        say("  The package registry does not answer; trying again …")
      }
    },
  )
  if (interrupted) return code
  if (code !== 0) throw new Stop(whyInstallFailed(pnpm, log))
  if (!existsSync(pinnedNode)) {
    throw new Stop(
      "The dependencies were installed but the pinned Node is missing: " +
        "delete node_modules and run the same command again.",
    )
  }
  writeFileSync(stamp, wanted)
  say(`Installed in ${Math.round((Date.now() - started) / 1000)} s.`)
  return 0
}

/** Changes when anything that decides what has to be installed changes. */
function fingerprint() {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch} ${root}`)
  const manifests = workspaceFolders().map((folder) => join(folder, "package.json"))
  for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml", ".npmrc", "package.json", ...manifests]) {
    const path = join(root, file)
    hash.update(`\n${file}\n`).update(existsSync(path) ? readFileSync(path) : "")
  }
  return hash.digest("hex")
}

/** The `packages:` list of pnpm-workspace.yaml: folders, or `folder/*`. */
function workspaceFolders() {
  const yaml = readFileSync(join(root, "pnpm-workspace.yaml"), "utf8")
  const list = /^packages:\n((?: +- .*\n)*)/m.exec(yaml)
  const patterns = list ? list[1].match(/[^\s"'-][^\s"']*/g) || [] : []
  return patterns
    .flatMap((pattern) => {
      if (!pattern.endsWith("/*")) return [pattern]
      const parent = pattern.slice(0, -2)
      return existsSync(join(root, parent))
        ? readdirSync(join(root, parent)).map((name) => join(parent, name))
        : []
    })
    .filter((folder) => existsSync(join(root, folder, "package.json")))
    .sort((a, b) => (a < b ? -1 : 1))
}

function isInstalled(wanted) {
  return (
    existsSync(stamp) &&
    readFileSync(stamp, "utf8") === wanted &&
    existsSync(pinnedNode) &&
    workspaceFolders().every((folder) => existsSync(join(root, folder, "node_modules")))
  )
}

function installEnv() {
  const env = cleanEnv()
  for (const [name, value] of Object.entries(RETRY_SETTINGS)) {
    env[`npm_config_${name}`] = value
    env[`pnpm_config_${name}`] = value
  }
  // pnpm does not read npm's variables.
  if (env.npm_config_registry) env.pnpm_config_registry = env.npm_config_registry
  // npm puts node_modules/.bin on the PATH; npx must run under the Node that the user has, not under the one that is
  // about to be replaced.
  setPath(env, (path) =>
    path
      .split(delimiter)
      .filter((folder) => !/[\\/]node_modules[\\/]\.bin[\\/]?$/.test(folder))
      .join(delimiter),
  )
  return env
}

function workspaceEnv() {
  const env = cleanEnv()
  setPath(env, (path) => join(root, "node_modules", ".bin") + delimiter + path)
  return env
}

function cleanEnv() {
  const kept = new Set(REGISTRY_SETTINGS.map((name) => `npm_config_${name}`))
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name) || kept.has(name.toLowerCase())),
  )
}

function setPath(env, change) {
  const name = Object.keys(env).find((key) => key.toUpperCase() === "PATH") || "PATH"
  env[name] = change(env[name] || "")
}

/** Runs a program to its end. The code is 128 + the signal's number when a signal ended it, as shells have it. */
function run(program, args, options, onLine) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, ...options })
    let interrupted = false
    const forward = (signal) => {
      interrupted = true
      child.kill(signal)
    }
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, forward)
    if (onLine) {
      readLines(child.stdout, onLine)
      readLines(child.stderr, onLine)
    }
    child.on("error", (error) => reject(whyNotStarted(program, error)))
    child.on("close", (code, signal) => {
      for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.off(name, forward)
      resolve({ code: signal ? 128 + constants.signals[signal] : code, interrupted })
    })
  })
}

function readLines(stream, onLine) {
  let rest = ""
  stream.setEncoding("utf8")
  stream.on("data", (text) => {
    const lines = (rest + text).split(/\r?\n|\r/)
    rest = lines.pop()
    lines.forEach(onLine)
  })
  stream.on("end", () => rest && onLine(rest))
}

function whyNotStarted(program, error) {
  if (program === "npx" && error.code === "ENOENT") {
    return new Stop(
      `npm was not found: install Node ${OLDEST_NODE} or newer together with npm (https://nodejs.org), ` +
        "then run the same command again.",
    )
  }
  return new Stop(
    `${program} could not be started (${error.code || error.message}): delete node_modules and try again.`,
  )
}

function whyInstallFailed(pnpm, log) {
  const text = log.join("\n")
  const known = CAUSES.find(({ pattern }) => pattern.test(text))
  const problem = known ? known.problem : lastWords(log)
  const fix = known ? known.fix(pnpm) : "see the log, then run the same command again"
  return `The dependencies could not be installed because ${problem}: ${fix}${keepLog(text)}.`
}

function lastWords(log) {
  const telling = log.filter((line) => /error|ERR_PNPM/i.test(line) && !/complete log of this run/.test(line))
  const words = (
    telling.pop() ||
    log.filter((line) => line.trim()).pop() ||
    "the installer said nothing"
  ).trim()
  return words.replace(/[.:]$/, "")
}

function keepLog(text) {
  try {
    const file = join(mkdtempSync(join(tmpdir(), "tierwise-install-")), "install.log")
    writeFileSync(file, `${text}\n`)
    return ` (log: ${file})`
  } catch {
    return ""
  }
}

function say(line) {
  console.error(line)
}

// Starts the services that some tests need, each on a free loopback port with data that is thrown away, restarts them
// with that data, and stops exactly those. It runs before anything is installed, so it may import Node alone.
import { execFileSync, spawn, spawnSync } from "node:child_process"
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const HELP = `Usage: scripts/services start|restart|stop|status [redis] [postgres]

  start    on a free loopback port, with new data; what runs already is left as it is
  restart  stops without losing anything, then starts with the same data at the same address; also after a crash
  stop     and throws the data away
  status   says what runs and where; fails if something does not

Without names: all of them. What is started is written to .services/env, where the tests find it.

SERVICES_HOME=FOLDER keeps it all in that folder instead: services of one's own, beside those that others use. The folder
must be new, empty, or one that was given before. Stopping the last of its services clears it.`

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const ownHome = process.env.SERVICES_HOME ? resolve(process.env.SERVICES_HOME) : undefined
const home = ownHome ?? join(root, ".services")
/** Says that a folder was given as SERVICES_HOME, and that what is in it may be thrown away. */
const ownMark = join(home, ".tierwise-services")
const READY_WITHIN_MS = 30_000
const GONE_WITHIN_MS = 10_000

/**
 * name → the program, the Debian package that has it, the variable that tells tests where it is, and how to start it
 * and to ask whether it answers. `account`: who it runs as when root starts it. `afterCrash`: what it needs before it
 * can be started again with the data of one that did not stop by itself.
 */
const SERVICES = {
  redis: {
    program: "redis-server",
    debian: "redis-server",
    variable: "REDIS_URL",
    url: (port) => `redis://127.0.0.1:${port}`,
    account: undefined,
    prepare: () => {},
    afterCrash: () => {},
    // Its log of writes lets a restart lose nothing; a second of it may be lost with the machine.
    args: (port, data) =>
      words(
        `--port ${port} --bind 127.0.0.1 --appendonly yes --appendfsync everysec --daemonize no --save`,
        "",
        "--dir",
        data,
      ),
    answers: (port) => asks(port, "PING\r\n", (reply) => reply.toString().startsWith("+PONG")),
  },
  postgres: {
    program: "postgres",
    debian: "postgresql",
    variable: "DATABASE_URL",
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
    // PostgreSQL refuses to run as root.
    account: "postgres",
    prepare: (data, program, identity) => {
      const initdb = join(dirname(program), "initdb")
      const args = [
        "--pgdata",
        join(data, "db"),
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
      ]
      const made = spawnSync(initdb, [...args, "--no-sync"], { ...identity, cwd: data, encoding: "utf8" })
      if (made.status !== 0) {
        const why = made.error === undefined ? lastLine(made.stderr) : made.error.message
        throw new Stop(`postgres: its data folder could not be made (${why}).`)
      }
    },
    // Its processes end when the first of them does. Its note that it runs would stop the next one where nobody collects
    // ended processes, as in a container: they look alive.
    afterCrash: async (data) => {
      await pause(1_000)
      rmSync(join(data, "db", "postmaster.pid"), { force: true })
    },
    // Nothing here outlives the machine, so nothing waits for the disk. A socket file's path could be too long.
    args: (port, data) =>
      words(
        `-p ${port} -h 127.0.0.1 -c fsync=off -c full_page_writes=off -c unix_socket_directories= -D`,
        join(data, "db"),
      ),
    answers: (port) => asks(port, POSTGRES_HELLO, (reply) => reply.toString("latin1").startsWith("R")),
  },
}

/** PostgreSQL's StartupMessage, protocol 3.0. The server answers R when it takes connections, E while it starts. */
const POSTGRES_HELLO = (() => {
  const words = Buffer.from("user\0postgres\0database\0postgres\0\0")
  const head = Buffer.alloc(8)
  head.writeInt32BE(head.length + words.length, 0)
  head.writeInt32BE(196_608, 4)
  return Buffer.concat([head, words])
})()

/** A failure that is told in one sentence, without a stack. */
class Stop extends Error {}

try {
  await main(process.argv[2], process.argv.slice(3))
} catch (error) {
  console.error(error instanceof Stop ? error.message : `scripts/services failed: ${error.message}`)
  process.exitCode = 1
}

async function main(verb, names) {
  const verbs = { start, restart, stop, status }
  const verbNamed = Object.hasOwn(verbs, verb ?? "") ? verbs[verb] : undefined
  if (verbNamed === undefined) {
    console.log(HELP)
    process.exitCode = ["help", "--help", "-h"].includes(verb) ? 0 : 1
    return
  }
  const unknown = names.find((name) => !Object.hasOwn(SERVICES, name))
  if (unknown !== undefined) {
    throw new Stop(`There is no service "${unknown}": there are ${Object.keys(SERVICES).join(" and ")}.`)
  }
  const wanted = names.length === 0 ? Object.keys(SERVICES) : names
  if (verb !== "status") checkHome()
  try {
    for (const name of wanted) await verbNamed(name)
  } finally {
    if (verb !== "status") writeEnv()
    if (verb === "stop") clearOwnHome()
  }
}

/** What is in the folder is thrown away one day, so it must not be anybody's. */
function checkHome() {
  if (ownHome === undefined || existsSync(ownMark)) return
  if (existsSync(ownHome) && readdirSync(ownHome).length > 0) {
    throw new Stop(`SERVICES_HOME: ${ownHome} holds other things. Give a folder that is new or empty.`)
  }
}

function clearOwnHome() {
  const names = Object.keys(SERVICES)
  if (ownHome === undefined || !existsSync(ownMark)) return
  if (names.some((name) => readRecord(name) !== undefined)) return
  for (const name of names) rmSync(join(home, `${name}.log`), { force: true })
  rmSync(ownMark)
  if (readdirSync(home).length === 0) rmdirSync(home)
}

async function start(name) {
  const running = readRunning(name)
  if (running !== undefined && (await SERVICES[name].answers(running.port))) {
    console.log(`${name} runs already: ${running.url}`)
    return
  }
  await stop(name, { quiet: true })
  sweep(name)

  const { account, prepare } = SERVICES[name]
  const program = findOrInstall(name)
  const identity = identityOf(account)
  const data = makeDataFolder(name, identity)
  try {
    prepare(data, program, identity)
    await launch(name, { program, identity, data, port: await freePort() })
  } catch (error) {
    await stop(name, { quiet: true })
    rmSync(data, { recursive: true, force: true })
    throw error
  }
}

async function restart(name) {
  const record = readRecord(name)
  if (record === undefined) throw new Stop(`${name} does not run: scripts/services start ${name}.`)
  const { data, port } = record
  const crashed = !isAlive(record)
  await end(record)
  if (crashed) await SERVICES[name].afterCrash(data)
  await launch(name, {
    program: findOrInstall(name),
    identity: identityOf(SERVICES[name].account),
    data,
    port,
  })
}

/** Starts the program with data that is there, and waits until it answers. If it does not, the data stays. */
async function launch(name, { program, identity, data, port }) {
  const { args, url, answers } = SERVICES[name]
  const log = join(home, `${name}.log`)
  const output = openSync(log, "w")
  const child = spawn(program, args(String(port), data), {
    ...identity,
    cwd: data,
    detached: true,
    stdio: ["ignore", output, output],
  })
  // A program that cannot be started has no pid; the loop below tells of it.
  child.on("error", () => {})
  child.unref()
  const record = { pid: child.pid, bornAt: bornAt(child.pid), port, url: url(port), data }
  writeFileSync(recordFile(name), JSON.stringify(record))

  const deadline = Date.now() + READY_WITHIN_MS
  while (!(await answers(port))) {
    const ended = child.pid === undefined || child.exitCode !== null || child.signalCode !== null
    if (ended || Date.now() > deadline) {
      await end(record)
      const why = lastLine(readFileSync(log, "utf8")) || "it said nothing"
      throw new Stop(`${name} did not start (${why}); see ${log}.`)
    }
    await pause(50)
  }
  console.log(`${name} runs: ${url(port)}`)
}

async function stop(name, { quiet = false } = {}) {
  const record = readRecord(name)
  if (record === undefined) {
    if (!quiet) console.log(`${name} does not run`)
    return
  }
  await end(record)
  rmSync(record.data, { recursive: true, force: true })
  rmSync(recordFile(name), { force: true })
  if (!quiet) console.log(`${name} stopped`)
}

/** SIGINT is how both services take their leave: they finish what they have begun, write it down and end. */
async function end(record) {
  for (const signal of ["SIGINT", "SIGKILL"]) {
    if (!isAlive(record)) return
    process.kill(record.pid, signal)
    for (let waited = 0; isAlive(record) && waited < GONE_WITHIN_MS; waited += 50) await pause(50)
  }
}

async function status(name) {
  const running = readRunning(name)
  const answers = running !== undefined && (await SERVICES[name].answers(running.port))
  console.log(answers ? `${name} runs: ${running.url}` : `${name} does not run`)
  if (!answers) process.exitCode = 1
}

/** Removes the data that a killed start left behind. */
function sweep(name) {
  if (!existsSync(home)) return
  for (const entry of readdirSync(home).filter((file) => file.startsWith(`${name}-`))) {
    rmSync(join(home, entry), { recursive: true, force: true })
  }
}

/** What tests read. Holds only what runs; without anything, the file is gone. */
function writeEnv() {
  const lines = Object.entries(SERVICES).flatMap(([name, { variable }]) => {
    const running = readRunning(name)
    return running === undefined ? [] : [`${variable}=${running.url}`]
  })
  if (lines.length === 0) rmSync(join(home, "env"), { force: true })
  else writeFileSync(join(home, "env"), `${lines.join("\n")}\n`)
}

function recordFile(name) {
  return join(home, `${name}.json`)
}

function readRecord(name) {
  try {
    return JSON.parse(readFileSync(recordFile(name), "utf8"))
  } catch {
    return undefined
  }
}

function readRunning(name) {
  const record = readRecord(name)
  return record !== undefined && isAlive(record) ? record : undefined
}

/** True if the process we started still runs; a number that was given to another process since does not count. */
function isAlive({ pid, bornAt: born }) {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return bornAt(pid) === born
}

/** When a process started, by the kernel's count; undefined where there is no /proc. */
function bornAt(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    // A process that has ended and was not collected yet is no process any more.
    return fields[0] === "Z" ? "ended" : fields[19]
  } catch {
    return undefined
  }
}

function findOrInstall(name) {
  const found = findProgram(name)
  if (found !== undefined) return found
  install(name)
  const installed = findProgram(name)
  if (installed !== undefined) return installed
  throw new Stop(
    `${name}: ${SERVICES[name].debian} is installed but ${SERVICES[name].program} was not found.`,
  )
}

/** Debian keeps PostgreSQL's programs off the PATH, in a folder for each version; the newest is taken. */
function findProgram(name) {
  const { program } = SERVICES[name]
  const versions = existsSync("/usr/lib/postgresql") ? readdirSync("/usr/lib/postgresql") : []
  const folders = [
    ...versions.sort((a, b) => Number(b) - Number(a)).map((version) => `/usr/lib/postgresql/${version}/bin`),
    ...(process.env.PATH ?? "").split(delimiter),
  ]
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path))
}

function install(name) {
  const { debian, program } = SERVICES[name]
  const byHand = `install ${program} and try again (on Debian: sudo apt-get install ${debian})`
  if (process.getuid?.() !== 0)
    throw new Stop(`${name} is not installed and only root may do that: ${byHand}.`)

  console.log(`${name} is not installed; installing ${debian} …`)
  const apt = (...args) =>
    spawnSync("apt-get", args, {
      encoding: "utf8",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    })
  const installing = ["install", "-y", "--no-install-recommends", debian]
  const attempt = withoutStartingServices(() => {
    const first = apt(...installing)
    // On a fresh machine the list of packages may be missing or old.
    return first.status === 0 || apt("update").status !== 0 ? first : apt(...installing)
  })
  if (attempt.error !== undefined)
    throw new Stop(`${name} is not installed and there is no apt-get here: ${byHand}.`)
  if (attempt.status !== 0) {
    throw new Stop(`${name} could not be installed (${lastLine(attempt.stderr)}): ${byHand}.`)
  }
}

/** Debian starts what it installs, on the usual port with the usual data. Ours are separate, so it must not. */
function withoutStartingServices(act) {
  const policy = "/usr/sbin/policy-rc.d"
  if (existsSync(policy)) return act()
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 })
  try {
    return act()
  } finally {
    rmSync(policy, { force: true })
  }
}

/** The user and group ids to start a program with; empty where we are not root and cannot choose. */
function identityOf(account) {
  if (account === undefined || process.getuid?.() !== 0) return {}
  const id = (flag) => Number(execFileSync("id", [flag, account], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

/** A new folder that the service's account owns: in .services, or among the temporary files if it cannot get there. */
function makeDataFolder(name, { uid, gid }) {
  mkdirSync(home, { recursive: true })
  if (ownHome !== undefined) writeFileSync(ownMark, "")
  const folder = mkdtempSync(join(home, `${name}-`))
  if (uid === undefined) return folder
  chownSync(folder, uid, gid)
  if (spawnSync("test", ["-w", folder], { uid, gid }).status === 0) return folder
  rmSync(folder, { recursive: true })
  const elsewhere = mkdtempSync(join(tmpdir(), `tierwise-${name}-`))
  chownSync(elsewhere, uid, gid)
  return elsewhere
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** Sends a few bytes and says whether the reply is the right one. Never throws. */
function asks(port, question, isRight) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(question))
    const answer = (right) => {
      socket.destroy()
      resolve(right)
    }
    socket.setTimeout(1_000, () => answer(false))
    socket.on("data", (reply) => answer(isRight(reply)))
    socket.on("error", () => answer(false))
    socket.on("close", () => answer(false))
  })
}

function words(line, ...more) {
  return [...line.split(" "), ...more]
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function lastLine(text) {
  return (text ?? "").trim().split("\n").at(-1)
}

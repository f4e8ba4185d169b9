import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { describe, expect, it } from "vitest"
import { type ProgramRun, runProgram } from "./run-program.ts"
import { describeWithService, serviceUrl, startOwnServices } from "./services.ts"

describeWithService("redis", (url) => {
  it("answers PING", async () => {
    expect(await askRedis(url, "PING")).toBe("+PONG")
  })

  it("keeps what was written, and its address, over a restart of one's own", async () => {
    await using own = await startOwnServices("redis")
    const address = own.url("redis")
    expect(address).not.toBe(url)
    expect(await askRedis(address, "INCRBY spent 41")).toBe(":41")
    const before = await redisRun(address)
    await own.restart("redis")
    expect(await redisRun(address)).not.toBe(before)
    expect(own.url("redis")).toBe(address)
    expect(await askRedis(address, "INCRBY spent 1")).toBe(":42")
  })

  it("keeps what was written over a crash", async () => {
    await using own = await startOwnServices("redis")
    expect(await askRedis(own.url("redis"), "INCRBY spent 41")).toBe(":41")
    own.crash("redis")
    await own.restart("redis")
    expect(await askRedis(own.url("redis"), "INCRBY spent 1")).toBe(":42")
  })

  it("of one's own is gone with its data when it is stopped", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tierwise-own-"))
    const started = await services("start", folder)
    expect(started.code, started.output).toBe(0)
    const address = readFileSync(join(folder, "env"), "utf8").replace(/^REDIS_URL=|\n$/g, "")
    expect(readdirSync(folder).filter((entry) => entry.startsWith("redis-"))).toHaveLength(1)
    expect((await services("stop", folder)).code).toBe(0)
    await expect(askRedis(address, "PING")).rejects.toThrow(/ECONNREFUSED/)
    expect(existsSync(folder)).toBe(false)
  })
})

describeWithService("postgres", (url) => {
  it("answers an SSLRequest", async () => {
    expect((await ask(url, postgresMessage(80_877_103, ""))).toString("latin1")).toMatch(/^[SN]$/)
  })

  it("lets its user in without a password", async () => {
    const { username, pathname } = new URL(url)
    const startup = `user\0${username}\0database\0${pathname.slice(1)}\0\0`
    const reply = await ask(url, postgresMessage(196_608, startup))
    // AuthenticationOk: R, length 8, 0.
    expect([...reply.subarray(0, 9)]).toEqual(["R".charCodeAt(0), 0, 0, 0, 8, 0, 0, 0, 0])
  })

  it("keeps what was committed, and its address, over a restart and a crash of one's own", async () => {
    await using own = await startOwnServices("postgres")
    const address = own.url("postgres")
    expect(address).not.toBe(url)
    await query(address, "CREATE TABLE spent (usd integer)")
    await query(address, "INSERT INTO spent VALUES (41)")
    const [before] = await query(address, "SELECT pg_postmaster_start_time()::text AS at")
    await own.restart("postgres")
    expect(own.url("postgres")).toBe(address)
    expect(await query(address, "SELECT usd FROM spent")).toEqual([{ usd: 41 }])
    expect(await query(address, "SELECT pg_postmaster_start_time()::text AS at")).not.toEqual([before])
    await query(address, "UPDATE spent SET usd = 42")
    own.crash("postgres")
    await own.restart("postgres")
    expect(await query(address, "SELECT usd FROM spent")).toEqual([{ usd: 42 }])
  })
})

describe("the address of a service", () => {
  it("comes from the environment first, then from what scripts/services wrote, else there is none", () => {
    const folder = mkdtempSync(join(tmpdir(), "tierwise-services-"))
    try {
      const started = pathToFileURL(join(folder, "env"))
      expect(serviceUrl("redis", {}, started)).toBeUndefined()
      writeFileSync(started, "REDIS_URL=redis://127.0.0.1:7001\n")
      expect(serviceUrl("redis", {}, started)).toBe("redis://127.0.0.1:7001")
      expect(serviceUrl("postgres", {}, started)).toBeUndefined()
      expect(serviceUrl("redis", { REDIS_URL: "redis://127.0.0.1:7002" }, started)).toBe(
        "redis://127.0.0.1:7002",
      )
      expect(serviceUrl("redis", { SERVICES_HOME: folder })).toBe("redis://127.0.0.1:7001")
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe("scripts/services", () => {
  it("throws nothing away that is not its own", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tierwise-own-"))
    try {
      writeFileSync(join(folder, "redis-diary"), "dear")
      for (const verb of ["start", "restart", "stop"]) {
        const { code, output } = await services(verb, folder)
        expect([code, output]).toEqual([1, expect.stringMatching(/^SERVICES_HOME: .* holds other things/)])
      }
      expect(readdirSync(folder)).toEqual(["redis-diary"])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("cannot restart what was never started", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tierwise-own-"))
    try {
      const { code, output } = await services("restart", folder)
      expect([code, output]).toEqual([1, "redis does not run: scripts/services start redis.\n"])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("says how it is used", async () => {
    const { code, output } = await services("help", tmpdir())
    expect([code, output]).toEqual([0, expect.stringMatching(/start\|restart\|stop\|status.*SERVICES_HOME/s)])
  })
})

/** Runs the script for Redis alone, with everything in `folder`. */
function services(verb: string, folder: string): Promise<ProgramRun> {
  const script = fileURLToPath(new URL("../scripts/services.mjs", import.meta.url))
  const env = { ...process.env, SERVICES_HOME: folder }
  return runProgram(process.execPath, [script, verb, "redis"], { cwd: tmpdir(), env })
}

async function askRedis(url: string, command: string): Promise<string> {
  return (await ask(url, Buffer.from(`${command}\r\n`))).toString().replace(/\r\n$/, "")
}

/** Another one after every start. */
async function redisRun(url: string): Promise<string | undefined> {
  return /run_id:(\w+)/.exec(await askRedis(url, "INFO server"))?.[1]
}

/** In a program of its own: here, pg's CommonJS would be given the other packages' ESM. */
async function query(url: string, sql: string): Promise<readonly unknown[]> {
  const program = `
    import pg from "pg"
    const client = new pg.Client(process.argv[1])
    await client.connect()
    console.log(JSON.stringify((await client.query(process.argv[2])).rows))
    await client.end()`
  const { code, output } = await runProgram(
    process.execPath,
    ["--input-type=module", "--eval", program, url, sql],
    { cwd: fileURLToPath(new URL(".", import.meta.url)) },
  )
  if (code !== 0) throw new Error(output)
  return JSON.parse(output) as readonly unknown[]
}

/** Sends a question and gives the first piece of the reply. */
function ask(url: string, question: Buffer): Promise<Buffer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(question))
    socket.setTimeout(5_000, () => socket.destroy(new Error(`${url} did not answer in 5 s`)))
    socket.once("data", (reply) => {
      resolve(reply)
      socket.destroy()
    })
    socket.once("error", reject)
    socket.once("close", () => reject(new Error(`${url} hung up`)))
  })
}

/** A message of PostgreSQL's opening: its length, a code and text. */
function postgresMessage(code: number, text: string): Buffer {
  const message = Buffer.alloc(8 + Buffer.byteLength(text))
  message.writeInt32BE(message.length, 0)
  message.writeInt32BE(code, 4)
  message.write(text, 8)
  return message
}

import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { describe, expect, it } from "vitest"
import { describeWithService, serviceUrl } from "./services.ts"

describeWithService("redis", (url) => {
  it("answers PING", async () => {
    expect((await ask(url, Buffer.from("PING\r\n"))).toString()).toBe("+PONG\r\n")
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
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

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

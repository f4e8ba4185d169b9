import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { type IoRedisClient, type NodeRedisClient, type RedisClient, scriptOn } from "./redis-client.ts"

const SCRIPT = "return 'ä'"
const SHA1 = createHash("sha1").update(SCRIPT).digest("hex")

describe("scriptOn", () => {
  it("sends ioredis a script by its hash, and whole where the server does not know it", async () => {
    const server = scriptServer()
    const client: IoRedisClient = {
      evalsha: async (...sent) => server.byHash(...sent),
      eval: async (...sent) => server.whole(...sent),
    }
    const run = scriptOn(client, SCRIPT)
    const twice = [await run(["k", "l"], ["a"]), await run(["k", "l"], ["a"])]
    expect(twice).toEqual(["ran", "ran"])
    expect(server.sent).toEqual([
      [SHA1, 2, "k", "l", "a"],
      [SCRIPT, 2, "k", "l", "a"],
      [SHA1, 2, "k", "l", "a"],
    ])
  })

  it("does the same with @redis/client, in its own words", async () => {
    const server = scriptServer()
    const client: NodeRedisClient = {
      evalSha: async (...sent) => server.byHash(...sent),
      eval: async (...sent) => server.whole(...sent),
    }
    expect(await scriptOn(client, SCRIPT)(["k"], ["a"])).toBe("ran")
    const options = { keys: ["k"], arguments: ["a"] }
    expect(server.sent).toEqual([
      [SHA1, options],
      [SCRIPT, options],
    ])
  })

  it("repeats nothing that may have run", async () => {
    let asked = 0
    const fail = async () => {
      asked++
      throw new Error("READONLY You can't write against a read only replica.")
    }
    await expect(scriptOn({ evalsha: fail, eval: fail }, SCRIPT)([], [])).rejects.toThrow("READONLY")
    expect(asked).toBe(1)
  })

  it.each([undefined, null, {}, { evalsha: () => {} }, { evalSha: () => {} }])("takes no %j", (client) => {
    expect(() => scriptOn(client as unknown as RedisClient, SCRIPT)).toThrow(/^budget\.client: /)
  })
})

/** Knows the script once it has seen it. */
function scriptServer() {
  const sent: (readonly unknown[])[] = []
  let isKnown = false
  return {
    sent,
    byHash(...words: readonly unknown[]) {
      sent.push(words)
      if (!isKnown) throw new Error("NOSCRIPT No matching script. Please use EVAL.")
      return "ran"
    },
    whole(...words: readonly unknown[]) {
      sent.push(words)
      isKnown = true
      return "ran"
    },
  }
}

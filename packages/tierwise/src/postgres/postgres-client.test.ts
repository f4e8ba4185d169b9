import { EventEmitter } from "node:events"
import { describe, expect, it } from "vitest"
import { askPostgres, type PostgresClient } from "./postgres-client.ts"

describe("askPostgres", () => {
  it("gives the only row, or the first result's of several", async () => {
    expect(await ask({ rows: [{ a: "1" }] })).toEqual({ a: "1" })
    expect(await ask([{ rows: [] }, { rows: [] }])).toBeUndefined()
  })

  it("hands over no values where there are none, so that a text may hold several statements", async () => {
    const asked: unknown[][] = []
    const client: PostgresClient = {
      query: async (...values) => {
        asked.push(values)
        return { rows: [] }
      },
    }
    await askPostgres(client, "s", 100)("select 1; select 2", [])
    await askPostgres(client, "s", 100)("select $1", ["1"])
    expect(asked).toEqual([["select 1; select 2"], ["select $1", ["1"]]])
  })

  it.for([
    ["a message", new Error("connection terminated"), "connection terminated"],
    ["a code alone", Object.assign(new AggregateError([]), { code: "ECONNREFUSED" }), "ECONNREFUSED"],
    ["a row that breaks a constraint", pgError("23514", "no", "row (1)"), "no (row (1))"],
    ["a lock that stays", pgError("55P03", "canceling statement"), "keeps its rows locked"],
    ["nothing", "", "it cannot be reached"],
  ] as const)("tells of %s", async ([, cause, problem]) => {
    const client: PostgresClient = { query: () => Promise.reject(cause) }
    await expect(askPostgres(client, "store", 100)("select 1", [])).rejects.toMatchObject({
      code: "budget-unavailable",
      store: "store",
      problem: expect.stringContaining(problem),
      cause,
    })
  })

  it("does not wait longer than its time, and takes no late failure for an unhandled one", async () => {
    const late = Promise.withResolvers<never>()
    const client: PostgresClient = { query: () => late.promise }
    await expect(askPostgres(client, "s", 20)("select 1", [])).rejects.toMatchObject({
      problem: "it did not answer within 20 ms",
    })
    late.reject(new Error("too late"))
    await new Promise((resolve) => setTimeout(resolve, 5))
  })

  it("listens once for what a pool tells between calls, where nobody else does", () => {
    const pool = Object.assign(new EventEmitter(), { query: async () => ({ rows: [] }) })
    for (let times = 0; times < 20; times++) askPostgres(pool, "s", 100)
    expect(pool.listenerCount("error")).toBe(1)
    expect(() => pool.emit("error", new Error("the server was restarted"))).not.toThrow()
  })
})

function ask(result: unknown): Promise<unknown> {
  const client = { query: async () => result } as PostgresClient
  return askPostgres(client, "s", 100)("select 1", [])
}

function pgError(code: string, message: string, detail?: string): Error {
  return Object.assign(new Error(message), { code, detail })
}

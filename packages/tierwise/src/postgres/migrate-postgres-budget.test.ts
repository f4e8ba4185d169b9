import { describe, expect, it } from "vitest"
import { migrate } from "./migrate-postgres-budget.ts"
import type { PostgresClient } from "./postgres-client.ts"

const STEPS = ["one", "two", "three"].map((word) => (schema: string) => `make ${word} in ${schema};`)

describe("migrate", () => {
  it("takes the steps that are missing, in order, in one text", async () => {
    const database = databaseAt(1)
    await migrate(database.client, "money", STEPS)
    expect(database.done).toEqual(['make two in "money";', 'make three in "money";'])
    expect(database.version).toBe(3)
  })

  it("makes everything where nothing is", async () => {
    const database = databaseAt(0)
    await migrate(database.client, "money", STEPS)
    expect(database.done).toHaveLength(3)
  })

  it("touches nothing where it is done, or another release is ahead", async () => {
    const [done, ahead] = [databaseAt(3), databaseAt(4)]
    await migrate(done.client, "money", STEPS)
    await expect(migrate(ahead.client, "money", STEPS)).rejects.toMatchObject({
      path: "budget.schema",
      problem: expect.stringContaining("version 4"),
    })
    expect([done.texts, ahead.texts]).toEqual([[], []])
  })

  it("takes no step that another process has taken since it looked", async () => {
    const database = databaseAt(1)
    database.raisedMeanwhile = 2
    await migrate(database.client, "money", STEPS)
    expect(database.done).toEqual(['make three in "money";'])
  })

  it("quotes the schema, whatever it is called", async () => {
    const database = databaseAt(2)
    await migrate(database.client, `it's "mine"`, STEPS)
    expect(database.done).toEqual(['make three in "it\'s ""mine""";'])
    expect(database.texts[0]).toContain("nspname = 'it''s \"mine\"'")
  })
})

/** Reads a script as PostgreSQL would: `if reached = n then … end if`, one after the other. */
function databaseAt(version: number) {
  const database = {
    version,
    raisedMeanwhile: undefined as number | undefined,
    done: [] as string[],
    texts: [] as string[],
    client: { query: async (text: string) => query(text) } satisfies PostgresClient,
  }
  function query(text: string): { rows: readonly unknown[] } {
    if (text.startsWith("select coalesce(max(version)")) {
      if (database.version === 0) throw Object.assign(new Error("no such table"), { code: "42P01" })
      return { rows: [{ version: String(database.version) }] }
    }
    database.texts.push(text)
    let reached = database.raisedMeanwhile ?? database.version
    for (const [, wanted, step, to] of text.matchAll(
      /if reached = (\d+) then\s+(make .*?;)\s+insert into .*? values \((\d+)\);\s+reached := \3;\s+end if;/gs,
    )) {
      if (reached !== Number(wanted)) continue
      database.done.push(step as string)
      reached = Number(to)
    }
    database.version = reached
    return { rows: [] }
  }
  return database
}

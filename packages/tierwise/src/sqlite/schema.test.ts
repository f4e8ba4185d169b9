import { DatabaseSync } from "node:sqlite"
import { describe, expect, it } from "vitest"
import { inTransaction } from "./database.ts"
import { openSchema, raiseSchema, SCHEMA_STEPS } from "./schema.ts"

/** What the release after this one could do. */
const NEXT_STEPS = [...SCHEMA_STEPS, "alter table tierwise_ledgers add column note text"]

const NAME = "sqlite:budget.db"

function made(steps: readonly string[]): DatabaseSync {
  const database = new DatabaseSync(":memory:")
  openSchema(database, NAME, steps)
  return database
}

const versionOf = (database: DatabaseSync) => database.prepare("select version from tierwise_schema").all()

describe("the schema", () => {
  it("is made where there is none, and left alone where it is as it should be", () => {
    const database = made(SCHEMA_STEPS)
    database.exec("insert into tierwise_ledgers (name, limits_print, limits) values ('a', 'b', '{}')")
    openSchema(database, NAME, SCHEMA_STEPS)
    expect(versionOf(database)).toMatchObject([{ version: SCHEMA_STEPS.length }])
    expect(database.prepare("select name from tierwise_ledgers").all()).toMatchObject([{ name: "a" }])
  })

  it("of an older version is refused until it is raised, which keeps what is in it", () => {
    const database = made(SCHEMA_STEPS)
    database.exec("insert into tierwise_ledgers (name, limits_print, limits) values ('a', 'b', '{}')")
    expect(() => openSchema(database, NAME, NEXT_STEPS)).toThrow(
      expect.objectContaining({
        code: "invalid-config",
        path: "budget.schema",
        problem: "the tables of sqlite:budget.db have version 1, and this release of tierwise uses version 2",
        fix: expect.stringContaining("migrateSqliteBudget"),
      }),
    )
    expect(raiseSchema(database, NAME, NEXT_STEPS)).toEqual({ from: 1, to: 2 })
    openSchema(database, NAME, NEXT_STEPS)
    expect(database.prepare("select name, note from tierwise_ledgers").all()).toMatchObject([
      { name: "a", note: null },
    ])
    expect(raiseSchema(database, NAME, NEXT_STEPS)).toEqual({ from: 2, to: 2 })
  })

  it("of a newer version is refused, by the migration too", () => {
    const database = made(NEXT_STEPS)
    const refused = expect.objectContaining({
      path: "budget.schema",
      problem: "the tables of sqlite:budget.db have version 2, and this release of tierwise uses version 1",
      fix: expect.stringContaining("newer"),
    })
    expect(() => openSchema(database, NAME, SCHEMA_STEPS)).toThrow(refused)
    expect(() => raiseSchema(database, NAME, SCHEMA_STEPS)).toThrow(refused)
  })

  it("stays what it was when a step of a migration fails", () => {
    const database = made(SCHEMA_STEPS)
    const broken = [...NEXT_STEPS, "this is no statement"]
    expect(() => inTransaction(database, () => raiseSchema(database, NAME, broken))).toThrow("syntax error")
    expect(versionOf(database)).toMatchObject([{ version: 1 }])
    openSchema(database, NAME, SCHEMA_STEPS)
  })

  it("that tells no version is not guessed at", () => {
    const database = made(SCHEMA_STEPS)
    database.exec("delete from tierwise_schema")
    expect(() => openSchema(database, NAME, SCHEMA_STEPS)).toThrow("tierwise_schema holds undefined")
  })
})

import { BudgetUnavailableError, ConfigError } from "../spec/errors.ts"
import { type AskPostgres, sqlStateOf } from "./postgres-client.ts"

/** PostgreSQL's codes for a table, a function or a schema that is not there. */
const NOT_THERE: readonly (string | undefined)[] = ["42P01", "42883", "3F000"]

const LONGEST_NAME = 63

/**
 * The quoted name of a PostgreSQL schema.
 *
 * @throws ConfigError unless PostgreSQL can have one of this name.
 */
export function quotedSchema(schema: string): string {
  const isName = typeof schema === "string" && schema !== "" && !schema.includes("\0") && isShort(schema)
  if (isName) return `"${schema.replaceAll('"', '""')}"`
  const fix = `give the name of a schema, 1 to ${LONGEST_NAME} bytes`
  throw new ConfigError("budget.schema", `${JSON.stringify(schema)} is no name of a schema`, fix)
}

/** What a process finds, before it asks anything else. 0: there are no tables. */
export async function schemaVersion(ask: AskPostgres, schema: string, name: string): Promise<number> {
  const row = await ask(
    `select coalesce(max(version), 0)::text as version from ${schema}.tierwise_schema`,
    [],
  ).catch((error: unknown) => {
    if (isNotThere(error)) return { version: "0" }
    throw error
  })
  const version = Number(row?.["version"] ?? Number.NaN)
  if (Number.isSafeInteger(version) && version >= 0) return version
  throw new BudgetUnavailableError(
    name,
    `its table tierwise_schema holds ${JSON.stringify(row)}, which cannot be`,
  )
}

/** True if PostgreSQL does not know something that the tables' own version has. */
export function isNotThere(error: unknown): boolean {
  return NOT_THERE.includes(sqlStateOf(error))
}

export function otherVersion(name: string, version: number, wanted: number): ConfigError {
  const found = version === 0 ? "are not there" : `have version ${version}`
  const problem = `the tables of ${name} ${found}, and this release of tierwise uses version ${wanted}`
  const fix =
    version < wanted
      ? "run migratePostgresBudget of tierwise/postgres once; if there are tables, stop the older release first"
      : "use the release that made them, or a newer one"
  return new ConfigError("budget.schema", problem, fix)
}

function isShort(text: string): boolean {
  return new TextEncoder().encode(text).length <= LONGEST_NAME
}

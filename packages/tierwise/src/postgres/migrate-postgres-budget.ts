import { ConfigError } from "../spec/errors.ts"
import { askPostgres, type PostgresClient } from "./postgres-client.ts"
import { SCHEMA_STEPS } from "./schema-steps.ts"
import { otherVersion, quotedSchema, schemaVersion } from "./schema-version.ts"

export interface PostgresMigrationOptions {
  /** The PostgreSQL schema in which the tables are, or are to be; it is made if it is missing. Default `public`. */
  readonly schema?: string | undefined
}

/** Two that migrate at once come one after the other. */
const MIGRATION_LOCK = 7_409_211_031

/** Making tables and rewriting rows takes longer than a step. */
const TIMEOUT_MS = 600_000

/**
 * Makes the tables and functions of `postgresBudget`, or brings those of an older release to this one's version; there,
 * stop the older release's processes first. Nothing happens where they are as they should be. All or nothing, also where
 * several processes call it at once.
 *
 * The client's user owns what is made. Another one needs `usage` of the schema, and `select, insert, update, delete` of
 * the tables in it whose names begin with `tierwise_`.
 *
 * @throws ConfigError for tables of a newer release; BudgetUnavailableError if the database does not answer or refuses.
 */
export async function migratePostgresBudget(
  client: PostgresClient,
  options: PostgresMigrationOptions = {},
): Promise<void> {
  await migrate(client, options.schema ?? "public", SCHEMA_STEPS)
}

/** Brings the tables to the version of the last step. */
export async function migrate(
  client: PostgresClient,
  name: string,
  steps: readonly ((schema: string) => string)[],
): Promise<void> {
  const schema = quotedSchema(name)
  const ask = askPostgres(client, `postgres:${name}`, TIMEOUT_MS)
  const version = await schemaVersion(ask, schema, `postgres:${name}`)
  if (version > steps.length) throw otherVersion(`postgres:${name}`, version, steps.length)
  // One text without values is one transaction, whichever of a pool's connections it comes to.
  if (version < steps.length) await ask(scriptOf(schema, name, steps), [])
  const reached = await schemaVersion(ask, schema, `postgres:${name}`)
  if (reached === steps.length) return
  throw new ConfigError("budget.schema", `another release has made it version ${reached}`, "use that release")
}

function scriptOf(schema: string, name: string, steps: readonly ((schema: string) => string)[]): string {
  const raised = steps.map(
    (step, index) => `
      if reached = ${index} then
        ${step(schema)}
        insert into ${schema}.tierwise_schema (version) values (${index + 1});
        reached := ${index + 1};
      end if;`,
  )
  return `
    select pg_advisory_xact_lock(${MIGRATION_LOCK});
    do $migration$
    declare
      reached integer;
    begin
      if not exists (select from pg_namespace where nspname = '${name.replaceAll("'", "''")}') then
        create schema ${schema};
      end if;
      create table if not exists ${schema}.tierwise_schema (
        version integer primary key check (version > 0),
        migrated_at timestamptz not null default now()
      );
      select coalesce(max(version), 0) into reached from ${schema}.tierwise_schema;
      ${raised.join("\n")}
    end $migration$;`
}

import { BudgetUnavailableError, messageOf } from "../spec/errors.ts"

/**
 * What is asked of a client of PostgreSQL. A `Pool` of `pg` fits, and so does what others make of it, e.g. of postgres.js
 * `{ query: async (text, values = []) => ({ rows: await sql.unsafe(text, values) }) }`. Values are texts and null, and a
 * text without values may hold several statements.
 */
export interface PostgresClient {
  query(text: string, values?: (string | null)[]): Promise<Rows>
  /** Tells of connections that break while nobody uses them. */
  on?(event: "error", listener: (error: Error) => void): unknown
  listenerCount?(event: "error"): number
}

interface Rows {
  readonly rows: readonly unknown[]
}

/** Runs one statement, and gives its only row. */
export type AskPostgres = (
  text: string,
  values: readonly (string | null)[],
) => Promise<Readonly<Record<string, unknown>> | undefined>

/** What PostgreSQL says when a lock was not free for `lock_timeout`. */
const LOCK_NOT_AVAILABLE = "55P03"

/**
 * Gives up after `timeoutMs`, also where the client waits for a connection.
 *
 * @throws BudgetUnavailableError for whatever goes wrong; its `cause` is the client's own error.
 */
export function askPostgres(client: PostgresClient, name: string, timeoutMs: number): AskPostgres {
  // A pool tells of connections that a restarted server has cut, and a process ends that nobody listens in.
  if (!client.listenerCount?.("error")) client.on?.("error", () => {})
  return async (text, values) => {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => late.reject(new BudgetUnavailableError(name, `it did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    )
    try {
      const asked = values.length === 0 ? client.query(text) : client.query(text, [...values])
      // Of several statements some clients give several results.
      const { rows } = (await Promise.race([asked, late.promise])) as Partial<Rows>
      return rows?.[0] as Readonly<Record<string, unknown>> | undefined
    } catch (error) {
      throw error instanceof BudgetUnavailableError ? error : unavailable(name, error)
    } finally {
      clearTimeout(timer)
    }
  }
}

/** PostgreSQL's code of what went wrong, e.g. `42P01`. */
export function sqlStateOf(error: unknown): string | undefined {
  const cause = error instanceof BudgetUnavailableError ? error.cause : error
  const { code } = (cause ?? {}) as { readonly code?: unknown }
  return typeof code === "string" ? code : undefined
}

function unavailable(name: string, cause: unknown): BudgetUnavailableError {
  const code = sqlStateOf(cause)
  if (code === LOCK_NOT_AVAILABLE) {
    return new BudgetUnavailableError(name, "another step, or somebody else, keeps its rows locked", {
      cause,
    })
  }
  // Where several addresses were tried the message is empty.
  const what = messageOf(cause) || (code ?? "it cannot be reached")
  const { detail } = (cause ?? {}) as { readonly detail?: unknown }
  const problem = typeof detail === "string" ? `${what} (${detail})` : what
  return new BudgetUnavailableError(name, problem, { cause })
}

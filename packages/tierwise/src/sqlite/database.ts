import { statSync } from "node:fs"
import { ConfigError } from "../spec/errors.ts"

export type SqliteValue = string | number | null

/**
 * What a budget asks of an open SQLite database: `DatabaseSync` of `node:sqlite` has it, and so have others that answer
 * at once, in rows that are objects.
 */
export interface SqliteDatabase {
  exec(sql: string): unknown
  prepare(sql: string): SqliteStatement
}

export interface SqliteStatement {
  run(...values: SqliteValue[]): { readonly changes: number | bigint }
  get(...values: SqliteValue[]): unknown
  all(...values: SqliteValue[]): readonly unknown[]
}

/** What becomes of the last commits when the machine, not only the process, goes down. */
export type Synchronous = "normal" | "full"

/** A way to a database, and what its owner knows of it. */
export interface Connection {
  readonly database: SqliteDatabase
  /** True: nobody else writes through it, so that `data_version` tells of all who do. */
  readonly isOwn: boolean
  /** True if others that open the same path come to another file, or to none; known 50 ms later at most. */
  readonly isMoved: () => boolean
  readonly close: () => void
}

/** `SQLITE_BUSY` and `SQLITE_LOCKED`, without their extensions. */
const LOCKED_CODES: readonly number[] = [5, 6]

/** Of a new file, in bytes. A commit writes each page that it changed; at SQLite's default of 4,096 it takes a fifth longer. */
const PAGE_SIZE = 1_024

/** A checkpoint waits for the disk: at the default of 1,000 pages (1 MB) there would be one for some hundred holds. */
const PAGES_PER_CHECKPOINT = 16_000

/** To look at the file's name takes as long as a third of a transaction. */
const LOOK_EVERY_MS = 50

/** Opens the file, or makes it. A lock is never waited for in here: that would stop the whole process. */
export async function openFile(path: string, synchronous: Synchronous): Promise<Connection> {
  const { DatabaseSync } = await import("node:sqlite").catch((cause: unknown) => {
    const fix = "run Node 22.19 or newer, or pass an open `database` in"
    throw new ConfigError("budget.path", "this runtime has no node:sqlite", fix, { cause })
  })
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec(`pragma page_size = ${PAGE_SIZE}`)
    database.exec("pragma journal_mode = wal")
    database.exec(`pragma synchronous = ${synchronous}; pragma wal_autocheckpoint = ${PAGES_PER_CHECKPOINT}`)
    const file = database.location()
    const opened = file === null ? "" : identityOf(file)
    let lookFrom = 0
    let isMoved = false
    return {
      database,
      isOwn: true,
      isMoved() {
        const at = performance.now()
        if (file === null || at < lookFrom) return isMoved
        isMoved = identityOf(file) !== opened
        lookFrom = at + LOOK_EVERY_MS
        return isMoved
      },
      close: () => database.close(),
    }
  } catch (error) {
    database.close()
    throw error
  }
}

function identityOf(file: string): string {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? "gone" : `${found.dev} ${found.ino}`
}

/** How a transaction begins and ends, prepared by who has many of them. */
export type Bracket = Readonly<Record<"begin" | "commit", SqliteStatement>>

export const BRACKET = { begin: "begin immediate", commit: "commit" } as const

/** All of `work`, or nothing of it: what it throws, and a commit that fails, leaves the database as it was. */
export function inTransaction<T>(
  database: SqliteDatabase,
  work: () => T,
  { begin, commit }: Bracket = bracketOf(database),
): T {
  begin.run()
  try {
    const done = work()
    commit.run()
    return done
  } catch (error) {
    try {
      database.exec("rollback")
    } catch {
      // A full disk, for one, has SQLite roll back by itself.
    }
    throw error
  }
}

function bracketOf(database: SqliteDatabase): Bracket {
  return { begin: database.prepare(BRACKET.begin), commit: database.prepare(BRACKET.commit) }
}

/** True if another connection was writing: the same again may well work. */
export function isLocked(error: unknown): boolean {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  if (typeof errcode === "number") return LOCKED_CODES.includes(errcode & 0xff)
  return typeof code === "string" && /^SQLITE_(?:BUSY|LOCKED)/.test(code)
}

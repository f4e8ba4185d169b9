export type { SqliteDatabase, SqliteStatement, SqliteValue, Synchronous } from "./database.ts"
export {
  migrateSqliteBudget,
  type SqliteBudgetOptions,
  type SqliteTarget,
  sqliteBudget,
} from "./sqlite-budget.ts"

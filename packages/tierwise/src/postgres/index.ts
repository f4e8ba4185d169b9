export { migratePostgresBudget, type PostgresMigrationOptions } from "./migrate-postgres-budget.ts"
export { type PostgresBudgetOptions, postgresBudget } from "./postgres-budget.ts"
export type { PostgresClient } from "./postgres-client.ts"

import { schemaV1 } from "./schema-v1.ts"

/**
 * How the tables came to be what they are: a schema of version n is made by the first n steps. Each is handed the quoted
 * name of the PostgreSQL schema. A step that was once published is never changed.
 */
export const SCHEMA_STEPS: readonly ((schema: string) => string)[] = [schemaV1]

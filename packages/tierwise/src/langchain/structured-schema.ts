import type { SerializableSchema } from "@langchain/core/utils/standard_schema"
import type { ZodV4Like } from "@langchain/core/utils/types"

/** Zod 3 as far as inference needs it: LangChain's own type of it does not fit under exactOptionalPropertyTypes. */
interface ZodV3Schema<Output> {
  readonly _output: Output
  readonly _def: object
  parse(data: unknown): Output
}

/** A zod schema of either version, any other standard schema, or JSON Schema. */
export type StructuredSchema<Output extends Record<string, unknown>> =
  | SerializableSchema<Output>
  | ZodV3Schema<Output>
  | ZodV4Like<Output, unknown>
  | Record<string, unknown>

import { z } from "zod"
import { checkShape, dispatchShape } from "../route/check-options.ts"
import { ConfigError } from "../spec/errors.ts"
import type { FallbackChainFields } from "./options.ts"

const link = z.strictObject({
  id: z.string().min(1).optional(),
  tier: z.string().min(1),
  runnable: z.custom((value) => typeof (value as { invoke?: unknown } | null)?.invoke === "function", {
    error: "it is not a Runnable",
    params: { fix: "give a chat model or another Runnable" },
  }),
  reportsFinishReason: z.boolean().optional(),
})

const fields = z.strictObject({ links: z.array(link).min(1), ...dispatchShape })

/** @throws ConfigError naming the first field that is wrong, and what to do. */
export function checkFields(given: FallbackChainFields<never, unknown>): void {
  // A list instead of the fields is the likeliest mistake.
  if (!Array.isArray((given as Partial<typeof given> | undefined)?.links)) {
    throw new ConfigError("links", "it is not a list", "give { links: [{ tier, runnable }, …] }")
  }
  if (given.links.length === 0) throw new ConfigError("links", "the chain is empty", "give at least one link")
  checkShape(fields, given, "")
}

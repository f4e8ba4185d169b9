import { arithmetic } from "./arithmetic.ts"
import { chat } from "./chat.ts"
import { extraction } from "./extraction.ts"
import type { Family, TaskFamily } from "./family.ts"
import { intent } from "./intent.ts"
import { lookup } from "./lookup.ts"
import { multiHop } from "./multi-hop.ts"
import { prose } from "./prose.ts"
import { schema } from "./schema.ts"
import { tools } from "./tools.ts"

/** Every kind of task that the models can do and that tasks are made of. */
export const FAMILIES: Readonly<Record<TaskFamily, Family>> = {
  chat,
  lookup,
  arithmetic,
  "multi-hop": multiHop,
  intent,
  extraction,
  schema,
  tools,
  prose,
}

/** A prompt is taken for the first of these that it can be: from the most particular wording to the least. */
export const READING_ORDER: readonly TaskFamily[] = [
  "chat",
  "intent",
  "extraction",
  "arithmetic",
  "multi-hop",
  "prose",
  "lookup",
]

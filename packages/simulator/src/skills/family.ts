import type { Mind } from "../mind.ts"
import type { Prompt, ToolCall } from "../prompt.ts"
import type { ChatMessage, JsonObject, JsonValue, ResponseFormat, ToolDefinition } from "../protocol.ts"
import type { Random } from "../random.ts"

export type TaskFamily =
  | "chat"
  | "lookup"
  | "arithmetic"
  | "multi-hop"
  | "intent"
  | "extraction"
  | "schema"
  | "tools"
  | "prose"

/** 1: anyone; 5: only the strongest. */
export type Level = 1 | 2 | 3 | 4 | 5

/** The key to a task. It never travels to the server. */
export type Reference =
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "text"; readonly value: string }
  | { readonly kind: "label"; readonly value: string }
  | { readonly kind: "greeting" }
  | { readonly kind: "records"; readonly records: readonly Readonly<Record<string, string>>[] }
  | { readonly kind: "object"; readonly schema: JsonObject; readonly value: JsonObject }
  | { readonly kind: "tool-calls"; readonly calls: readonly ToolCall[] }
  | { readonly kind: "length"; readonly words: number }

export interface TaskDraft {
  readonly messages: readonly ChatMessage[]
  readonly tools?: readonly ToolDefinition[] | undefined
  readonly responseFormat?: ResponseFormat | undefined
  readonly reference: Reference
  /** What makes it hard, e.g. `{ steps: 7 }`: the structure that a reader of the text does not see at once. */
  readonly hidden: Readonly<Record<string, number>>
}

/** What a model says. */
export type Reply =
  | {
      readonly kind: "text"
      readonly text: string
      /** The bare result, where there is one: it goes into a schema that has a place for it. */
      readonly value?: JsonValue | undefined
    }
  | { readonly kind: "calls"; readonly calls: readonly ToolCall[] }

/** One kind of task: how to make one, and how a model tries it from its text alone. */
export interface Family {
  readonly family: TaskFamily
  /** The levels that this kind can have: nobody finds a greeting hard. */
  readonly levels: readonly Level[]
  generate(random: Random, level: Level): TaskDraft
  /** Undefined if the prompt is not of this kind. */
  attempt(prompt: Prompt, mind: Mind): Reply | undefined
}

/** How much of something each level has: both ends included. */
export type Range = readonly [number, number]
export type RangeByLevel = Readonly<Record<Level, Range>>

export function draw(random: Random, ranges: RangeByLevel, level: Level): number {
  return random.int(...ranges[level])
}

export const ALL_LEVELS: readonly Level[] = [1, 2, 3, 4, 5]

export function userSays(text: string): readonly ChatMessage[] {
  return [{ role: "user", content: text }]
}

/** Says a result, with a caveat where the model has noticed that it may be wrong. */
export function voiced(text: string, doubtful: boolean, mind: Mind): string {
  if (!doubtful) return text
  const caveat = mind
    .luck("caveat")
    .pick([
      "I'm not sure, but here is my best guess.",
      "I am not entirely certain about this.",
      "I might be wrong here.",
      "This is hard to say for sure.",
    ])
  return `${caveat} ${text}`
}

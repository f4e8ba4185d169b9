import type { Call } from "./protocols.ts"

/** Something out of a body; what it is made of is checked by whoever reads it. */
export type Part = Readonly<Record<string, unknown>>

/** The first field that the provider does not know, as its refusal. */
export function unknownField(part: Part, known: readonly string[], path: string): string | undefined {
  const field = Object.keys(part).find((name) => !known.includes(name))
  return field === undefined ? undefined : `Unknown parameter: '${path}.${field}'.`
}

/** The first refusal of any check. */
export function firstRefusal<T>(
  items: readonly T[],
  check: (item: T, index: number) => string | undefined,
): string | undefined {
  for (const [index, item] of items.entries()) {
    const refusal = check(item, index)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

export function partsOf(value: unknown): readonly Part[] {
  return Array.isArray(value) ? (value as readonly Part[]) : []
}

/** A string, or the texts of content parts. */
export function textIn(content: unknown): string {
  if (typeof content === "string") return content
  return partsOf(content)
    .map(({ text }) => (typeof text === "string" ? text : ""))
    .join("")
}

/** The calls of a conversation by id, without it: ids are no part of what was said. */
export class CallBook {
  readonly #calls = new Map<unknown, Call>()

  add(id: unknown, call: Call): Call {
    this.#calls.set(id, call)
    return call
  }

  of(id: unknown): Call | undefined {
    return this.#calls.get(id)
  }
}

export const USAGE = { input: 10, output: 5 }

export function sse(data: object, event?: string): string {
  return `${event === undefined ? "" : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`
}

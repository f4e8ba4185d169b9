/**
 * The most entities in any one field, from whatever form the caller has them in: a count; names in a list, which are
 * one field; `{ field, … }` or `{ type, … }` objects in a list; or lists of names by field. Anything else holds none.
 */
export function entitiesInOneField(entities: unknown): number {
  if (typeof entities === "number") return Number.isFinite(entities) ? Math.max(0, entities) : 0
  if (Array.isArray(entities)) return inFullest(entities.map(fieldOf))
  if (typeof entities !== "object" || entities === null) return 0
  return most(Object.values(entities).map(sizeOf))
}

const UNNAMED = ""

function fieldOf(entity: unknown): string {
  if (typeof entity !== "object" || entity === null) return UNNAMED
  const { field, type } = entity as { readonly field?: unknown; readonly type?: unknown }
  if (typeof field === "string") return field
  return typeof type === "string" ? type : UNNAMED
}

function inFullest(fields: readonly string[]): number {
  const counts = new Map<string, number>()
  for (const field of fields) counts.set(field, (counts.get(field) ?? 0) + 1)
  return most([...counts.values()])
}

function most(counts: readonly number[]): number {
  return counts.reduce((fullest, count) => Math.max(fullest, count), 0)
}

function sizeOf(value: unknown): number {
  if (Array.isArray(value)) return value.length
  return value === undefined || value === null || value === "" ? 0 : 1
}

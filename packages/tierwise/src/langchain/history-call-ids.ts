/** Gives the tool calls of a conversation ids that every provider takes. */
export interface CallIds {
  /** A reply begins: the results that follow belong to its calls. */
  next(): void
  /** The id for a call of the reply that has begun. */
  ofCall(id: string | undefined): string
  /** The id for a result: that of its call, or undefined if the call keeps its own. */
  ofResult(id: string | undefined): string | undefined
}

/**
 * Anthropic takes `^[a-zA-Z0-9_-]+$` and refuses an id that is there twice; OpenAI takes at most 40 characters. vLLM
 * (`chatcmpl-tool-` and 32 digits) and Kimi (`functions.search:0`) make ids that one of them refuses; servers without
 * ids make empty ones.
 */
const MAX_LENGTH = 40
const SAFE = new RegExp(`^[\\w-]{1,${MAX_LENGTH}}$`)

/** `taken`: ids of calls that are sent as they are. What is safe and free keeps its id. */
export function callIds(taken: Iterable<string>): CallIds {
  const used = new Set(taken)
  const counts = new Map<string, number>()
  let calls = new Map<string, string[]>()

  const free = (id: string): string => {
    let name = id
    for (let count = counts.get(id) ?? 2; used.has(name); count++) {
      const suffix = `_${count}`
      name = id.slice(0, MAX_LENGTH - suffix.length) + suffix
      counts.set(id, count + 1)
    }
    used.add(name)
    return name
  }
  return {
    next: () => {
      calls = new Map()
    },
    ofCall: (id = "") => {
      const name = free(safe(id))
      calls.set(id, [...(calls.get(id) ?? []), name])
      return name
    },
    ofResult: (id = "") => {
      const names = calls.get(id)
      // Calls that share an id are answered in their order.
      return names !== undefined && names.length > 1 ? names.shift() : names?.[0]
    },
  }
}

/** True for an id that every provider takes. */
export function isSafeCallId(id: string | undefined): boolean {
  return id !== undefined && SAFE.test(id)
}

function safe(id: string): string {
  return id.replace(/[^\w-]/gu, "_").slice(0, MAX_LENGTH) || "call"
}

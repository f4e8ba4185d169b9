import type { JsonValue } from "./protocol.ts"

/** A body as it arrived. */
export interface SeenRequest {
  readonly requestId: string
  /** Epoch ms. */
  readonly at: number
  /** Parsed; the text itself if it was not JSON. */
  readonly body: JsonValue
}

export interface RequestLog {
  add(request: { readonly requestId: string; readonly at: number; readonly body: string }): void
  seen(): readonly SeenRequest[]
}

const MOST_REQUESTS = 1_000
const MOST_CHARACTERS = 16 * 1024 * 1024

/** The newest requests, kept as text and parsed only when somebody looks. */
export function requestLog(): RequestLog {
  const kept: { requestId: string; at: number; body: string }[] = []
  let characters = 0
  return {
    add: (request) => {
      kept.push(request)
      characters += request.body.length
      while (kept.length > MOST_REQUESTS || (characters > MOST_CHARACTERS && kept.length > 1))
        characters -= kept.shift()?.body.length ?? 0
    },
    seen: () => kept.map(({ requestId, at, body }) => ({ requestId, at, body: parsedOr(body) })),
  }
}

function parsedOr(body: string): JsonValue {
  try {
    return JSON.parse(body) as JsonValue
  } catch {
    return body
  }
}

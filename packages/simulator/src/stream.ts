import type { ServerResponse } from "node:http"
import type { JsonValue } from "./protocol.ts"

/** A stream of server-sent events, as OpenAI frames them. */
export interface EventStream {
  /** Resolves when the reader has room for more; rejects when it goes away. */
  send(chunk: JsonValue): Promise<void>
  /** The closing `[DONE]`. */
  done(): void
}

export function eventStream(response: ServerResponse, signal: AbortSignal): EventStream {
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    connection: "keep-alive",
  })
  return {
    send: async (chunk) => {
      signal.throwIfAborted()
      if (!response.write(`data: ${JSON.stringify(chunk)}\n\n`)) await drained(response, signal)
    },
    done: () => {
      response.end("data: [DONE]\n\n")
    },
  }
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      response.off("drain", settle)
      signal.removeEventListener("abort", settle)
      if (signal.aborted) reject(signal.reason)
      else resolve()
    }
    response.on("drain", settle)
    signal.addEventListener("abort", settle)
  })
}

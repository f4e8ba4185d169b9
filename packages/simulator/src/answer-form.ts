import type { ServerResponse } from "node:http"
import type { JsonObject, JsonValue } from "./protocol.ts"

/** How an answer goes out: event by event, or as one body when it is whole. False: the connection broke on the way. */
export interface AnswerForm {
  send(chunk: JsonObject): Promise<boolean>
  /** The proper end. */
  finish(): Promise<boolean>
  /** Ends after so many chunks, with nothing that says so. */
  leave(chunks: number): Promise<void>
  /** Ends with an error inside the 200. */
  fail(body: JsonValue): Promise<void>
  /** Ends with half of the JSON that would have come next. */
  halve(next: JsonObject): Promise<void>
  /** Noise comes in between. */
  garble(): Promise<boolean>
}

/** Begins an answer. Headers that its fault has set already stay as they are. */
export function beginAnswer(
  response: ServerResponse,
  usual: Readonly<Record<string, string | number>>,
): void {
  for (const [name, value] of Object.entries(usual)) {
    if (!response.hasHeader(name)) response.setHeader(name, value)
  }
  response.writeHead(200)
}

/** Half of a text, and at least a character. */
export function firstHalf(text: string): string {
  return text.slice(0, Math.ceil(text.length / 2))
}

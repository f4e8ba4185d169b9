import type { ServerResponse } from "node:http"
import { type AnswerForm, beginAnswer, firstHalf } from "./answer-form.ts"
import type { Outlet } from "./outlet.ts"
import type { JsonValue } from "./protocol.ts"

/** An answer as server-sent events, as OpenAI frames them. */
export function eventStream(response: ServerResponse, out: Outlet): AnswerForm {
  beginAnswer(response, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    connection: "keep-alive",
  })
  const last = async (text: string): Promise<void> => {
    if (await out.write(text)) await out.end()
  }
  return {
    send: (chunk) => out.write(eventOf(chunk)),
    finish: () => out.end("data: [DONE]\n\n"),
    leave: async () => {
      await out.end()
    },
    fail: (body) => last(eventOf(body)),
    halve: (chunk) => last(`data: ${firstHalf(JSON.stringify(chunk))}\n\n`),
    garble: () => out.write(NOISE),
  }
}

// A line that is no field, and an event whose data is no JSON.
const NOISE = "\u0000\ufffd{{garbled\n\ndata: }{ garbled\n\n"

function eventOf(chunk: JsonValue): string {
  return `data: ${JSON.stringify(chunk)}\n\n`
}

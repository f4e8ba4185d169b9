import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { isMainThread, parentPort, Worker } from "node:worker_threads"

/**
 * An OpenAI-compatible server that answers at once with fixed bytes, on a thread of its own: what is measured against
 * it is the caller's work and one loopback round trip, the same for everybody. Who offers tools gets one call of
 * `TOOL_NAME`, and its answer once the result is there; the model `LONG_MODEL` streams `LONG_CHUNKS` words.
 */
export interface InstantServer {
  readonly baseUrl: string
  close(): Promise<void>
}

export const LONG_MODEL = "instant-long"
export const LONG_CHUNKS = 500
export const TOOL_NAME = "look_up"

export async function startInstantServer(): Promise<InstantServer> {
  const worker = new Worker(new URL(import.meta.url))
  const port = await new Promise<number>((resolve, reject) => {
    worker.once("message", resolve)
    worker.once("error", reject)
  })
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    close: async () => {
      await worker.terminate()
    },
  }
}

if (!isMainThread) {
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on("end", () => answer(body, response))
  })
  server.listen(0, "127.0.0.1", () => parentPort?.postMessage((server.address() as AddressInfo).port))
}

const usage = { prompt_tokens: 9, completion_tokens: 9, total_tokens: 18 }
const words = ["All", " is", " well", ",", " and", " the", " day", " is", " young."]
const common = { id: "chatcmpl-1", created: 1, model: "instant" }
const whole = (message: object, finish_reason: string) =>
  JSON.stringify({
    ...common,
    // Agents take two messages of one id for one.
    id: `chatcmpl-${finish_reason}`,
    object: "chat.completion",
    choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason }],
    usage,
  })
const text = whole({ content: words.join("") }, "stop")
const call = { id: "call-1", type: "function", function: { name: TOOL_NAME, arguments: '{"what":"Oslo"}' } }
const toolCall = whole({ content: null, tool_calls: [call] }, "tool_calls")

const chunk = (delta: object, finish_reason: string | null) => ({
  ...common,
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta, finish_reason }],
})
const events = (of: readonly string[]) =>
  [
    ...of.map((content, index) => chunk(index === 0 ? { role: "assistant", content } : { content }, null)),
    chunk({}, "stop"),
    { ...common, object: "chat.completion.chunk", choices: [], usage },
  ].map((data) => `data: ${JSON.stringify(data)}\n\n`)
const short = events(words)
const long = events(Array.from({ length: LONG_CHUNKS }, (_, index) => ` word${index}`))

function answer(body: string, response: ServerResponse): void {
  if (!body.includes('"stream":true')) {
    const wantsCall = body.includes('"tools":[') && !body.includes('"role":"tool"')
    response.writeHead(200, { "content-type": "application/json" }).end(wantsCall ? toolCall : text)
    return
  }
  response.writeHead(200, { "content-type": "text/event-stream" })
  for (const data of body.includes(`"${LONG_MODEL}"`) ? long : short) response.write(data)
  response.end("data: [DONE]\n\n")
}

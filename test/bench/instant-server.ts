import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { isMainThread, parentPort, Worker } from "node:worker_threads"

/**
 * An OpenAI-compatible server that answers at once with fixed bytes, on a thread of its own: what is measured against
 * it is the caller's work and one loopback round trip, the same for everybody.
 */
export interface InstantServer {
  readonly baseUrl: string
  close(): Promise<void>
}

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
    request.on("end", () => answer(body.includes('"stream":true'), response))
  })
  server.listen(0, "127.0.0.1", () => parentPort?.postMessage((server.address() as AddressInfo).port))
}

const usage = { prompt_tokens: 9, completion_tokens: 9, total_tokens: 18 }
const words = ["All", " is", " well", ",", " and", " the", " day", " is", " young."]
const common = { id: "chatcmpl-1", created: 1, model: "instant" }
const message = { role: "assistant", content: words.join("") }
const whole = JSON.stringify({
  ...common,
  object: "chat.completion",
  choices: [{ index: 0, message, finish_reason: "stop" }],
  usage,
})
const chunk = (delta: object, finish_reason: string | null) => ({
  ...common,
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta, finish_reason }],
})
const chunks = [
  ...words.map((content, index) => chunk(index === 0 ? { role: "assistant", content } : { content }, null)),
  chunk({}, "stop"),
  { ...common, object: "chat.completion.chunk", choices: [], usage },
].map((data) => `data: ${JSON.stringify(data)}\n\n`)

function answer(streamed: boolean, response: ServerResponse): void {
  if (!streamed) {
    response.writeHead(200, { "content-type": "application/json" }).end(whole)
    return
  }
  response.writeHead(200, { "content-type": "text/event-stream" })
  for (const data of chunks) response.write(data)
  response.end("data: [DONE]\n\n")
}

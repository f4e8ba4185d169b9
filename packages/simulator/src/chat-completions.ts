import { hash } from "node:crypto"
import type { ServerResponse } from "node:http"
import type { Piece } from "./answer.ts"
import { type Completion, completionOf, usageOf } from "./completion.ts"
import { type FaultScript, refusalOf, type ScriptedFault } from "./faults.ts"
import { type Bill, type BilledTokens, costOf, type InvoiceLine } from "./invoice.ts"
import type { SimulatedModel } from "./models.ts"
import type { SimulatorSettings } from "./options.ts"
import { paced } from "./pace.ts"
import { type PromptCache, promptCache } from "./prompt-cache.ts"
import { type ChatRequest, type JsonObject, type JsonValue, parseChatRequest, WireError } from "./protocol.ts"
import { eventStream } from "./stream.ts"
import { countPrompt, rememberedCount } from "./tokens.ts"

/** One POST on its way to an answer. */
export interface ChatCall {
  readonly requestId: string
  readonly body: string
  readonly response: ServerResponse
  /** Aborts when the connection closes before the answer is out: the client left, or the server was closed. */
  readonly signal: AbortSignal
}

export interface ChatDesk {
  /** Answers, refuses or breaks off; whatever happens, a call that named a known model is on the bill. */
  handle(call: ChatCall): Promise<void>
}

export interface ChatDeskOptions {
  readonly settings: SimulatorSettings
  readonly faults: FaultScript
  readonly bill: Bill
}

export function chatDesk({ settings, faults, bill }: ChatDeskOptions): ChatDesk {
  const models = new Map(settings.models.map((model) => [model.id, model]))
  const cache = promptCache(settings.now)
  const count = rememberedCount()
  let calls = 0
  return {
    handle: async (call) => {
      const request = parseChatRequest(call.body)
      const model = models.get(request.model)
      if (model === undefined) throw unknownModel(request.model)
      calls += 1
      const job: Job = {
        // Unique even where a client sends one request id twice: LangGraph merges messages of the same id.
        id: `chatcmpl-${hash("sha256", `${settings.seed}:${calls}:${call.requestId}`).slice(0, 29)}`,
        call,
        request,
        model,
        settings,
        cache,
        count,
        fault: faults.take(model.id),
        billed: { ...NOTHING },
      }
      let outcome: InvoiceLine["outcome"] = "failed"
      try {
        outcome = await answered(job)
      } catch (error) {
        if (!call.signal.aborted) throw error
        outcome = "aborted"
      } finally {
        const { requestId } = call
        const costNanoUsd = costOf(model.price, job.billed)
        bill.add({ requestId, model: model.id, at: settings.now(), ...job.billed, costNanoUsd, outcome })
      }
    },
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: JsonValue,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    ...headers,
  })
  response.end(text)
}

interface Job {
  readonly id: string
  readonly call: ChatCall
  readonly request: ChatRequest
  readonly model: SimulatedModel
  readonly settings: SimulatorSettings
  readonly cache: PromptCache
  readonly count: (text: string) => number
  readonly fault: ScriptedFault | undefined
  /** Grows while the answer is generated, so that it is right whenever that ends. */
  billed: { -readonly [Key in keyof BilledTokens]: number }
}

const NOTHING: BilledTokens = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 }

async function answered(job: Job): Promise<"completed" | "failed"> {
  const { call, request, model, settings, fault } = job
  if (fault?.delayMs !== undefined) await settings.sleep(fault.delayMs, call.signal)
  const refusal = fault === undefined ? undefined : refusalOf(fault)
  if (refusal !== undefined) {
    sendJson(call.response, refusal.status, refusal.body, refusal.headers)
    return "failed"
  }
  const prompt = countPrompt(request, job.count)
  const completion = completionOf(request, model, {
    seed: settings.seed,
    inputTokens: prompt.total,
    scripted: fault?.answer,
  })
  job.billed.inputTokens = prompt.total
  job.billed.cachedInputTokens = job.cache.read(request, prompt)
  for (const [name, value] of Object.entries(fault?.headers ?? {})) call.response.setHeader(name, value)
  return request.stream === true ? streamed(job, completion) : whole(job, completion)
}

async function whole(job: Job, { choices, pieces }: Completion): Promise<"completed" | "failed"> {
  const cutAfter = job.fault?.cutAfterChunks
  let chunks = 1
  for await (const piece of generated(job, pieces)) {
    if (cutAfter !== undefined && chunks >= cutAfter) break
    job.billed.outputTokens += piece.tokens
    chunks += 1
  }
  if (cutAfter !== undefined) return cut(job)
  sendJson(job.call.response, 200, {
    ...headOf(job, "chat.completion"),
    choices: choices.map(({ index, message, finishReason }) => {
      return { index, message, logprobs: null, finish_reason: finishReason }
    }),
    usage: usageOfJob(job),
  })
  return "completed"
}

async function streamed(job: Job, { choices, pieces }: Completion): Promise<"completed" | "failed"> {
  const { call, request, fault } = job
  const head = headOf(job, "chat.completion.chunk")
  const withUsage = request.stream_options?.include_usage === true
  const noUsageYet: JsonObject = withUsage ? { usage: null } : {}
  const chunkOf = (index: number, delta: JsonObject, finish: string | null): JsonObject => {
    return { ...head, choices: [{ index, delta, logprobs: null, finish_reason: finish }], ...noUsageYet }
  }
  function* opening(): Generator<JsonObject> {
    for (const { index } of choices)
      yield chunkOf(index, { role: "assistant", content: "", refusal: null }, null)
  }
  function* closing(): Generator<JsonObject> {
    for (const { index, finishReason } of choices) yield chunkOf(index, {}, finishReason)
    if (withUsage) yield { ...head, choices: [], usage: usageOfJob(job) }
  }

  const source = generated(job, pieces)[Symbol.asyncIterator]()
  // Headers leave with the first token, as they do at a provider that is still thinking.
  let next = await source.next()
  const stream = eventStream(call.response, call.signal)
  let chunks = 0
  const send = async (chunk: JsonObject): Promise<boolean> => {
    if (chunks === fault?.cutAfterChunks) return false
    chunks += 1
    await stream.send(chunk)
    return true
  }
  for (const chunk of opening()) if (!(await send(chunk))) return cut(job)
  for (; next.done !== true; next = await source.next()) {
    const { choice, delta, tokens } = next.value
    if (!(await send(chunkOf(choice, delta, null)))) return cut(job)
    job.billed.outputTokens += tokens
  }
  for (const chunk of closing()) if (!(await send(chunk))) return cut(job)
  if (fault?.cutAfterChunks !== undefined) return cut(job)
  stream.done()
  return "completed"
}

function generated({ call, model, settings, billed }: Job, pieces: readonly Piece[]): AsyncIterable<Piece> {
  const { inputTokens, cachedInputTokens } = billed
  return paced(pieces, {
    latency: model.latency,
    timeScale: settings.timeScale,
    freshInputTokens: inputTokens - cachedInputTokens,
    choices: new Set(pieces.map(({ choice }) => choice)).size,
    sleep: settings.sleep,
    signal: call.signal,
  })
}

/** What was written goes out, and the connection breaks instead of ending. */
function cut({ call }: Job): "failed" {
  const { socket } = call.response
  if (socket === null || socket.writableLength === 0) call.response.destroy()
  else socket.write("", () => call.response.destroy())
  return "failed"
}

function headOf({ id, request, settings }: Job, object: string): JsonObject {
  return {
    id,
    object,
    created: Math.floor(settings.now() / 1_000),
    model: request.model,
    service_tier: "default",
    system_fingerprint: `fp_simulator_${settings.seed}`,
  }
}

function usageOfJob({ billed }: Job): JsonObject {
  return usageOf(billed.inputTokens, billed.cachedInputTokens, billed.outputTokens)
}

function unknownModel(model: string): WireError {
  return new WireError(404, `The model \`${model}\` does not exist or you do not have access to it.`, {
    code: "model_not_found",
  })
}

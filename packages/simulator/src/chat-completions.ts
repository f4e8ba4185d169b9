import { hash } from "node:crypto"
import type { ServerResponse } from "node:http"
import type { Piece } from "./answer.ts"
import { type Completion, completionOf, usageOf } from "./completion.ts"
import { errorInside, type FaultScript, refusalOf, type ScriptedFault } from "./faults.ts"
import {
  type Bill,
  type BilledTokens,
  chargesCacheWrites,
  costOf,
  type InvoiceLine,
  NOTHING,
} from "./invoice.ts"
import type { SimulatedModel } from "./models.ts"
import type { SimulatorSettings } from "./options.ts"
import { paced } from "./pace.ts"
import { type PromptCache, promptCache } from "./prompt-cache.ts"
import { type ChatRequest, type JsonObject, type JsonValue, parseChatRequest, WireError } from "./protocol.ts"
import { type EventStream, eventStream } from "./stream.ts"
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
  /** Calls that named a known model and are not on the bill yet. */
  open(): number
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
  let open = 0
  return {
    open: () => open,
    handle: async (call) => {
      const request = parseChatRequest(call.body)
      const model = models.get(request.model)
      if (model === undefined) throw unknownModel(request.model)
      calls += 1
      open += 1
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
        pieces: [],
        generated: 0,
      }
      let outcome: InvoiceLine["outcome"] = "failed"
      try {
        outcome = await answered(job)
      } catch (error) {
        if (!call.signal.aborted) throw error
        outcome = "aborted"
        if (model.whenAborted === "finishes") billAll(job)
      } finally {
        open -= 1
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
  readonly billed: { -readonly [Key in keyof BilledTokens]: number }
  /** The whole answer, once the prompt is read, and how many of its pieces are billed. */
  pieces: readonly Piece[]
  generated: number
}

async function answered(job: Job): Promise<"completed" | "failed"> {
  const { call, request, model, settings, fault } = job
  // It waits in line: nothing was read yet, so a client that leaves here owes nothing.
  if (fault?.delayMs !== undefined) await settings.sleep(fault.delayMs, call.signal)
  call.signal.throwIfAborted()
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
  const { read, written } = job.cache.read(request, prompt)
  job.billed.inputTokens = prompt.total
  job.billed.cachedInputTokens = read
  job.billed.cacheWriteTokens = chargesCacheWrites(model.price) ? written : 0
  job.pieces = completion.pieces
  for (const [name, value] of Object.entries(fault?.headers ?? {})) call.response.setHeader(name, value)
  return request.stream === true ? streamed(job, completion) : whole(job, completion)
}

async function whole(job: Job, { choices, pieces }: Completion): Promise<"completed" | "failed"> {
  const breaksAfter = breakOf(job)
  let chunks = 1
  for await (const piece of generated(job, pieces)) {
    if (isShown(piece)) {
      if (breaksAfter !== undefined && chunks >= breaksAfter) break
      chunks += 1
    }
    bill(job, piece)
  }
  if (job.fault?.cutAfterChunks !== undefined) return cut(job)
  if (job.fault?.errorAfterChunks !== undefined) {
    sendJson(job.call.response, 200, errorInside(job.fault))
    return "failed"
  }
  sendJson(job.call.response, 200, {
    ...headOf(job, "chat.completion"),
    choices: choices.map(({ index, message, finishReason }) => {
      return { index, message, logprobs: null, finish_reason: finishReason }
    }),
    ...(reportsUsage(job) ? { usage: usageOf(job.billed, job.model) } : {}),
  })
  return "completed"
}

async function streamed(job: Job, { choices, pieces }: Completion): Promise<"completed" | "failed"> {
  const { call, request } = job
  const head = headOf(job, "chat.completion.chunk")
  const withUsage = reportsUsage(job) && request.stream_options?.include_usage === true
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
    if (withUsage) yield { ...head, choices: [], usage: usageOf(job.billed, job.model) }
  }

  const source = generated(job, pieces)[Symbol.asyncIterator]()
  // Headers leave with the first token, as they do at a provider that is still thinking.
  let next = await source.next()
  const stream = eventStream(call.response, call.signal)
  const breaksAfter = breakOf(job)
  let chunks = 0
  const breaksNow = (): boolean => chunks === breaksAfter
  const send = async (chunk: JsonObject): Promise<void> => {
    chunks += 1
    await stream.send(chunk)
  }
  for (const chunk of opening()) {
    if (breaksNow()) return brokenOff(job, stream)
    await send(chunk)
  }
  for (; next.done !== true; next = await source.next()) {
    const piece = next.value
    if (isShown(piece) && breaksNow()) return brokenOff(job, stream)
    // Before it is sent: a reader may take it and leave while the sender still waits for room.
    bill(job, piece)
    if (isShown(piece)) await send(chunkOf(piece.choice, piece.delta, null))
  }
  for (const chunk of closing()) {
    if (breaksNow()) return brokenOff(job, stream)
    await send(chunk)
  }
  if (breaksAfter !== undefined) return brokenOff(job, stream)
  stream.done()
  return "completed"
}

function bill(job: Job, { tokens, delta }: Piece): void {
  job.billed.outputTokens += tokens
  if (delta === "thought") job.billed.reasoningTokens += tokens
  job.generated += 1
}

/** The rest of an answer that nobody reads. */
function billAll(job: Job): void {
  for (const piece of job.pieces.slice(job.generated)) bill(job, piece)
}

function isShown(piece: Piece): piece is Piece & { readonly delta: JsonObject } {
  return piece.delta !== "thought"
}

function breakOf({ fault }: Job): number | undefined {
  return fault?.cutAfterChunks ?? fault?.errorAfterChunks
}

async function brokenOff(job: Job, stream: EventStream): Promise<"failed"> {
  const { fault, call } = job
  if (fault?.errorAfterChunks === undefined) return cut(job)
  await stream.send(errorInside(fault))
  call.response.end()
  return "failed"
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

function reportsUsage({ model }: Job): boolean {
  return model.reportsUsage ?? true
}

function unknownModel(model: string): WireError {
  return new WireError(404, `The model \`${model}\` does not exist or you do not have access to it.`, {
    code: "model_not_found",
  })
}

import { hash } from "node:crypto"
import type { ServerResponse } from "node:http"
import { give } from "./answering.ts"
import { breakingOf } from "./breaking.ts"
import { completionOf } from "./completion.ts"
import type { FaultPlan } from "./fault-plan.ts"
import type { Fault } from "./faults.ts"
import { TO_CONNECTION } from "./happenings.ts"
import { type Bill, chargesCacheWrites, costOf, type InvoiceLine, NOTHING } from "./invoice.ts"
import { billAll, type ChatCall, type Job } from "./job.ts"
import type { SimulatorSettings } from "./options.ts"
import { promptCache } from "./prompt-cache.ts"
import { type JsonValue, parseChatRequest, WireError } from "./protocol.ts"
import { refusalOf } from "./refusals.ts"
import { countPrompt, rememberedCount } from "./tokens.ts"

export interface ChatDesk {
  /** Answers, refuses or breaks off; whatever happens, a call that named a known model is on the bill. */
  handle(call: ChatCall): Promise<void>
  /** Calls that named a known model and are not on the bill yet. */
  open(): number
}

export interface ChatDeskOptions {
  readonly settings: SimulatorSettings
  readonly faults: FaultPlan
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
        createdAt: settings.now(),
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

export function sendJson(response: ServerResponse, status: number, body: JsonValue): void {
  sendText(response, status, { text: JSON.stringify(body), headers: { "content-type": "application/json" } })
}

async function answered(job: Job): Promise<"completed" | "failed"> {
  const { call, request, model, settings, fault } = job
  // It waits in line: nothing was read yet, so a client that leaves here owes nothing.
  if (fault?.delayMs !== undefined) await settings.sleep(fault.delayMs, call.signal)
  call.signal.throwIfAborted()
  if (await isLostAtArrival(job)) return "failed"
  for (const [name, value] of headersOf(fault)) call.response.setHeader(name, value)
  const refusal = fault === undefined ? undefined : refusalOf(fault, { ...model, now: settings.now })
  if (refusal !== undefined) {
    sendText(call.response, refusal.status, refusal)
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
  return give(job, completion)
}

async function isLostAtArrival(job: Job): Promise<boolean> {
  const breaking = breakingOf(job.fault)
  if (breaking?.at !== "arrival") return false
  return (await TO_CONNECTION[breaking.how]?.({ ...breaking, job })) === false
}

function headersOf(fault: Fault | undefined): readonly (readonly [string, string])[] {
  const { headers = {}, headerBytes } = fault ?? {}
  const filler = headerBytes === undefined ? [] : [["x-filler", "x".repeat(headerBytes)] as const]
  return [...Object.entries(headers), ...filler]
}

interface Sendable {
  readonly text: string
  readonly headers: Readonly<Record<string, string>>
}

function sendText(response: ServerResponse, status: number, { text, headers }: Sendable): void {
  response.writeHead(status, { "content-length": Buffer.byteLength(text), ...headers })
  response.end(text)
}

function unknownModel(model: string): WireError {
  return new WireError(404, `The model \`${model}\` does not exist or you do not have access to it.`, {
    code: "model_not_found",
  })
}

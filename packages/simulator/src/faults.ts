import { z } from "zod"
import { SimulatorConfigError } from "./errors.ts"
import type { JsonObject, JsonValue } from "./protocol.ts"

/** What is to happen to a coming call instead of, or on top of, a normal answer. */
export interface ScriptedFault {
  /** Only calls of this model. Default: any. */
  readonly model?: string | undefined
  /** How many matching calls it is for. Default 1. */
  readonly times?: number | undefined
  /** Refuse with this HTTP status, 400 … 599. */
  readonly status?: number | undefined
  /** The refusal's body, or that of an error inside a 200. Default: what OpenAI sends with that status, or with 500. */
  readonly body?: JsonValue | undefined
  /** Added to the answer's headers, or to the refusal's, which has `retry-after` with 429 and 503. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Real milliseconds to wait first, whatever the time scale. */
  readonly delayMs?: number | undefined
  /**
   * Destroy the connection after so many chunks of a stream; the opening one with the role is the first. An answer
   * that is not streamed breaks off before anything is sent.
   */
  readonly cutAfterChunks?: number | undefined
  /**
   * Fail with an error inside a 200, as some OpenAI-compatible servers do: after so many chunks of a stream it is the
   * next and last event, without `[DONE]`; an answer that is not streamed is replaced by it.
   */
  readonly errorAfterChunks?: number | undefined
  /** Answer with this text instead of thinking. */
  readonly answer?: string | undefined
}

/** Faults in waiting. The oldest that matches a call is used. */
export interface FaultScript {
  add(faults: readonly ScriptedFault[]): void
  /** The fault for a call of this model, used up by asking. */
  take(model: string): ScriptedFault | undefined
}

/** A refusal, ready to be sent. */
export interface Refusal {
  readonly status: number
  readonly body: JsonValue
  readonly headers: Readonly<Record<string, string>>
}

/** A kind of fault that is not scripted call by call (rates, outages, slow hours) would be another source of `take`. */
export function faultScript(modelIds: readonly string[]): FaultScript {
  let waiting: { fault: ScriptedFault; left: number }[] = []
  return {
    add: (faults) => {
      const checked = faults.map((fault, index) => checkedFault(fault, index, modelIds))
      waiting.push(...checked.map((fault) => ({ fault, left: fault.times ?? 1 })))
    },
    take: (model) => {
      const next = waiting.find(({ fault }) => fault.model === undefined || fault.model === model)
      if (next === undefined) return undefined
      next.left -= 1
      if (next.left === 0) waiting = waiting.filter((entry) => entry !== next)
      return next.fault
    },
  }
}

/** The refusal that a fault asks for; undefined if it asks for none. */
export function refusalOf({ status, body, headers }: ScriptedFault): Refusal | undefined {
  if (status === undefined) return undefined
  const usual = USUAL[status] ?? (status >= 500 ? SERVER_ERROR : BAD_REQUEST)
  return {
    status,
    body: body ?? bodyOf(usual),
    headers: { ...(usual.retryAfter === undefined ? {} : { "retry-after": usual.retryAfter }), ...headers },
  }
}

/** What a fault says inside a 200. */
export function errorInside({ body }: ScriptedFault): JsonValue {
  return body ?? bodyOf(SERVER_ERROR)
}

function bodyOf({ message, type, code }: Usual): JsonObject {
  return { error: { message, type, param: null, code } }
}

interface Usual {
  readonly message: string
  readonly type: string
  readonly code: string | null
  /** Seconds. */
  readonly retryAfter?: string
}

const BAD_REQUEST: Usual = { message: "The request was refused.", type: "invalid_request_error", code: null }
const SERVER_ERROR: Usual = {
  message: "The server had an error while processing your request. Sorry about that!",
  type: "server_error",
  code: null,
}

/** Messages, types and codes as OpenAI's error guide has them. */
const USUAL: Readonly<Record<number, Usual>> = {
  401: {
    message: "Incorrect API key provided: sk-simulated. You can find your API key in your account settings.",
    type: "invalid_request_error",
    code: "invalid_api_key",
  },
  403: {
    message: "Country, region, or territory not supported.",
    type: "request_forbidden",
    code: "unsupported_country_region_territory",
  },
  404: {
    message: "The model does not exist or you do not have access to it.",
    type: "invalid_request_error",
    code: "model_not_found",
  },
  408: { message: "The request took too long.", type: "timeout", code: null },
  429: {
    message: "Rate limit reached for requests. Please try again in 1s.",
    type: "requests",
    code: "rate_limit_exceeded",
    retryAfter: "1",
  },
  503: {
    message: "The engine is currently overloaded, please try again later.",
    type: "server_error",
    code: null,
    retryAfter: "1",
  },
}

const scriptedFault = z
  .strictObject({
    model: z.string().optional(),
    times: z.int().min(1).optional(),
    status: z.int().min(400).max(599).optional(),
    body: z.custom<JsonValue>().optional(),
    headers: z.record(z.string(), z.string()).optional(),
    delayMs: z.number().min(0).max(3_600_000).optional(),
    cutAfterChunks: z.int().min(0).optional(),
    errorAfterChunks: z.int().min(0).optional(),
    answer: z.string().optional(),
  })
  .refine(
    ({ status, delayMs, cutAfterChunks, errorAfterChunks, answer, headers }) =>
      [status, delayMs, cutAfterChunks, errorAfterChunks, answer, headers].some(
        (effect) => effect !== undefined,
      ),
    "it changes nothing: give status, delayMs, cutAfterChunks, errorAfterChunks, answer or headers",
  )
  .refine(
    ({ status, cutAfterChunks, errorAfterChunks, answer }) =>
      status === undefined || (cutAfterChunks ?? errorAfterChunks ?? answer) === undefined,
    "a refused call has no answer to script: leave out status, or leave out answer, cutAfterChunks and errorAfterChunks",
  )
  .refine(
    ({ cutAfterChunks, errorAfterChunks }) => cutAfterChunks === undefined || errorAfterChunks === undefined,
    "an answer ends once: give cutAfterChunks or errorAfterChunks",
  )

function checkedFault(fault: ScriptedFault, index: number, modelIds: readonly string[]): ScriptedFault {
  const path = `script[${index}]`
  const parsed = scriptedFault.safeParse(fault)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new SimulatorConfigError(
      [path, ...(issue?.path ?? [])].join("."),
      issue?.message ?? "not understood",
      "correct it",
    )
  }
  if (fault.model !== undefined && !modelIds.includes(fault.model))
    throw new SimulatorConfigError(
      `${path}.model`,
      `there is no model ${fault.model}`,
      `use one of ${modelIds.join(", ")}`,
    )
  return fault
}

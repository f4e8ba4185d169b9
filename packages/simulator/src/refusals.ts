import type { Fault, RefusalName, RetryAfter } from "./faults.ts"
import type { JsonObject, JsonValue } from "./protocol.ts"

/** A refusal, ready to be sent. */
export interface Refusal {
  readonly status: number
  readonly text: string
  readonly headers: Readonly<Record<string, string>>
}

export interface RefusalContext {
  /** Tokens, of the model that refuses. */
  readonly contextWindow: number
  /** Epoch ms. */
  readonly now: () => number
}

/** The refusal that a fault asks for; undefined if it asks for none. */
export function refusalOf(fault: Fault, { contextWindow, now }: RefusalContext): Refusal | undefined {
  const { refusal, html, headers, body } = fault
  const status = refusal === undefined ? fault.status : REFUSALS[refusal].status
  if (status === undefined && html === undefined) return undefined
  const words = refusal === undefined ? usualWords(status) : REFUSALS[refusal]
  const after = fault.retryAfter ?? words.retryAfter ?? "none"
  const comeBack = after === "none" ? undefined : "seconds" in after ? after.seconds : after.date
  const said = typeof words.says === "function" ? words.says({ contextWindow, comeBack }) : words.says
  const page = html === true ? pageOf(status) : (html ?? (body === undefined ? pageIn(said) : undefined))
  return {
    status: status ?? 200,
    text: page ?? JSON.stringify(body ?? said),
    headers: {
      "content-type": page === undefined ? "application/json" : "text/html; charset=utf-8",
      ...retryAfterOf(after, now),
      ...headers,
    },
  }
}

/** What a fault says inside a 200. */
export function errorInside({ body }: Fault): JsonValue {
  return body ?? SERVER_ERROR
}

function retryAfterOf(after: RetryAfter, now: () => number): Readonly<Record<string, string>> {
  if (after === "none") return {}
  if ("seconds" in after) return { "retry-after": String(after.seconds) }
  return { "retry-after": new Date(now() + after.date * 1_000).toUTCString() }
}

function usualWords(status: number | undefined): Words {
  if (status === undefined) return { says: PORTAL }
  return USUAL[status] ?? { says: status >= 500 ? SERVER_ERROR : BAD_REQUEST }
}

interface Words {
  /** JSON, the text of a web page, or JSON that depends on the call. */
  readonly says: JsonObject | string | ((told: Told) => JsonObject)
  readonly retryAfter?: { readonly seconds: number }
}

interface Told {
  /** Tokens. */
  readonly contextWindow: number
  /** Seconds; undefined if nothing is said of it. */
  readonly comeBack: number | undefined
}

function error(message: string, type: string, code: string | null = null): JsonObject {
  return { error: { message, type, param: null, code } }
}

const BAD_REQUEST = error("The request was refused.", "invalid_request_error")
const SERVER_ERROR = error(
  "The server had an error while processing your request. Sorry about that!",
  "server_error",
)

const PORTAL = `<!DOCTYPE html>
<html><head><title>Sign in</title></head><body><h1>Sign in to use this network</h1></body></html>
`

function pageIn(said: JsonObject | string): string | undefined {
  return typeof said === "string" ? said : undefined
}

/** As nginx words a page for an error. */
function pageOf(status: number | undefined): string {
  if (status === undefined) return PORTAL
  const title = `${status} ${TITLES[status] ?? "Error"}`
  return [
    "<html>",
    `<head><title>${title}</title></head>`,
    "<body>",
    `<center><h1>${title}</h1></center>`,
    "<hr><center>nginx</center>",
    "</body>",
    "</html>",
    "",
  ].join("\r\n")
}

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Authorization Required",
  403: "Forbidden",
  404: "Not Found",
  408: "Request Time-out",
  413: "Request Entity Too Large",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Temporarily Unavailable",
  504: "Gateway Time-out",
}

/** Messages, types and codes as OpenAI's error guide has them; where it has none, as a provider that sends the status. */
const USUAL: Readonly<Record<number, Words>> = {
  401: {
    says: error(
      "Incorrect API key provided: sk-simulated. You can find your API key in your account settings.",
      "invalid_request_error",
      "invalid_api_key",
    ),
  },
  403: {
    says: error(
      "Country, region, or territory not supported.",
      "request_forbidden",
      "unsupported_country_region_territory",
    ),
  },
  404: {
    says: error(
      "The model does not exist or you do not have access to it.",
      "invalid_request_error",
      "model_not_found",
    ),
  },
  408: { says: error("The request took too long.", "timeout") },
  409: { says: error("The resource was updated by another request.", "conflict_error") },
  // Groq's.
  413: {
    says: {
      error: {
        message:
          "Request too large for model in organization `org_simulated` service tier `on_demand` on tokens per minute " +
          "(TPM): Limit 6000, Requested 14368, please reduce your message size and try again.",
        type: "tokens",
        code: "rate_limit_exceeded",
      },
    },
  },
  // FastAPI's, and so that of many servers for open models.
  422: {
    says: {
      detail: [{ type: "missing", loc: ["body", "messages"], msg: "Field required", input: {} }],
    },
  },
  429: {
    says: ({ comeBack }) => {
      const hint = comeBack === undefined ? "" : ` Please try again in ${comeBack}s.`
      return error(`Rate limit reached for requests.${hint}`, "requests", "rate_limit_exceeded")
    },
    retryAfter: { seconds: 1 },
  },
  502: { says: pageOf(502) },
  503: {
    says: error("The engine is currently overloaded, please try again later.", "server_error"),
    retryAfter: { seconds: 1 },
  },
  504: { says: pageOf(504) },
  // Anthropic's.
  529: {
    says: {
      type: "error",
      error: { type: "overloaded_error", message: "Overloaded" },
      request_id: "req_simulated",
    },
  },
}

// The prompt that overflows is said to be this much longer than the window.
const OVERFLOW_TOKENS = 1_000

const REFUSALS: Readonly<Record<RefusalName, Words & { readonly status: number }>> = {
  "openai-context-overflow": {
    status: 400,
    says: ({ contextWindow: window }) => ({
      error: {
        message:
          `This model's maximum context length is ${window} tokens. However, your messages resulted in ` +
          `${window + OVERFLOW_TOKENS} tokens. Please reduce the length of the messages.`,
        type: "invalid_request_error",
        param: "messages",
        code: "context_length_exceeded",
      },
    }),
  },
  "vllm-context-overflow": {
    status: 400,
    says: ({ contextWindow: window }) => ({
      error: {
        message:
          `You passed ${window + OVERFLOW_TOKENS} input tokens and requested 0 output tokens. However, the model's ` +
          `context length is only ${window} tokens, resulting in a maximum input length of ${window} tokens. Please ` +
          `reduce the length of the input prompt. (parameter=input_tokens, value=${window + OVERFLOW_TOKENS})`,
        type: "BadRequestError",
        param: "input_tokens",
        code: 400,
      },
    }),
  },
  // Before vLLM put its errors under `error`, as servers that build on it still have them.
  "vllm-context-overflow-flat": {
    status: 400,
    says: ({ contextWindow: window }) => ({
      object: "error",
      message:
        `This model's maximum context length is ${window} tokens. However, you requested ` +
        `${window + OVERFLOW_TOKENS} tokens in the messages. Please reduce the length of the messages.`,
      type: "BadRequestError",
      param: null,
      code: 400,
    }),
  },
  "azure-content-filter": {
    status: 400,
    says: {
      error: {
        message:
          "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please " +
          "modify your prompt and retry. To learn more about our content filtering policies please read our " +
          "documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
        type: null,
        param: "prompt",
        code: "content_filter",
        status: 400,
        innererror: {
          code: "ResponsibleAIPolicyViolation",
          content_filter_result: {
            hate: { filtered: false, severity: "safe" },
            jailbreak: { filtered: false, detected: false },
            self_harm: { filtered: false, severity: "safe" },
            sexual: { filtered: false, severity: "safe" },
            violence: { filtered: true, severity: "medium" },
          },
        },
      },
    },
  },
  "azure-rate-limit": {
    status: 429,
    retryAfter: { seconds: 20 },
    says: ({ comeBack }) => ({
      error: {
        code: "429",
        message:
          "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded " +
          "token rate limit of your current OpenAI S0 pricing tier." +
          (comeBack === undefined ? "" : ` Please retry after ${comeBack} seconds.`),
      },
    }),
  },
  "openai-quota-exhausted": {
    status: 429,
    says: error(
      "You exceeded your current quota, please check your plan and billing details.",
      "insufficient_quota",
      "insufficient_quota",
    ),
  },
}

export const REFUSAL_NAMES = Object.keys(REFUSALS) as [RefusalName, ...RefusalName[]]

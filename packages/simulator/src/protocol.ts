import { z } from "zod"

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined
}

export interface ContentPart {
  readonly type: string
  readonly text?: string | undefined
  readonly image_url?: { readonly url: string; readonly detail?: string | undefined } | undefined
}

export interface WireToolCall {
  readonly id: string
  readonly type: "function"
  readonly function: { readonly name: string; readonly arguments: string }
}

/** A message as it travels. */
export interface ChatMessage {
  readonly role: "system" | "developer" | "user" | "assistant" | "tool"
  readonly content?: string | readonly ContentPart[] | null | undefined
  readonly name?: string | undefined
  readonly tool_calls?: readonly WireToolCall[] | undefined
  readonly tool_call_id?: string | undefined
}

export interface ToolDefinition {
  readonly type: "function"
  readonly function: {
    readonly name: string
    readonly description?: string | undefined
    /** JSON Schema of the arguments. Default: no arguments. */
    readonly parameters?: JsonObject | undefined
    readonly strict?: boolean | null | undefined
  }
}

export type ResponseFormat =
  | { readonly type: "text" }
  | { readonly type: "json_object" }
  | {
      readonly type: "json_schema"
      readonly json_schema: {
        readonly name: string
        readonly description?: string | undefined
        readonly schema?: JsonObject | undefined
        readonly strict?: boolean | null | undefined
      }
    }

export type ToolChoice =
  | "none"
  | "auto"
  | "required"
  | { readonly type: "function"; readonly function: { readonly name: string } }

/** What is understood of a chat-completions request. Other fields are accepted and ignored. */
export interface ChatRequest {
  readonly model: string
  readonly messages: readonly ChatMessage[]
  readonly tools?: readonly ToolDefinition[] | undefined
  readonly tool_choice?: ToolChoice | null | undefined
  readonly parallel_tool_calls?: boolean | null | undefined
  readonly response_format?: ResponseFormat | null | undefined
  readonly stream?: boolean | null | undefined
  readonly stream_options?: { readonly include_usage?: boolean | undefined } | null | undefined
  readonly n?: number | null | undefined
  readonly stop?: string | readonly string[] | null | undefined
  readonly max_tokens?: number | null | undefined
  readonly max_completion_tokens?: number | null | undefined
  readonly temperature?: number | null | undefined
  readonly seed?: number | null | undefined
  readonly reasoning_effort?: ReasoningEffort | null | undefined
}

export type ReasoningEffort = (typeof REASONING_EFFORTS)[number]

const REASONING_EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const

/** A refusal as OpenAI words it. */
export class WireError extends Error {
  readonly status: number
  readonly type: string
  readonly param: string | null
  readonly code: string | null

  constructor(
    status: number,
    message: string,
    details: {
      readonly type?: string | undefined
      readonly param?: string | undefined
      readonly code?: string | undefined
    } = {},
  ) {
    super(message)
    this.name = "WireError"
    this.status = status
    this.type = details.type ?? "invalid_request_error"
    this.param = details.param ?? null
    this.code = details.code ?? null
  }

  get body(): JsonObject {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } }
  }
}

/** @throws WireError 400 that names the parameter. */
export function parseChatRequest(text: string): ChatRequest {
  const body = parseJson(text)
  const parsed = wireRequest.safeParse(body)
  if (!parsed.success) throw asWireError(parsed.error.issues[0], body)
  const request: ChatRequest = parsed.data
  checkToolChoice(request)
  checkToolMessages(request.messages)
  checkJsonMode(request)
  return request
}

/** The text of a message; parts are joined by new lines, images and sounds are left out. */
export function textOf(message: ChatMessage): string {
  if (typeof message.content === "string") return message.content
  return (message.content ?? []).flatMap((part) => part.text ?? []).join("\n")
}

const wireMessage = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: z
    .union([
      z.string(),
      z.array(
        z.looseObject({
          type: z.string(),
          text: z.string().optional(),
          image_url: z.looseObject({ url: z.string(), detail: z.string().optional() }).optional(),
        }),
      ),
    ])
    .nullish(),
  name: z.string().optional(),
  tool_calls: z
    .array(
      z.looseObject({
        id: z.string(),
        type: z.literal("function"),
        function: z.looseObject({ name: z.string(), arguments: z.string() }),
      }),
    )
    .optional(),
  tool_call_id: z.string().optional(),
})

const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), z.custom<JsonValue>())

const wireRequest = z.looseObject({
  model: z.string().min(1),
  messages: z.array(wireMessage).min(1),
  tools: z
    .array(
      z.looseObject({
        type: z.literal("function"),
        function: z.looseObject({
          name: z.string().regex(/^[\w-]{1,64}$/),
          description: z.string().optional(),
          parameters: jsonObject.optional(),
          strict: z.boolean().nullish(),
        }),
      }),
    )
    .optional(),
  tool_choice: z
    .union([
      z.enum(["none", "auto", "required"]),
      z.looseObject({ type: z.literal("function"), function: z.looseObject({ name: z.string() }) }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z
    .discriminatedUnion("type", [
      z.looseObject({ type: z.literal("text") }),
      z.looseObject({ type: z.literal("json_object") }),
      z.looseObject({
        type: z.literal("json_schema"),
        json_schema: z.looseObject({
          name: z.string(),
          description: z.string().optional(),
          schema: jsonObject.optional(),
          strict: z.boolean().nullish(),
        }),
      }),
    ])
    .nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
  n: z.int().min(1).max(128).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  seed: z.int().nullish(),
  reasoning_effort: z.enum(REASONING_EFFORTS).nullish(),
})

/** @throws WireError 400 for a body that is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new WireError(
      400,
      "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP " +
        "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
    )
  }
}

function asWireError(issue: z.core.$ZodIssue | undefined, body: unknown): WireError {
  const param = paramOf(issue?.path ?? [])
  if (param === "") return new WireError(400, "Invalid request: the body must be a JSON object.")
  if (valueAt(body, issue?.path ?? []) === undefined) {
    return new WireError(400, `Missing required parameter: '${param}'.`, {
      param,
      code: "missing_required_parameter",
    })
  }
  const code = issue?.code === "invalid_type" ? "invalid_type" : "invalid_value"
  return new WireError(400, `Invalid value for '${param}': ${issue?.message ?? "not understood"}.`, {
    param,
    code,
  })
}

function paramOf(path: readonly PropertyKey[]): string {
  return path.map((key) => (typeof key === "number" ? `[${key}]` : String(key))).join(".")
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) =>
      typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined,
    body,
  )
}

function checkToolChoice({ tools, tool_choice: choice }: ChatRequest): void {
  if (choice === undefined || choice === null || choice === "none") return
  if (tools === undefined || tools.length === 0) {
    throw new WireError(
      400,
      "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
      {
        param: "tool_choice",
      },
    )
  }
  if (typeof choice === "object" && !tools.some((tool) => tool.function.name === choice.function.name)) {
    throw new WireError(400, `Tool choice '${choice.function.name}' not found in 'tools' parameter.`, {
      param: "tool_choice",
    })
  }
}

// A conversation that loses a tool result is a bug of the caller, and OpenAI refuses it: so must a stand-in.
function checkToolMessages(messages: readonly ChatMessage[]): void {
  let open = new Set<string>()
  messages.forEach((message, index) => {
    if (message.role === "tool") {
      if (message.tool_call_id !== undefined && open.delete(message.tool_call_id)) return
      throw new WireError(
        400,
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        { param: `messages.[${index}].role` },
      )
    }
    checkAnswered(open, index)
    open = new Set(message.tool_calls?.map((call) => call.id))
  })
  checkAnswered(open, messages.length)
}

function checkAnswered(open: ReadonlySet<string>, index: number): void {
  if (open.size === 0) return
  throw new WireError(
    400,
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. " +
      `The following tool_call_ids did not have response messages: ${[...open].join(", ")}`,
    { param: `messages.[${index}].role` },
  )
}

function checkJsonMode({ messages, response_format: format }: ChatRequest): void {
  if (format?.type !== "json_object" || messages.some((message) => /json/i.test(textOf(message)))) return
  throw new WireError(
    400,
    "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
    { param: "messages" },
  )
}

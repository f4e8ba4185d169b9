import { ChatAnthropic } from "@langchain/anthropic"
import type { Body, Issued, Protocol, Said, Turn } from "./protocols.ts"
import {
  CallBook,
  firstRefusal,
  type Part,
  partsOf,
  sse,
  textIn,
  USAGE,
  unknownField,
} from "./protocols-rules.ts"

const BLOCK_FIELDS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  user: {
    text: ["type", "text", "cache_control"],
    image: ["type", "source", "cache_control"],
    document: ["type", "source", "title", "context", "citations", "cache_control"],
    tool_result: ["type", "tool_use_id", "content", "is_error", "cache_control"],
  },
  assistant: {
    text: ["type", "text", "citations", "cache_control"],
    thinking: ["type", "thinking", "signature"],
    redacted_thinking: ["type", "data"],
    tool_use: ["type", "id", "name", "input", "cache_control"],
  },
}

/** https://docs.anthropic.com/en/api/messages */
export const anthropicMessages: Protocol = {
  contentType: "text/event-stream",

  refusal: (body, issued) => {
    const messages = partsOf(body["messages"])
    const used = new Set<unknown>()
    return firstRefusal(
      messages,
      (message, index) =>
        messageRefusal(message, `messages.${index}`, String(body["model"]), issued) ??
        duplicateRefusal(message, used) ??
        pairRefusal(messages, index),
    )
  },

  answer: (turn, model, issued) => ({
    ...messageOf(model, issued),
    content: blocksOf(turn, model, issued),
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: USAGE.input, output_tokens: USAGE.output },
  }),

  stream: (turn, model, issued) => {
    const usage = { input_tokens: USAGE.input, output_tokens: 0 }
    const message = { ...messageOf(model, issued), content: [], stop_reason: null, usage }
    const delta = { stop_reason: "end_turn", stop_sequence: null }
    const events = [
      { type: "message_start", message },
      ...blocksOf(turn, model, issued).flatMap(eventsOf),
      { type: "message_delta", delta, usage: { output_tokens: USAGE.output } },
      { type: "message_stop" },
    ]
    return events.map((event) => sse(event, event.type))
  },

  read: (body: Body): readonly Said[] => {
    const book = new CallBook()
    return partsOf(body["messages"]).flatMap(({ role, content }): readonly Said[] => {
      const blocks = partsOf(content)
      const ofType = (wanted: string) => blocks.filter(({ type }) => type === wanted)
      const text = typeof content === "string" ? content : textIn(ofType("text"))
      if (role === "assistant") {
        const calls = ofType("tool_use").map(({ id, name, input }) =>
          book.add(id, { name: String(name), args: input as Record<string, unknown> }),
        )
        return [{ by: "ai", text, calls }]
      }
      const results = ofType("tool_result").map(
        ({ tool_use_id, content: result }): Said => ({
          by: "tool",
          text: textIn(result),
          of: book.of(tool_use_id),
        }),
      )
      return text === "" ? results : [...results, { by: "human", text }]
    })
  },

  model: (baseUrl, model) =>
    new ChatAnthropic({
      model,
      apiKey: "none",
      anthropicApiUrl: baseUrl,
      maxTokens: 4_096,
      thinking: { type: "enabled", budget_tokens: 1_024 },
    }),
}

function messageOf(model: string, issued: Issued): Part {
  return { id: issued.issue("msg_", model), type: "message", role: "assistant", model }
}

type Block = Part & { readonly type: string }

function blocksOf({ text, thinking, calls, cited }: Turn, model: string, issued: Issued): readonly Block[] {
  const location = {
    type: "web_search_result_location",
    url: cited,
    title: "Source",
    encrypted_index: "E",
    cited_text: "",
  }
  return [
    ...(thinking === undefined
      ? []
      : [
          { type: "thinking", thinking, signature: issued.issue("EqQB", model) },
          { type: "redacted_thinking", data: issued.issue("EmwK", model) },
        ]),
    ...(text === undefined
      ? []
      : [{ type: "text", text, ...(cited !== undefined && { citations: [location] }) }]),
    ...(calls ?? []).map(({ id, name, args }) => ({
      type: "tool_use",
      id: id ?? issued.callId("toolu_"),
      name,
      input: args,
    })),
  ]
}

function eventsOf(block: Block, index: number): readonly Block[] {
  const { type, text, thinking, signature, input, citations } = block
  const starts: Readonly<Record<string, object>> = {
    text: { type, text: "" },
    thinking: { type, thinking: "", signature: "" },
    tool_use: { ...block, input: {} },
  }
  const deltas: Readonly<Record<string, readonly object[]>> = {
    text: [
      { type: "text_delta", text },
      ...partsOf(citations).map((citation) => ({ type: "citations_delta", citation })),
    ],
    thinking: [
      { type: "thinking_delta", thinking },
      { type: "signature_delta", signature },
    ],
    tool_use: [{ type: "input_json_delta", partial_json: JSON.stringify(input) }],
  }
  return [
    { type: "content_block_start", index, content_block: starts[type] ?? block },
    ...(deltas[type] ?? []).map((delta) => ({ type: "content_block_delta", index, delta })),
    { type: "content_block_stop", index },
  ]
}

function messageRefusal(message: Part, path: string, model: string, issued: Issued): string | undefined {
  const { role, content } = message
  const known = BLOCK_FIELDS[String(role)]
  if (known === undefined) return `${path}.role: unexpected role "${String(role)}"`
  if (content === "" || (Array.isArray(content) && content.length === 0)) return `${path}: content is empty`
  return (
    unknownField(message, ["role", "content"], path) ??
    firstRefusal(partsOf(content), (block, at) => {
      const blockPath = `${path}.content.${at}`
      const fields = known[String(block["type"])]
      if (fields === undefined) return `${blockPath}: Input tag '${String(block["type"])}' was not expected`
      return (
        unknownField(block, fields, blockPath) ??
        (role === "assistant" ? blockRefusal(block, blockPath, model, issued) : undefined)
      )
    })
  )
}

function blockRefusal(block: Part, path: string, model: string, issued: Issued): string | undefined {
  const { type, text, signature, data, id, name, input } = block
  if (type === "text" && String(text).trim() === "") return `${path}: text must contain non-whitespace text`
  if (type === "thinking" && !issued.isOf(signature, model))
    return `${path}: Invalid signature in thinking block`
  if (type === "redacted_thinking" && !issued.isOf(data, model))
    return `${path}: Invalid data in thinking block`
  if (type !== "tool_use") return undefined
  if (!/^[a-zA-Z0-9_-]+$/.test(String(id))) return `${path}.id: String should match '^[a-zA-Z0-9_-]+$'`
  if (!/^[a-zA-Z0-9_-]{1,128}$/.test(String(name))) return `${path}.name: String should match pattern`
  return typeof input === "object" && input !== null ? undefined : `${path}.input: Input should be an object`
}

function duplicateRefusal({ content }: Part, used: Set<unknown>): string | undefined {
  return firstRefusal(partsOf(content), ({ type, id }) => {
    if (type !== "tool_use") return undefined
    if (used.has(id)) return "`tool_use` ids must be unique"
    used.add(id)
    return undefined
  })
}

/** The results of a turn's calls stand in the very next one. */
function pairRefusal(messages: readonly Part[], index: number): string | undefined {
  const idsIn = (at: number, wanted: string, field: string) =>
    partsOf(messages[at]?.["content"])
      .filter(({ type }) => type === wanted)
      .map((block) => block[field])
  const results = idsIn(index + 1, "tool_result", "tool_use_id")
  const open = idsIn(index, "tool_use", "id").find((id) => !results.includes(id))
  if (open !== undefined)
    return `\`tool_use\` ids were found without \`tool_result\` blocks: ${JSON.stringify(open)}`
  const calls = idsIn(index - 1, "tool_use", "id")
  const orphan = idsIn(index, "tool_result", "tool_use_id").find((id) => !calls.includes(id))
  return orphan === undefined
    ? undefined
    : `unexpected \`tool_use_id\` in \`tool_result\`: ${JSON.stringify(orphan)}`
}

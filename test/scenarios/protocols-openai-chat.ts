import { ChatOpenAI } from "@langchain/openai"
import type { Body, Protocol, Said, Turn } from "./protocols.ts"
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

const MESSAGE_FIELDS = [
  "role",
  "content",
  "name",
  "refusal",
  "audio",
  "function_call",
  "tool_calls",
  "tool_call_id",
]

/** Content parts by the role that may have them, and their fields. */
const PART_FIELDS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  system: { text: ["type", "text"] },
  developer: { text: ["type", "text"] },
  user: {
    text: ["type", "text"],
    image_url: ["type", "image_url"],
    input_audio: ["type", "input_audio"],
    file: ["type", "file"],
  },
  assistant: { text: ["type", "text"], refusal: ["type", "refusal"] },
  tool: { text: ["type", "text"] },
}

/** https://platform.openai.com/docs/api-reference/chat; reasoning comes as vLLM and DeepSeek give it. */
export const openaiChat: Protocol = {
  contentType: "text/event-stream",

  refusal: (body) => {
    const messages = partsOf(body["messages"])
    if (Array.isArray(body["tools"]) && body["tools"].length === 0) return "[] is too short - 'tools'"
    return firstRefusal(
      messages,
      (message, index) => messageRefusal(message, index) ?? pairRefusal(messages, index),
    )
  },

  answer: (turn, model, issued) => {
    const { content, reasoning_content, tool_calls } = messageOf(turn, () => issued.callId("call_"))
    const message = {
      role: "assistant",
      content,
      ...(reasoning_content && { reasoning_content }),
      tool_calls,
    }
    const choices = [{ index: 0, message, finish_reason: tool_calls === undefined ? "stop" : "tool_calls" }]
    return {
      id: issued.issue("chatcmpl-", model),
      object: "chat.completion",
      created: 1,
      model,
      choices,
      usage,
    }
  },

  stream: (turn, model, issued) => {
    const { content, reasoning_content, tool_calls } = messageOf(turn, () => issued.callId("call_"))
    const id = issued.issue("chatcmpl-", model)
    const chunk = (delta: object, more: object = {}) =>
      sse({
        id,
        object: "chat.completion.chunk",
        created: 1,
        model,
        choices: [{ index: 0, delta, finish_reason: null }],
        ...more,
      })
    const reasoned = reasoning_content === undefined ? [] : halves(reasoning_content)
    return [
      chunk({ role: "assistant", content: "" }),
      ...reasoned.map((piece) => chunk({ reasoning_content: piece })),
      ...halves(content ?? "").map((piece) => chunk({ content: piece })),
      ...(tool_calls ?? []).flatMap(({ function: { name, arguments: args }, ...call }, index) => [
        chunk({ tool_calls: [{ index, ...call, function: { name, arguments: "" } }] }),
        ...halves(args).map((piece) => chunk({ tool_calls: [{ index, function: { arguments: piece } }] })),
      ]),
      chunk({}, { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }),
      chunk({}, { choices: [], usage }),
      "data: [DONE]\n\n",
    ]
  },

  read: (body: Body): readonly Said[] => {
    const book = new CallBook()
    return partsOf(body["messages"]).map(({ role, content, tool_calls, tool_call_id }): Said => {
      const text = textIn(content)
      if (role === "tool") return { by: "tool", text, of: book.of(tool_call_id) }
      if (role !== "assistant") return { by: role === "user" ? "human" : "system", text }
      const calls = partsOf(tool_calls).map(({ id, function: called }) => {
        const { name, arguments: args } = called as { readonly name: string; readonly arguments: string }
        return book.add(id, { name, args: JSON.parse(args) as Record<string, unknown> })
      })
      return { by: "ai", text, calls }
    })
  },

  model: (baseUrl, model) =>
    new ChatOpenAI({ model, apiKey: "none", configuration: { baseURL: `${baseUrl}/v1` } }),
}

const usage = { prompt_tokens: USAGE.input, completion_tokens: USAGE.output, total_tokens: 15 }

function messageOf({ text, thinking, calls }: Turn, newId: () => string) {
  return {
    content: text ?? null,
    reasoning_content: thinking,
    tool_calls: calls?.map(({ id, name, args }) => ({
      id: id ?? newId(),
      type: "function",
      function: { name, arguments: JSON.stringify(args) },
    })),
  }
}

function halves(text: string): readonly string[] {
  const middle = Math.ceil(text.length / 2)
  return [text.slice(0, middle), text.slice(middle)].filter((piece) => piece !== "")
}

function messageRefusal(message: Part, index: number): string | undefined {
  const path = `messages[${index}]`
  const { role, content, tool_calls } = message
  const known = PART_FIELDS[String(role)]
  if (known === undefined) return `Invalid value: '${String(role)}' for '${path}.role'.`
  if (content === null && role !== "assistant")
    return `Invalid value for '${path}.content': expected a string.`
  if (role === "assistant" && content === null && tool_calls === undefined) return `'${path}' has no content.`
  return (
    unknownField(message, MESSAGE_FIELDS, path) ??
    firstRefusal(partsOf(content), (part, at) => {
      const fields = known[String(part["type"])]
      const partPath = `${path}.content[${at}]`
      if (fields === undefined) return `Invalid value: '${String(part["type"])}' for '${partPath}.type'.`
      return unknownField(part, fields, partPath)
    }) ??
    firstRefusal(partsOf(tool_calls), (call, at) => callRefusal(call, `${path}.tool_calls[${at}]`))
  )
}

function callRefusal(call: Part, path: string): string | undefined {
  const { id, function: called } = call
  if (typeof id !== "string" || id === "") return `Missing required parameter: '${path}.id'.`
  if (id.length > 40) return `Invalid '${path}.id': string too long, maximum length 40.`
  const { name, arguments: args } = called as Part
  if (!/^[\w-]{1,64}$/.test(String(name))) return `Invalid '${path}.function.name'.`
  if (typeof args !== "string") return `Invalid type for '${path}.function.arguments'.`
  return unknownField(call, ["id", "type", "function"], path)
}

/** Every call is answered before anything else is said, and nothing is answered that was not called. */
function pairRefusal(messages: readonly Part[], index: number): string | undefined {
  const { role, tool_calls, tool_call_id } = messages[index] as Part
  if (role === "tool") {
    const asked = messages.slice(0, index).findLast((message) => message["role"] !== "tool")
    const known = partsOf(asked?.["tool_calls"]).some(({ id }) => id === tool_call_id)
    return known ? undefined : "messages with role 'tool' must be a response to a preceding 'tool_calls'."
  }
  const answers = messages.slice(index + 1)
  const end = answers.findIndex((message) => message["role"] !== "tool")
  const answered = (end === -1 ? answers : answers.slice(0, end)).map((message) => message["tool_call_id"])
  const open = partsOf(tool_calls).find(({ id }) => !answered.includes(id))
  return open === undefined
    ? undefined
    : `tool_call_ids did not have response messages: ${String(open["id"])}`
}

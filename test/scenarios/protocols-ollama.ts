import { ChatOllama } from "@langchain/ollama"
import type { Body, Call, Protocol, Said, Turn } from "./protocols.ts"
import { firstRefusal, type Part, partsOf, USAGE, unknownField } from "./protocols-rules.ts"

const MESSAGE_FIELDS = ["role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"]

/** https://docs.ollama.com/api/chat; it refuses what its decoder cannot read, and here a result without its call too. */
export const ollamaChat: Protocol = {
  contentType: "application/x-ndjson",

  refusal: (body) => {
    const messages = partsOf(body["messages"])
    return firstRefusal(
      messages,
      (message, index) => messageRefusal(message, index) ?? pairRefusal(messages, index),
    )
  },

  answer: (turn, model) => ({ ...pieceOf(model), message: messageOf(turn), ...END }),

  stream: (turn, model) => {
    const { content, thinking, tool_calls } = messageOf(turn)
    const message = { role: "assistant", content: "" }
    const pieces = [
      ...(thinking === undefined ? [] : [{ ...message, thinking }]),
      ...(content === "" ? [] : [{ ...message, content }]),
      // One call a piece, as Ollama streams them.
      ...(tool_calls ?? []).map((call) => ({ ...message, tool_calls: [call] })),
    ].map((piece) => ({ ...pieceOf(model), message: piece, done: false }))
    return [...pieces, { ...pieceOf(model), message, ...END }].map((piece) => `${JSON.stringify(piece)}\n`)
  },

  read: (body: Body): readonly Said[] => {
    let calls: readonly Call[] = []
    let answered = 0
    return partsOf(body["messages"]).map(({ role, content, tool_calls }): Said => {
      const text = String(content)
      if (role === "tool") return { by: "tool", text, of: calls[answered++] }
      if (role !== "assistant") return { by: role === "user" ? "human" : "system", text }
      calls = partsOf(tool_calls).map(({ function: called }) => {
        const { name, arguments: args } = called as {
          readonly name: string
          readonly arguments: Call["args"]
        }
        return { name, args }
      })
      answered = 0
      return { by: "ai", text, calls }
    })
  },

  model: (baseUrl, model) => new ChatOllama({ model, baseUrl, maxRetries: 0 }),
}

const END = {
  done: true,
  done_reason: "stop",
  prompt_eval_count: USAGE.input,
  eval_count: USAGE.output,
} as const

function pieceOf(model: string): Part {
  return { model, created_at: "2026-01-01T00:00:00Z" }
}

function messageOf({ text, thinking, calls }: Turn) {
  return {
    role: "assistant",
    content: text ?? "",
    thinking,
    tool_calls: calls?.map(({ name, args }) => ({ function: { name, arguments: args } })),
  }
}

function messageRefusal(message: Part, index: number): string | undefined {
  const path = `messages[${index}]`
  if (typeof message["content"] !== "string") return `json: cannot unmarshal ${path}.content into string`
  return (
    unknownField(message, MESSAGE_FIELDS, path) ??
    firstRefusal(partsOf(message["tool_calls"]), ({ function: called }) => {
      const { arguments: args } = called as Part
      return typeof args === "object" ? undefined : `json: cannot unmarshal ${path}.arguments into object`
    })
  )
}

function pairRefusal(messages: readonly Part[], index: number): string | undefined {
  const after = messages.slice(index + 1)
  const end = after.findIndex(({ role }) => role !== "tool")
  const results = end === -1 ? after.length : end
  const { role, tool_calls } = messages[index] as Part
  if (role === "tool") {
    const asked = messages.slice(0, index).findLast((message) => message["role"] !== "tool")
    return partsOf(asked?.["tool_calls"]).length > 0 ? undefined : "a tool's result without its call"
  }
  return partsOf(tool_calls).length > results ? "a tool call without its result" : undefined
}

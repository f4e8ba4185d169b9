import { ChatOpenAI } from "@langchain/openai"
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

const ITEM_FIELDS: Readonly<Record<string, readonly string[]>> = {
  message: ["type", "role", "content", "id", "status", "phase"],
  function_call: ["type", "id", "call_id", "name", "arguments", "status"],
  function_call_output: ["type", "id", "call_id", "output", "status"],
  reasoning: ["type", "id", "summary", "content", "encrypted_content", "status"],
}

const PART_FIELDS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  assistant: { output_text: ["type", "text", "annotations", "logprobs"], refusal: ["type", "refusal"] },
  user: {
    input_text: ["type", "text"],
    input_image: ["type", "image_url", "detail", "file_id"],
    input_file: ["type", "file_data", "filename", "file_id", "file_url"],
  },
  system: { input_text: ["type", "text"] },
  developer: { input_text: ["type", "text"] },
}

/** https://platform.openai.com/docs/api-reference/responses */
export const openaiResponses: Protocol = {
  contentType: "text/event-stream",

  refusal: (body, issued) => {
    const items = partsOf(body["input"])
    const model = String(body["model"])
    return firstRefusal(
      items,
      (item, index) =>
        itemRefusal(item, `input[${index}]`) ??
        issuedRefusal(items, index, model, issued) ??
        pairRefusal(items, index),
    )
  },

  answer: (turn, model, issued) => responseOf(itemsOf(turn, model, issued), model, issued),

  stream: (turn, model, issued) => {
    const items = itemsOf(turn, model, issued)
    const response = responseOf(items, model, issued)
    const events = [
      { type: "response.created", response: { ...response, output: [] } },
      ...items.flatMap((item, output_index) => eventsOf(item, output_index)),
      { type: "response.completed", response },
    ]
    return events.map((event, sequence_number) => sse({ ...event, sequence_number }, event.type))
  },

  read: (body: Body): readonly Said[] => {
    const book = new CallBook()
    const said: Said[] = []
    for (const { type, role, content, call_id, name, arguments: args, output } of partsOf(body["input"])) {
      const last = said.at(-1)
      if (type === "function_call_output")
        said.push({ by: "tool", text: textIn(output), of: book.of(call_id) })
      else if (type === "function_call") {
        const parsed = JSON.parse(String(args)) as Record<string, unknown>
        const call = book.add(call_id, { name: String(name), args: parsed })
        // One reply of LangChain's is several items here.
        if (last?.by === "ai") said[said.length - 1] = { ...last, calls: [...last.calls, call] }
        else said.push({ by: "ai", text: "", calls: [call] })
      } else if (type === "message" && role === "assistant") {
        said.push({ by: "ai", text: textIn(content), calls: [] })
      } else if (type === "message") {
        said.push({ by: role === "user" ? "human" : "system", text: textIn(content) })
      }
    }
    return said
  },

  model: (baseUrl, model) =>
    new ChatOpenAI({
      model,
      apiKey: "none",
      useResponsesApi: true,
      configuration: { baseURL: `${baseUrl}/v1` },
    }),
}

type Item = Part & { readonly type: string }

function itemsOf({ text, thinking, calls, cited }: Turn, model: string, issued: Issued): readonly Item[] {
  const annotations =
    cited === undefined
      ? []
      : [{ type: "url_citation", url: cited, title: "Source", start_index: 0, end_index: 5 }]
  return [
    ...(thinking === undefined
      ? []
      : [
          {
            type: "reasoning",
            id: issued.issue("rs_", model),
            summary: [{ type: "summary_text", text: thinking }],
            encrypted_content: issued.issue("gAAAA", model),
          },
        ]),
    ...(text === undefined
      ? []
      : [
          {
            type: "message",
            id: issued.issue("msg_", model),
            role: "assistant",
            status: "completed",
            content: [{ type: "output_text", text, annotations }],
          },
        ]),
    ...(calls ?? []).map(({ id, name, args }) => ({
      type: "function_call",
      id: issued.issue("fc_", model),
      call_id: id ?? issued.callId("call_"),
      name,
      arguments: JSON.stringify(args),
      status: "completed",
    })),
  ]
}

function responseOf(output: readonly Item[], model: string, issued: Issued): object {
  const id = issued.issue("resp_", model)
  const usage = { input_tokens: USAGE.input, output_tokens: USAGE.output, total_tokens: 15 }
  return { id, object: "response", created_at: 1, model, status: "completed", error: null, output, usage }
}

function eventsOf(item: Item, output_index: number): readonly { readonly type: string }[] {
  const at = { output_index, item_id: item["id"] }
  const added = (given: object) => ({ type: "response.output_item.added", output_index, item: given })
  const done = { type: "response.output_item.done", output_index, item }
  if (item.type === "function_call") {
    const delta = { type: "response.function_call_arguments.delta", ...at, delta: item["arguments"] }
    return [added({ ...item, arguments: "" }), delta, done]
  }
  if (item.type === "reasoning") {
    const [{ text } = {}] = partsOf(item["summary"])
    const summary = { ...at, summary_index: 0 }
    const part = { type: "summary_text", text: "" }
    return [
      added({ ...item, summary: [], encrypted_content: undefined }),
      { type: "response.reasoning_summary_part.added", ...summary, part },
      { type: "response.reasoning_summary_text.delta", ...summary, delta: text },
      done,
    ] as readonly { readonly type: string }[]
  }
  const [{ text, annotations } = {}] = partsOf(item["content"])
  const place = { ...at, content_index: 0 }
  return [
    added({ ...item, content: [] }),
    { type: "response.output_text.delta", ...place, delta: text },
    ...partsOf(annotations).map((annotation) => ({
      type: "response.output_text.annotation.added",
      ...place,
      annotation,
    })),
    done,
  ] as readonly { readonly type: string }[]
}

function itemRefusal(item: Part, path: string): string | undefined {
  const { type, role, content, call_id } = item
  const known = ITEM_FIELDS[String(type)]
  if (known === undefined) return `Invalid value: '${String(type)}' for '${path}.type'.`
  if (call_id !== undefined && (typeof call_id !== "string" || call_id === "" || call_id.length > 64))
    return `Invalid '${path}.call_id'.`
  const parts = PART_FIELDS[String(role)] ?? {}
  return (
    unknownField(item, known, path) ??
    firstRefusal(partsOf(content), (part, at) => {
      const fields = parts[String(part["type"])]
      const partPath = `${path}.content[${at}]`
      if (fields === undefined) return `Invalid value: '${String(part["type"])}' for '${partPath}.type'.`
      return unknownField(part, fields, partPath)
    })
  )
}

/** Items of its own must be its own, and come as they were: reasoning, then what it led to. */
function issuedRefusal(
  items: readonly Part[],
  index: number,
  model: string,
  issued: Issued,
): string | undefined {
  const { type, id, encrypted_content } = items[index] as Part
  if (id !== undefined && type !== "function_call_output" && !issued.isOf(id, model))
    return `Item with id ${JSON.stringify(id)} not found.`
  if (encrypted_content !== undefined && !issued.isOf(encrypted_content, model))
    return "The encrypted content could not be verified (invalid_encrypted_content)."
  if (type !== "reasoning") return undefined
  if (id === undefined) return `Missing required parameter: 'input[${index}].id'.`
  const next = items[index + 1]
  const followed = next?.["type"] === "function_call" || next?.["role"] === "assistant"
  return followed ? undefined : `Item ${JSON.stringify(id)} was provided without its required following item.`
}

function pairRefusal(items: readonly Part[], index: number): string | undefined {
  const { type, call_id } = items[index] as Part
  const has = (wanted: string, among: readonly Part[]) =>
    among.some((item) => item["type"] === wanted && item["call_id"] === call_id)
  if (type === "function_call" && !has("function_call_output", items.slice(index)))
    return `No tool output found for function call ${String(call_id)}.`
  if (type === "function_call_output" && !has("function_call", items.slice(0, index)))
    return `No tool call found for function call output with call_id ${String(call_id)}.`
  return undefined
}

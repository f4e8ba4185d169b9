import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { BaseMessage, ToolMessage } from "@langchain/core/messages"
import type { CallIds } from "./history-call-ids.ts"
import { copyOf } from "./history-copy.ts"
import type { Dialect } from "./history-origin.ts"

interface Destination {
  readonly dialect: Dialect | undefined
  readonly model: BaseChatModel
}

type Block = Readonly<Record<string, unknown>> & { readonly type?: unknown }

/** Gives back the block it was given if that can be sent as it is. */
type BlockReader = (block: Block, model: BaseChatModel) => Block

/**
 * What other packages' blocks become in what people and programs have written. Anthropic's package reads all of them;
 * of packages that are not named here it is not known what they read.
 */
const BLOCK_READERS: Readonly<Record<Dialect, BlockReader | undefined>> = {
  openai: (block, model) => withoutCacheMark(withDocumentAsFile(withImageUrl(block)), model),
  ollama: (block) => withImageUrl(block),
  anthropic: undefined,
}

/** A system's or a human's message in blocks that the package can read. */
export function portablePrompt<M extends BaseMessage>(message: M, { dialect, model }: Destination): M {
  const { content } = message
  const read = dialect && BLOCK_READERS[dialect]
  if (read === undefined || typeof content === "string" || isConverted(message, dialect)) return message
  const blocks = (content as readonly Block[]).map((block) => read(block, model))
  return blocks.every((block, index) => block === content[index])
    ? message
    : copyOf(message, { content: blocks })
}

/** A tool's result under the id of its call, in a form that the package can send. */
export function portableResult(result: ToolMessage, ids: CallIds, destination: Destination): ToolMessage {
  const id = ids.ofResult(result.tool_call_id)
  const readable = portablePrompt(asText(result, destination), destination)
  if (id === undefined || (id === readable.tool_call_id && !isForOneProvider(readable))) return readable
  return copyOf(readable, { tool_call_id: id, additional_kwargs: {} })
}

/** OpenAI's package reads standard blocks where a message says that it has them. */
function isConverted({ response_metadata }: BaseMessage, dialect: Dialect | undefined): boolean {
  return dialect === "openai" && response_metadata["output_version"] === "v1"
}

/** Results of the tools that only OpenAI has: the call they belong to has become an ordinary one. */
function isForOneProvider({ additional_kwargs }: ToolMessage): boolean {
  return additional_kwargs["customTool"] !== undefined || additional_kwargs["type"] === "computer_call_output"
}

/** Ollama's package throws on blocks in a result; OpenAI's chat completions take none but text there. */
function asText(result: ToolMessage, { dialect, model }: Destination): ToolMessage {
  const { content } = result
  if (typeof content === "string" || (dialect !== "ollama" && dialect !== "openai")) return result
  const blocks = content as readonly Block[]
  const isText = blocks.every(({ type, text }) => type === "text" && typeof text === "string")
  if (dialect === "openai" && (isText || usesResponses(model))) return result
  const words = blocks.map(({ type, text }) => (typeof text === "string" ? text : `[${String(type)}]`))
  return copyOf(result, { content: words.join("\n") })
}

/** The Responses API takes images, and the rest as JSON. */
function usesResponses(model: BaseChatModel): boolean {
  const { _useResponsesApi } = model as unknown as { _useResponsesApi?: unknown }
  return typeof _useResponsesApi === "function" && Boolean(_useResponsesApi.call(model, {}))
}

/** Every package reads `image_url`. */
function withImageUrl(block: Block): Block {
  if (block.type !== "image") return block
  const url = urlOf((block["source"] ?? block) as Block)
  if (url === undefined) return block
  const { detail } = (block["metadata"] ?? {}) as { readonly detail?: unknown }
  return { type: "image_url", image_url: { url, ...(detail !== undefined && { detail }) } }
}

/** Anthropic's `source`, or LangChain's standard block of either version. */
function urlOf({ url, data, media_type, mimeType, mime_type }: Block): string | undefined {
  if (typeof url === "string") return url
  if (typeof data !== "string") return undefined
  const type = [media_type, mimeType, mime_type].find((given) => typeof given === "string") ?? "image/png"
  return `data:${type};base64,${data}`
}

/** OpenAI's package reads LangChain's standard block for files, and demands a name. */
function withDocumentAsFile(block: Block): Block {
  if (block.type !== "document") return block
  const { type, data, media_type } = (block["source"] ?? {}) as Block
  if (typeof data !== "string") return block
  if (type === "text") return { type: "text", text: data }
  const metadata = { filename: typeof block["title"] === "string" ? block["title"] : "document" }
  return { type: "file", source_type: "base64", mime_type: media_type, data, metadata }
}

/** Anthropic's mark; OpenAI refuses parameters it does not know, while servers that offer Claude in its form want it. */
function withoutCacheMark(block: Block, model: BaseChatModel): Block {
  if (!("cache_control" in block) || /claude/i.test(String((model as { model?: unknown }).model)))
    return block
  const { cache_control: _, ...rest } = block
  return rest
}

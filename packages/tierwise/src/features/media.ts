/** What one content block holds: words, a picture, a clip, a file, or something only its JSON can tell. */
export type BlockContent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "image" | "audio" | "file"; readonly inlineBytes: number; readonly url: string }
  | { readonly kind: "tool-result"; readonly content: unknown }
  | { readonly kind: "tool-call" }
  | { readonly kind: "other" }

type Block = Readonly<Record<string, unknown>>

type BlockKind = BlockContent["kind"]

/** Block types of LangChain's standard blocks and of the provider styles that its chat models accept. */
const KIND_BY_TYPE: Readonly<Record<string, BlockKind>> = {
  text: "text",
  input_text: "text",
  output_text: "text",
  "text-plain": "text",
  reasoning: "text",
  thinking: "text",
  refusal: "text",
  image: "image",
  image_url: "image",
  input_image: "image",
  audio: "audio",
  input_audio: "audio",
  file: "file",
  input_file: "file",
  document: "file",
  video: "file",
  video_url: "file",
  tool_result: "tool-result",
  tool_call: "tool-call",
  tool_use: "tool-call",
  function_call: "tool-call",
}

/** Where a block of some style keeps its words. */
const TEXT_FIELDS = ["text", "reasoning", "thinking", "refusal"] as const

/** Where a block of some style keeps inline bytes (base64, a data: URL, or bytes) or an address. */
const SOURCE_FIELDS = [
  "data",
  "url",
  "file_data",
  "image_url",
  "file_url",
  "fileUri",
  "file_id",
  "fileId",
  "id",
] as const

/** Reads one element of a message's content array, whatever style it is written in. */
export function readBlock(block: unknown): BlockContent {
  if (typeof block === "string") return { kind: "text", text: block }
  if (!isRecord(block)) return { kind: "other" }
  const type = typeof block["type"] === "string" ? block["type"] : ""
  const kind = type === "media" ? kindOfMimeType(mimeTypeOf(block)) : (KIND_BY_TYPE[type] ?? "other")
  if (kind === "other" || kind === "tool-call") return { kind }
  if (kind === "tool-result") return { kind, content: block["content"] }

  const holders = holdersOf(block, type)
  const text = kind === "text" || kind === "file" ? inlineText(block, holders) : undefined
  if (text !== undefined) return { kind: "text", text }
  if (kind === "text") return { kind: "other" }
  return { kind, ...inlineSource(holders) }
}

/** The block itself and the objects in which its style may keep the payload. */
function holdersOf(block: Block, type: string): readonly Block[] {
  return [block, block["source"], block[type], block["file"]].filter(isRecord)
}

/** A file that is plain text is words like any other: it needs no reader of documents, only room. */
function inlineText(block: Block, holders: readonly Block[]): string | undefined {
  for (const field of TEXT_FIELDS) {
    const text = block[field]
    if (typeof text === "string") return text
  }
  const textual = holders.find((holder) => holder["type"] === "text" || holder["source_type"] === "text")
  const text = textual?.["data"] ?? textual?.["text"]
  return typeof text === "string" ? text : undefined
}

function inlineSource(holders: readonly Block[]): { inlineBytes: number; url: string } {
  for (const holder of holders) {
    for (const field of SOURCE_FIELDS) {
      const value = holder[field]
      if (value instanceof Uint8Array) return { inlineBytes: value.byteLength, url: "" }
      if (typeof value !== "string") continue
      if (value.startsWith("data:")) return { inlineBytes: dataUrlBytes(value), url: "" }
      if (field === "data" || field === "file_data") return { inlineBytes: base64Bytes(value), url: "" }
      // An `id` of a block with an address is the block's own name.
      if (field !== "id" || holder["source_type"] === "id") return { inlineBytes: 0, url: value }
    }
  }
  return { inlineBytes: 0, url: "" }
}

function dataUrlBytes(url: string): number {
  const comma = url.indexOf(",")
  const payload = url.length - comma - 1
  // Anything that is not base64 is percent-encoded text, which decodes to at most as many bytes.
  return url.slice(0, comma).endsWith(";base64") ? base64Bytes(url, comma + 1) : payload
}

/** Decoded size of base64 text from `start` on: three bytes per four characters, less the padding. */
function base64Bytes(text: string, start = 0): number {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0
  return Math.max(0, Math.floor(((text.length - start - padding) * 3) / 4))
}

function mimeTypeOf(block: Block): string {
  const mimeType = block["mimeType"] ?? block["mime_type"]
  return typeof mimeType === "string" ? mimeType : ""
}

function kindOfMimeType(mimeType: string): BlockKind {
  if (mimeType.startsWith("image/")) return "image"
  return mimeType.startsWith("audio/") ? "audio" : "file"
}

function isRecord(value: unknown): value is Block {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

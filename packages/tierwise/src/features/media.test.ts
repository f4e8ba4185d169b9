import { describe, expect, it } from "vitest"
import { readBlock } from "./media.ts"

/** Six bytes. */
const BASE64 = "c2l4Ynl0"

const INLINE: readonly (readonly [string, "image" | "audio" | "file", Record<string, unknown>])[] = [
  ["OpenAI image", "image", { type: "image_url", image_url: { url: `data:image/png;base64,${BASE64}` } }],
  ["OpenAI image, short", "image", { type: "image_url", image_url: `data:image/png;base64,${BASE64}` }],
  ["OpenAI responses image", "image", { type: "input_image", image_url: `data:image/png;base64,${BASE64}` }],
  ["OpenAI audio", "audio", { type: "input_audio", input_audio: { data: BASE64, format: "wav" } }],
  [
    "OpenAI file",
    "file",
    { type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${BASE64}` } },
  ],
  ["standard image", "image", { type: "image", mimeType: "image/png", data: BASE64 }],
  ["standard image in bytes", "image", { type: "image", mimeType: "image/png", data: new Uint8Array(6) }],
  ["standard audio", "audio", { type: "audio", mimeType: "audio/wav", data: BASE64 }],
  ["standard video", "file", { type: "video", mimeType: "video/mp4", data: BASE64 }],
  [
    "older base64 file",
    "file",
    { type: "file", source_type: "base64", mime_type: "application/pdf", data: BASE64 },
  ],
  [
    "Anthropic image",
    "image",
    { type: "image", source: { type: "base64", media_type: "image/png", data: BASE64 } },
  ],
  [
    "Anthropic document",
    "file",
    { type: "document", source: { type: "base64", media_type: "application/pdf", data: BASE64 } },
  ],
  ["Google audio", "audio", { type: "media", mimeType: "audio/mp3", data: BASE64 }],
]

const BY_ADDRESS: readonly (readonly [
  string,
  "image" | "audio" | "file",
  Record<string, unknown>,
  string,
])[] = [
  [
    "OpenAI image",
    "image",
    { type: "image_url", image_url: { url: "https://a.b/c.png" } },
    "https://a.b/c.png",
  ],
  ["OpenAI file", "file", { type: "file", file: { file_id: "file-1" } }, "file-1"],
  [
    "standard image",
    "image",
    { type: "image", id: "block-7", url: "https://a.b/c.png" },
    "https://a.b/c.png",
  ],
  ["older id file", "file", { type: "file", source_type: "id", id: "file-1" }, "file-1"],
  [
    "Anthropic image",
    "image",
    { type: "image", id: "block-7", source: { type: "url", url: "https://a.b/c" } },
    "https://a.b/c",
  ],
]

describe("readBlock", () => {
  it.each(INLINE)("measures inline media: %s", (_, kind, block) => {
    expect(readBlock(block)).toEqual({ kind, inlineBytes: 6, url: "" })
  })

  it.each(BY_ADDRESS)("knows media sent by address: %s", (_, kind, block, url) => {
    expect(readBlock(block)).toEqual({ kind, inlineBytes: 0, url })
  })

  it.each([
    [{ type: "text", text: "words" }],
    [{ type: "input_text", text: "words" }],
    ["words"],
    [{ type: "text-plain", text: "words", mimeType: "text/plain" }],
    [{ type: "file", source_type: "text", text: "words" }],
    [{ type: "document", source: { type: "text", media_type: "text/plain", data: "words" } }],
    [{ type: "reasoning", reasoning: "words" }],
    [{ type: "thinking", thinking: "words", signature: "abc" }],
  ])("takes plain text for words, not for a file: %j", (block) => {
    expect(readBlock(block)).toEqual({ kind: "text", text: "words" })
  })

  it("leaves padding out of the size", () => {
    expect(readBlock({ type: "image", data: "YQ==" })).toMatchObject({ inlineBytes: 1 })
  })

  it.each([[null], [7], [{}], [{ type: "text" }], [{ type: 5 }]])("does not stumble over %j", (block) => {
    expect(readBlock(block)).toEqual({ kind: "other" })
  })
})

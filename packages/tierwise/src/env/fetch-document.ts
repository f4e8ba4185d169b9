import { messageOf } from "../spec/errors.ts"
import { shown } from "./address.ts"

export interface FetchSettings {
  readonly url: string
  readonly headers: Headers
  /** For all of it, ms. */
  readonly timeoutMs: number
  /** Of its body. */
  readonly mostBytes: number
  readonly signal: AbortSignal
}

/** What came of a question. */
export type Fetched =
  | { readonly outcome: "read"; readonly text: string; readonly etag: string | undefined }
  /** Only where an ETag was sent. */
  | { readonly outcome: "unchanged" }
  | Away

/** No connection, a status, too many bytes, nothing in time. */
export interface Away {
  readonly outcome: "away"
  /** For people, without secrets. */
  readonly because: string
  /** The same as long as the reason is. */
  readonly code: string
}

/** Asks for a document, unless it still is the one with this ETag. Never rejects. */
export async function fetchDocument(settings: FetchSettings, etag: string | undefined): Promise<Fetched> {
  try {
    return await answerTo(settings, etag)
  } catch (error) {
    return awayFor(error, settings.url)
  }
}

async function answerTo(settings: FetchSettings, etag: string | undefined): Promise<Fetched> {
  const { url, timeoutMs, mostBytes } = settings
  const signal = AbortSignal.any([settings.signal, AbortSignal.timeout(timeoutMs)])
  const headers = new Headers(settings.headers)
  if (!headers.has("accept")) headers.set("accept", "application/json")
  if (etag !== undefined) headers.set("if-none-match", etag)
  // A redirect could lead anywhere, with the headers.
  const response = await fetch(url, { headers, redirect: "error", signal })
  if (response.status === 304 && etag !== undefined) return { outcome: "unchanged" }
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`it answered ${response.status}`)
  }
  const text = await textWithin(response, mostBytes)
  return { outcome: "read", text, etag: response.headers.get("etag") ?? undefined }
}

async function textWithin({ body }: Response, mostBytes: number): Promise<string> {
  if (body === null) return ""
  const decoder = new TextDecoder("utf-8", { fatal: true })
  const reader = body.getReader()
  let text = ""
  let bytes = 0
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    bytes += piece.value.byteLength
    if (bytes > mostBytes) {
      await reader.cancel()
      throw new Error(`it is longer than ${mostBytes} bytes`)
    }
    text += decoder.decode(piece.value, { stream: true })
  }
  return text + decoder.decode()
}

/** Some runtimes put the whole address into what they throw, and its query may hold a key. */
function awayFor(error: unknown, url: string): Away {
  const { cause } = error as { cause?: unknown }
  const { code } = (cause ?? {}) as { code?: unknown }
  const why =
    cause instanceof Error ? `${messageOf(error)}: ${cause.message || String(code)}` : messageOf(error)
  const because = [url, new URL(url).href].reduce((text, secret) => text.replaceAll(secret, shown(url)), why)
  return { outcome: "away", because, code: typeof code === "string" ? code : because }
}

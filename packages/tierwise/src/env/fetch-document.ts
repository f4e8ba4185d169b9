export interface FetchSettings {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** For all of it, ms. */
  readonly timeoutMs: number
  /** Of its body. */
  readonly mostBytes: number
  readonly signal: AbortSignal
}

/** Undefined: it is as it was. */
export type Fetched = { readonly text: string; readonly etag: string | undefined } | undefined

/**
 * Asks for a document, unless it still is the one with this ETag.
 *
 * @throws Error saying what came instead: no connection, a status, too many bytes, nothing in time.
 */
export async function fetchDocument(settings: FetchSettings, etag: string | undefined): Promise<Fetched> {
  const { url, headers, timeoutMs, mostBytes } = settings
  const signal = AbortSignal.any([settings.signal, AbortSignal.timeout(timeoutMs)])
  // A redirect could lead anywhere, with the headers.
  const response = await fetch(url, {
    headers: {
      accept: "application/json",
      ...headers,
      ...(etag !== undefined && { "if-none-match": etag }),
    },
    redirect: "error",
    signal,
  })
  if (response.status === 304 && etag !== undefined) return undefined
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`it answered ${response.status}`)
  }
  return { text: await textWithin(response, mostBytes), etag: response.headers.get("etag") ?? undefined }
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

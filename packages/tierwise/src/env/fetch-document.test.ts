import { afterEach, describe, expect, it, vi } from "vitest"
import { fetchDocument } from "./fetch-document.ts"

const settings = {
  url: "https://models.example/list?token=s3cr3t word",
  headers: new Headers({ authorization: "Bearer key" }),
  timeoutMs: 1_000,
  mostBytes: 100,
  signal: new AbortController().signal,
}

/** What comes of a question in a runtime whose fetch does this. */
const asking = (answer: typeof fetch, etag?: string) => {
  vi.stubGlobal("fetch", answer)
  return fetchDocument(settings, etag)
}

afterEach(() => vi.unstubAllGlobals())

describe("asking for a document", () => {
  it("sends the headers it was given, and the ETag it has", async () => {
    const sent: Headers[] = []
    const answer = async (_: unknown, { headers }: RequestInit = {}) => {
      sent.push(new Headers(headers))
      return new Response("{}", { headers: { etag: '"2"' } })
    }
    expect(await asking(answer)).toEqual({ outcome: "read", text: "{}", etag: '"2"' })
    await asking(answer, '"1"')
    expect(sent.map((headers) => Object.fromEntries(headers))).toEqual([
      { accept: "application/json", authorization: "Bearer key" },
      { accept: "application/json", authorization: "Bearer key", "if-none-match": '"1"' },
    ])
  })

  it("believes that nothing changed only if it said what it has", async () => {
    const answer = async () => new Response(null, { status: 304 })
    expect(await asking(answer, '"1"')).toEqual({ outcome: "unchanged" })
    expect(await asking(answer)).toMatchObject({ outcome: "away", because: "it answered 304" })
  })

  it("tells nothing of the address's query, whatever the runtime says", async () => {
    const fetched = await asking(async () => {
      const { url } = settings
      const cause = Object.assign(new Error(`no route to ${new URL(url).href}`), { code: "ENOROUTE" })
      throw new TypeError(`error sending request for url (${url})`, { cause })
    })
    expect(fetched).toEqual({
      outcome: "away",
      because:
        "error sending request for url (https://models.example/list): no route to https://models.example/list",
      code: "ENOROUTE",
    })
  })
})

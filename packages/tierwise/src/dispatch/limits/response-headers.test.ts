import { setImmediate } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, it, vi } from "vitest"
import type { HeardHeaders } from "../../spec/headers.ts"
import { trafficLimits } from "./rate-limit.ts"
import { learnFrom, responseHeaders } from "./response-headers.ts"

const URL_ASKED = "http://127.0.0.1/v1/chat/completions"

const answering = (status: number, headers: Record<string, string> = {}) => {
  const sent: Response[] = []
  const fetch = async () => {
    const response = new Response("words", { status, headers })
    sent.push(response)
    return response
  }
  return { fetch, sent }
}

describe("responseHeaders", () => {
  it("gives back the very response, unread, and tells its headers, of refusals too", async () => {
    for (const status of [200, 429, 500]) {
      const { fetch, sent } = answering(status, { "X-RateLimit-Limit-Requests": String(status) })
      const headers = responseHeaders({ fetch })
      const heard: unknown[] = []
      headers.listen((said) => heard.push(said.get("x-ratelimit-limit-requests"), said.get("other")))
      const response = await headers.fetch(URL_ASKED)
      expect(response).toBe(sent[0])
      expect(response.bodyUsed).toBe(false)
      expect(await response.text()).toBe("words")
      expect(heard).toEqual([String(status), null])
    }
  })

  it("sends the request as it is, and gives back the very error, of which nobody hears", async () => {
    const error = new TypeError("fetch failed")
    const fetch = vi.fn<typeof globalThis.fetch>().mockRejectedValue(error)
    const headers = responseHeaders({ fetch })
    const listener = vi.fn<() => void>()
    headers.listen(listener)
    const init = { method: "POST", body: "{}" }
    await expect(headers.fetch(URL_ASKED, init)).rejects.toBe(error)
    expect(fetch.mock.calls).toEqual([[URL_ASKED, init]])
    expect(fetch.mock.calls[0]?.[1]).toBe(init)
    expect(listener).not.toHaveBeenCalled()
  })

  it("calls the global fetch as it is at each request", async () => {
    const headers = responseHeaders()
    const { fetch, sent } = answering(200)
    vi.stubGlobal("fetch", fetch)
    try {
      expect(await headers.fetch(URL_ASKED)).toBe(sent[0])
    } finally {
      vi.unstubAllGlobals()
    }
  })

  it("tells all who listen, as long as they do, whatever one of them throws", async () => {
    const headers = responseHeaders(answering(200, { "retry-after": "1" }))
    const heard: string[] = []
    const listener = (name: string) => (said: HeardHeaders) => {
      heard.push(`${name} ${said.get("retry-after")}`)
    }
    headers.listen(() => {
      throw new Error("not my day")
    })
    const stop = headers.listen(listener("first"))
    headers.listen(listener("second"))
    await headers.fetch(URL_ASKED)
    stop()
    stop()
    await headers.fetch(URL_ASKED)
    expect(heard).toEqual(["first 1", "second 1", "second 1"])
  })

  it("refuses a fetch that is none", () => {
    expect(() => responseHeaders({ fetch: "fetch" as never })).toThrowError(
      expect.objectContaining({ code: "invalid-config", path: "fetch" }),
    )
  })
})

describe("learnFrom", () => {
  const said = { "x-ratelimit-limit-requests": "2" }

  it("has limits learn until it is ended", async () => {
    const headers = responseHeaders(answering(200, said))
    const limits = trafficLimits({ limits: {}, now: () => 0 })
    const learns = vi.spyOn(limits, "learn")
    const stop = learnFrom(headers, limits)
    await headers.fetch(URL_ASKED)
    expect([1, 2, 3].map(() => limits.enter(1).allowed)).toEqual([true, true, false])
    stop()
    await headers.fetch(URL_ASKED)
    expect(learns).toHaveBeenCalledTimes(1)
  })

  it("keeps nothing alive that nobody else has any more", async () => {
    setFlagsFromString("--expose-gc")
    const collect = runInNewContext("gc") as () => void
    let listening = 0
    let tell: ((headers: HeardHeaders) => void) | undefined
    const source = {
      listen(listener: (headers: HeardHeaders) => void) {
        listening++
        tell = listener
        return () => void listening--
      },
    }
    learnFrom(source, trafficLimits({ limits: {}, now: () => 0 }))
    expect(listening).toBe(1)
    // What a WeakRef was made of stays until the turn is over.
    await setImmediate()
    collect()
    tell?.(new Headers(said))
    expect(listening).toBe(0)
  })
})

import { describe, expect, it } from "vitest"
import { paced } from "./pace.ts"

const LATENCY = { firstTokenMs: 100, perThousandInputMs: 50, tokensPerSecond: 10 }

describe("paced", () => {
  it("waits for the prompt to be read and then for every token of every piece", async () => {
    // 100 + 50 × 2 = 200 ms to the first piece, then 100 ms a token: 300 for the second piece, 100 for the third.
    expect(await waits([5, 3, 1], 1)).toEqual([200, 300, 100])
    expect(await waits([5, 3, 1], 0.5)).toEqual([100, 150, 50])
  })

  it("generates choices side by side, which takes no longer than one", async () => {
    expect(await waits([1, 1, 1, 1, 1], 1, 2)).toEqual([200, 50, 50, 50, 50])
  })

  it("saves up waits that are too short for a timer", async () => {
    const waited = await waits([1, 1, 1, 1, 1, 1], 0.02)
    expect(waited).toEqual([4, 4, 4, 2].slice(0, waited.length))
    expect(waited.reduce((sum, ms) => sum + ms, 0)).toBe(0.02 * (200 + 5 * 100))
  })

  it("stops generating when the call is given up", async () => {
    const leaving = new AbortController()
    const seen: number[] = []
    const generate = async (): Promise<void> => {
      for await (const piece of piecesOver([1, 2, 3], leaving.signal)) {
        seen.push(piece)
        leaving.abort(new Error("gone"))
      }
    }
    await expect(generate()).rejects.toThrow("gone")
    expect(seen).toEqual([1])
  })
})

async function waits(tokens: readonly number[], timeScale: number, choices = 1): Promise<readonly number[]> {
  const waited: number[] = []
  const sleep = async (ms: number): Promise<void> => {
    waited.push(Math.round(ms * 1e6) / 1e6)
  }
  const pieces = tokens.map((count) => ({ choice: 0, delta: {}, tokens: count }))
  const { signal } = new AbortController()
  const generated = paced(pieces, {
    latency: LATENCY,
    timeScale,
    freshInputTokens: 2_000,
    choices,
    sleep,
    signal,
  })
  let count = 0
  for await (const _ of generated) count += 1
  expect(count).toBe(pieces.length)
  return waited
}

async function* piecesOver(tokens: readonly number[], signal: AbortSignal): AsyncGenerator<number> {
  const pieces = tokens.map((count) => ({ choice: 0, delta: {}, tokens: count }))
  const sleep = (): Promise<void> => Promise.resolve()
  const generated = paced(pieces, {
    latency: LATENCY,
    timeScale: 1,
    freshInputTokens: 0,
    choices: 1,
    sleep,
    signal,
  })
  for await (const piece of generated) yield piece.tokens
}

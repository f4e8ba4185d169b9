import { getEventListeners } from "node:events"
import { setImmediate as turn } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { relay } from "./relay.ts"

const joinText = (pieces: readonly string[]) => pieces.join("")

async function* saying(...pieces: readonly string[]) {
  yield* pieces
}

async function read(from: AsyncIterable<string>): Promise<string[]> {
  const pieces = []
  for await (const piece of from) pieces.push(piece)
  return pieces
}

describe("relay", () => {
  it("gives the rest piece by piece, and says what it added up to and how it ended", async () => {
    const rest = relay(saying("a", "b"), joinText, undefined)
    expect(rest.ending()).toBeUndefined()
    expect(await read(rest)).toEqual(["a", "b"])
    expect(rest.taken()).toBe("ab")
    expect(rest.ending()).toEqual({ ended: "well" })
  })

  it("ends for its reader where the answer breaks, and keeps the error for whoever handed it over", async () => {
    const broken = new Error("broken")
    const rest = relay(
      (async function* () {
        yield "a"
        throw broken
      })(),
      joinText,
      new AbortController().signal,
    )
    expect(await read(rest)).toEqual(["a"])
    expect(rest.ending()).toEqual({ ended: "badly", error: broken })
    expect(rest.taken()).toBe("a")
  })

  it("ends at once when its signal fires, though the other side hangs", async () => {
    const aborting = new AbortController()
    const hanging = { next: () => new Promise<never>(() => {}) }
    const rest = relay(hanging, joinText, aborting.signal)
    const reading = read(rest)
    aborting.abort("enough")
    expect(await reading).toEqual([])
    expect(rest.ending()).toEqual({ ended: "badly", error: "enough" })
    expect(rest.taken()).toBeUndefined()
  })

  it("takes nothing more after its end, and starts with an aborted signal at its end", async () => {
    const aborted = AbortSignal.abort("before")
    const rest = relay(saying("a"), joinText, aborted)
    expect(await read(rest)).toEqual([])
    expect(rest.ending()).toEqual({ ended: "badly", error: "before" })
  })

  it("does not count a piece that comes too late for its reader", async () => {
    const aborting = new AbortController()
    const coming = Promise.withResolvers<IteratorResult<string>>()
    const rest = relay({ next: () => coming.promise }, joinText, aborting.signal)
    const reading = read(rest)
    aborting.abort("enough")
    expect(await reading).toEqual([])
    coming.resolve({ done: false, value: "late" })
    await turn()
    expect(rest.taken()).toBeUndefined()
  })

  it("leaves its signal alone once it is closed", async () => {
    const { signal } = new AbortController()
    const rest = relay(saying("a"), joinText, signal)
    expect(getEventListeners(signal, "abort")).toHaveLength(1)
    expect(await read(rest)).toEqual(["a"])
    rest.close()
    expect(getEventListeners(signal, "abort")).toEqual([])
  })
})

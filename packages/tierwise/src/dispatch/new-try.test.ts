import { getEventListeners } from "node:events"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { SOME_SETTINGS, target } from "../testing/scripted-dispatch.ts"
import type { DispatchCandidate, DispatchOptions, DispatchSettings } from "./dispatch-options.ts"
import { newTry } from "./new-try.ts"

/** Answers when it is told to, and never by itself. */
function slowModel() {
  const waiting: ((result: IteratorResult<string>) => void)[] = []
  let heard = () => {}
  let asked = 0
  let returned = 0
  const call: DispatchOptions<DispatchCandidate, string>["call"] = (_, __, ___, onHeard) => {
    heard = onHeard
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          asked++
          return new Promise((resolve) => waiting.push(resolve))
        },
        return: async () => {
          returned++
          return { done: true, value: undefined }
        },
      }),
    }
  }
  return {
    call,
    says: (value: string) => waiting.shift()?.({ done: false, value }),
    heard: () => heard(),
    asked: () => asked,
    returned: () => returned,
  }
}

function open(
  settings: Partial<DispatchSettings> = {},
  extra: Partial<DispatchOptions<DispatchCandidate, string>> = {},
) {
  const model = slowModel()
  const { call } = model
  const all = { ...SOME_SETTINGS, now: Date.now, ...settings }
  const tried = newTry({ candidates: [], call, settings: all, ...extra }, target("a"), undefined)
  return { model, tried }
}

/** Its first piece has come. */
async function opened(
  settings: Partial<DispatchSettings>,
  extra: Partial<DispatchOptions<DispatchCandidate, string>> = {},
) {
  const story = open(settings, extra)
  const first = story.tried.next()
  story.model.says("one")
  await first
  story.tried.open()
  return story
}

const join = (pieces: readonly string[]) => pieces.join("+")

describe("newTry", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it.each([
    ["before it has begun to answer", async () => open({ attemptTimeoutMs: 60, stallTimeoutMs: 60 })],
    ["in its middle", async () => opened({ attemptTimeoutMs: 60, stallTimeoutMs: 60 })],
  ])("leaves no timer and no listener when it is closed %s", async (_, begin) => {
    const { tried } = await begin()
    void tried.next().catch(() => {})
    tried.close()
    expect(vi.getTimerCount()).toBe(0)
    const { signal } = new AbortController()
    const { tried: other } = open({ attemptTimeoutMs: 60 }, { signal })
    expect(getEventListeners(signal, "abort")).toHaveLength(1)
    other.close()
    expect(getEventListeners(signal, "abort")).toEqual([])
  })

  it("ends when the next piece takes too long, and not while its reader does", async () => {
    const { model, tried } = await opened({ stallTimeoutMs: 100 })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(tried.fired()).toMatchObject({ timedOut: false })
    const second = tried.next().catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(99)
    expect(tried.fired()).toMatchObject({ timedOut: false })
    await vi.advanceTimersByTimeAsync(1)
    expect(await second).toMatchObject({ name: "TimeoutError" })
    expect(tried.fired()).toEqual({ callerAborted: false, timedOut: true, fromProvider: false })
    expect(model.asked()).toBe(2)
    // An aborted model closes its run only when it is asked for more.
    tried.close()
    expect([model.asked(), model.returned()]).toEqual([3, 1])
  })

  it("has not stalled while something is heard of the piece that it is asked for", async () => {
    const { model, tried } = await opened({ stallTimeoutMs: 100 })
    const second = tried.next()
    for (let times = 0; times < 5; times++) {
      await vi.advanceTimersByTimeAsync(90)
      model.heard()
    }
    model.says("two")
    expect(await second).toMatchObject({ value: "two" })
    // What is heard while nobody asks for anything is the start of no wait.
    model.heard()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(tried.fired()).toMatchObject({ timedOut: false })
    tried.close()
  })

  it("goes on while it is asked, heard of or read", async () => {
    const { model, tried } = open()
    const first = tried.next()
    model.says("one")
    await first
    expect([tried.goesOn(), tried.goesOn()]).toEqual([true, false])
    model.heard()
    expect([tried.goesOn(), tried.goesOn()]).toEqual([true, false])
    const rest = tried.handOver(join)
    const iterator = rest[Symbol.asyncIterator]()
    const next = iterator.next()
    expect([tried.goesOn(), tried.goesOn()]).toEqual([true, true])
    model.says("two")
    await next
    expect([tried.goesOn(), tried.goesOn()]).toEqual([true, false])
    rest.close()
  })

  it("ends a rest that stalls, and one whose caller leaves", async () => {
    const stalled = await opened({ stallTimeoutMs: 100 })
    const rest = stalled.tried.handOver(join)
    const reading = rest[Symbol.asyncIterator]().next()
    await vi.advanceTimersByTimeAsync(100)
    expect(await reading).toMatchObject({ done: true })
    expect(rest.ending()).toMatchObject({ ended: "badly", error: { name: "TimeoutError" } })

    const leaving = new AbortController()
    const left = await opened({}, { signal: leaving.signal })
    const other = left.tried.handOver(join)
    const asking = other[Symbol.asyncIterator]().next()
    leaving.abort(new Error("the caller left"))
    expect(await asking).toMatchObject({ done: true })
    expect(other.ending()).toMatchObject({ ended: "badly", error: { message: "the caller left" } })
  })

  it("knows the caller's abort, the request's deadline and its own time-out apart", async () => {
    const caller = new AbortController()
    caller.abort(new Error("enough"))
    const given = { signal: caller.signal }
    const { tried: left } = open({}, given)
    expect(left.fired()).toMatchObject({ callerAborted: true, timedOut: false })
    expect(left.isOverdue()).toBe(false)

    const deadline = { at: 0, fairMs: undefined, isOver: () => true }
    const { tried: overdue } = open({}, { ...given, deadline })
    expect(overdue.fired()).toMatchObject({ callerAborted: false, timedOut: true })
    expect(overdue.isOverdue()).toBe(true)

    const { tried: slow } = open({ attemptTimeoutMs: 50 }, { deadline })
    await vi.advanceTimersByTimeAsync(50)
    expect(slow.fired()).toMatchObject({ callerAborted: false, timedOut: true })
    expect(slow.isOverdue()).toBe(false)
  })

  it("blames a provider's package for nothing that was thrown before it was asked", () => {
    const { tried } = open({}, { isProvider: () => true })
    expect([tried.wasSent(), tried.fired().fromProvider]).toEqual([false, false])
    void tried.next()
    expect([tried.wasSent(), tried.fired().fromProvider]).toEqual([true, true])
  })
})

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { inTime } from "./in-time.ts"

describe("inTime", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("gives the answer, or the failure, and keeps one timer for all, which keeps no program alive", async () => {
    const timers = vi.spyOn(globalThis, "setTimeout")
    const ask = inTime(100)
    expect(await ask(async () => 1)).toBe(1)
    await expect(ask(async () => Promise.reject(new Error("down")))).rejects.toThrow("down")
    const throws = () => {
      throw new Error("at once")
    }
    await expect(ask(throws)).rejects.toThrow("at once")
    expect(vi.getTimerCount()).toBe(1)
    expect(timers.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([false])
    await vi.advanceTimersByTimeAsync(100)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("waits no longer than it may", async () => {
    const said = failureOf(inTime(100)(() => new Promise(() => {})))
    await vi.advanceTimersByTimeAsync(100)
    expect(await said).toBe("it did not answer within 100 ms")
  })

  it("asks once per time-out while an answer is overdue, and all again when it has come", async () => {
    const ask = inTime(100)
    const answers: ((answer: string) => void)[] = []
    const question = () => new Promise<string>((resolve) => void answers.push(resolve))
    const first = failureOf(ask(question))
    await vi.advanceTimersByTimeAsync(100)
    expect(await first).toBe("it did not answer within 100 ms")
    expect(await failureOf(ask(question))).toBe("it has not answered for more than 100 ms")
    expect(answers).toHaveLength(1)

    await vi.advanceTimersByTimeAsync(100)
    const probe = failureOf(ask(question))
    expect(await failureOf(ask(question))).toBe("it has not answered for more than 100 ms")
    expect(answers).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(100)
    expect(await probe).toBe("it did not answer within 100 ms")

    for (const answer of answers) answer("late")
    await vi.advanceTimersByTimeAsync(0)
    expect(await ask(async () => "in time")).toBe("in time")
  })

  it("asks all again after one answer in time, also if another never comes or comes very late", async () => {
    const ask = inTime(100)
    let answer = () => {}
    const lost = failureOf(ask(() => new Promise<void>((resolve) => (answer = resolve))))
    const lostForEver = failureOf(ask(() => new Promise(() => {})))
    await vi.advanceTimersByTimeAsync(200)
    expect(await Promise.all([lost, lostForEver])).toHaveLength(2)
    for (let question = 0; question < 5; question++) expect(await ask(async () => question)).toBe(question)
    answer()
    await vi.advanceTimersByTimeAsync(0)
    // It counts no more: one that is overdue now is the only one.
    const next = failureOf(ask(() => new Promise(() => {})))
    await vi.advanceTimersByTimeAsync(100)
    expect(await next).toBe("it did not answer within 100 ms")
    expect(await failureOf(ask(async () => "again"))).toBe("it has not answered for more than 100 ms")
  })

  it("takes a failure for no sign that the server is well again", async () => {
    const ask = inTime(100)
    const lost = failureOf(ask(() => new Promise(() => {})))
    await vi.advanceTimersByTimeAsync(200)
    await lost
    expect(await failureOf(ask(() => Promise.reject(new Error("the line is cut"))))).toBe("the line is cut")
    expect(await failureOf(ask(async () => 1))).toBe("it has not answered for more than 100 ms")
  })
})

function failureOf(asked: Promise<unknown>): Promise<string> {
  return asked.then(
    () => "none",
    (error: unknown) => (error as Error).message,
  )
}

import { setTimeout as wait } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { REST_AFTER_TIMEOUT_MS, storeGuard } from "./store-guard.ts"

describe("a guarded store", () => {
  it("answers", async () => {
    const { ask, problems } = guarded()
    expect(await ask(async () => "here")).toBe("here")
    expect(await ask(() => "here at once")).toBe("here at once")
    expect(problems).toEqual([])
  })

  it("has no answer where it throws or rejects, and tells", async () => {
    const { ask, problems } = guarded()
    const down = () => {
      throw new Error("down")
    }
    expect(await ask(down)).toBeUndefined()
    expect(await ask(async () => down())).toBeUndefined()
    expect(problems).toMatchObject([{ message: "down" }, { message: "down" }])
  })

  it("is not waited for beyond the timeout, and is then left alone for a while", async () => {
    const clock = { at: 0 }
    const { ask, problems } = guarded(() => clock.at)
    expect(await ask(() => new Promise(() => {}))).toBeUndefined()
    expect(problems).toMatchObject([{ message: "the cache's store did not answer within 20 ms" }])

    let asked = 0
    const count = () => ++asked
    clock.at = REST_AFTER_TIMEOUT_MS - 1
    expect(await ask(count)).toBeUndefined()
    expect(asked).toBe(0)
    clock.at = REST_AFTER_TIMEOUT_MS
    expect(await ask(count)).toBe(1)
  })

  it("may fail late without anybody noticing", async () => {
    const { ask, problems } = guarded()
    await ask(() => wait(40).then(() => Promise.reject(new Error("late"))))
    await wait(40)
    expect(problems.map((problem) => (problem as Error).message)).toEqual([
      "the cache's store did not answer within 20 ms",
      "late",
    ])
  })

  it("is not harmed by a listener that throws", async () => {
    const ask = storeGuard({
      timeoutMs: 20,
      now: Date.now,
      onProblem: () => {
        throw new Error("listener")
      },
    })
    expect(await ask(() => Promise.reject(new Error("down")))).toBeUndefined()
  })
})

function guarded(now: () => number = Date.now) {
  const problems: unknown[] = []
  const onProblem = (error: unknown) => problems.push(error)
  return { ask: storeGuard({ timeoutMs: 20, onProblem, now }), problems }
}

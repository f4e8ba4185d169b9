import { getEventListeners } from "node:events"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { ConfigError, InvalidRequestError } from "../../spec/errors.ts"
import { type WaitingLine, waitingLine } from "./waiting-line.ts"

const TIMEOUT_MS = 1_000

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function lineOf(longest: number): WaitingLine {
  return waitingLine({ longest, timeoutMs: TIMEOUT_MS, now: () => Date.now() })
}

/** What came of all that waited, in the order in which they were told. */
function story(line: WaitingLine) {
  const told: string[] = []
  return {
    told,
    wait: (name: string, priority: number, signal?: AbortSignal) => {
      const tell = (how: string) => void told.push(`${name} ${how}`)
      line.wait(signal, priority).then(tell, (reason: unknown) => tell(String(reason)))
    },
    /** Promises that are settled have told so. */
    settled: () => vi.advanceTimersByTimeAsync(0),
  }
}

describe("waitingLine", () => {
  it("gives places to the most urgent first, and among equals to who came first", async () => {
    const line = lineOf(9)
    const { told, wait, settled } = story(line)
    wait("a", 1)
    wait("b", 1)
    wait("urgent", 0)
    wait("later", 2.5)
    wait("c", 1)
    expect(line.free(3)).toBe(3)
    await settled()
    expect(told).toEqual(["urgent turn", "a turn", "b turn"])
    expect(line.free(Infinity)).toBe(2)
    await settled()
    expect(told.slice(3)).toEqual(["c turn", "later turn"])
    expect(line.free()).toBe(0)
    expect(line.waiting()).toBe(0)
  })

  it("keeps no place for later that nobody took", async () => {
    const line = lineOf(1)
    const { told, wait, settled } = story(line)
    expect(line.free(5)).toBe(0)
    wait("a", 0)
    await settled()
    expect(told).toEqual([])
  })

  it("refuses a newcomer when it is full, unless it is more urgent than somebody: then the last of the least", async () => {
    const line = lineOf(3)
    const { told, wait, settled } = story(line)
    wait("a", 1)
    wait("b", 2)
    wait("c", 2)
    wait("same", 2)
    wait("less", 3)
    await settled()
    expect(told).toEqual(["same full", "less full"])
    wait("more", 0)
    await settled()
    expect(told.slice(2)).toEqual(["c full"])
    expect(line.free(9)).toBe(3)
    await settled()
    expect(told.slice(3)).toEqual(["more turn", "a turn", "b turn"])
  })

  it("refuses everybody where nobody may wait", async () => {
    expect(await lineOf(0).wait(undefined, 0)).toBe("full")
    expect(vi.getTimerCount()).toBe(0)
  })

  it("tells who waited long enough, to the ms, and leaves the others in the line", async () => {
    const line = lineOf(9)
    const { told, wait } = story(line)
    wait("a", 0)
    await vi.advanceTimersByTimeAsync(1)
    wait("b", 0)
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 2)
    expect(told).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(told).toEqual(["a timeout"])
    expect(line.waiting()).toBe(1)
  })

  it("gives no place to somebody whose time is up although the timer is late", async () => {
    const line = lineOf(9)
    const { told, wait, settled } = story(line)
    wait("a", 0)
    vi.setSystemTime(Date.now() + TIMEOUT_MS - 1)
    wait("b", 1)
    vi.setSystemTime(Date.now() + 1)
    expect(line.free()).toBe(1)
    await settled()
    expect(told).toEqual(["a timeout", "b turn"])
  })

  it("rejects with the signal's reason the moment it aborts, and before, and lets the next move up", async () => {
    const line = lineOf(2)
    const abort = new AbortController()
    const { told, wait, settled } = story(line)
    wait("a", 0, abort.signal)
    wait("b", 0)
    abort.abort("enough")
    expect(line.waiting()).toBe(1)
    await settled()
    expect(told).toEqual(["a enough"])
    wait("late", 0, abort.signal)
    await settled()
    expect(told).toEqual(["a enough", "late enough"])
    expect(line.free()).toBe(1)
    await settled()
    expect(told).toEqual(["a enough", "late enough", "b turn"])
  })

  it("leaves no timer and no listener behind, however waiting ends", async () => {
    const line = lineOf(2)
    const { signal } = new AbortController()
    const abort = new AbortController()
    const { told, wait, settled } = story(line)
    wait("displaced", 2, signal)
    wait("turn", 1, signal)
    wait("aborted", 1, abort.signal)
    line.free()
    wait("timeout", 1, signal)
    wait("refused", 9, signal)
    abort.abort("enough")
    await settled()
    expect(getEventListeners(signal, "abort")).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(1)
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS)
    expect(told.sort()).toEqual([
      "aborted enough",
      "displaced full",
      "refused full",
      "timeout timeout",
      "turn turn",
    ])
    for (const used of [signal, abort.signal]) expect(getEventListeners(used, "abort")).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  it("does not keep a process alive", () => {
    vi.useRealTimers()
    const set = vi.spyOn(globalThis, "setTimeout")
    const line = lineOf(1)
    void line.wait(undefined, 0)
    const timer = set.mock.results[0]?.value as NodeJS.Timeout
    set.mockRestore()
    expect(timer.hasRef()).toBe(false)
    line.free()
  })

  it("refuses options out of range and priorities that are none, and names the field", async () => {
    const now = () => 0
    for (const longest of [-1, 0.5, Number.NaN, Infinity]) {
      const make = () => waitingLine({ longest, timeoutMs: 1, now })
      expect(make).toThrow(ConfigError)
      expect(make).toThrow("longest")
    }
    for (const timeoutMs of [0, -1, Number.NaN, Infinity, 2 ** 31]) {
      const make = () => waitingLine({ longest: 1, timeoutMs, now })
      expect(make).toThrow(ConfigError)
      expect(make).toThrow("timeoutMs")
    }
    for (const priority of [-1, Number.NaN, "high" as never]) {
      await expect(lineOf(1).wait(undefined, priority)).rejects.toThrow(InvalidRequestError)
    }
    expect(vi.getTimerCount()).toBe(0)
  })

  it("does what a plain list would, in any order of coming, leaving, freeing and time passing", async () => {
    const LONGEST = 4
    const act = fc.oneof(
      { weight: 3, arbitrary: fc.record({ comes: fc.nat(3) }) },
      fc.record({ free: fc.nat(3) }),
      fc.record({ aborts: fc.nat(30) }),
      fc.record({ waitMs: fc.constantFrom(1, 400, TIMEOUT_MS - 1, TIMEOUT_MS) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 50 }), async (acts) => {
        const line = lineOf(LONGEST)
        const { told, wait } = story(line)
        const controllers: AbortController[] = []
        let model: { name: string; priority: number; until: number }[] = []
        const expected: string[] = []
        const leave = (name: string, how: string) => {
          model = model.filter((one) => one.name !== name)
          expected.push(`${name} ${how}`)
        }
        const comes = (priority: number) => {
          const name = `${controllers.length}`
          const abort = new AbortController()
          controllers.push(abort)
          wait(name, priority, abort.signal)
          const last = model.at(-1)
          if (model.length === LONGEST && last !== undefined) {
            if (last.priority <= priority) return leave(name, "full")
            leave(last.name, "full")
          }
          model.push({ name, priority, until: Date.now() + TIMEOUT_MS })
          model.sort((a, b) => a.priority - b.priority || Number(a.name) - Number(b.name))
        }
        const free = (places: number) => {
          const taken = model.slice(0, places)
          expect(line.free(places)).toBe(taken.length)
          for (const { name } of taken) leave(name, "turn")
        }
        const aborts = (index: number) => {
          controllers[index]?.abort("left")
          if (model.some(({ name }) => name === `${index}`)) leave(`${index}`, "left")
        }
        for (const one of acts) {
          if ("comes" in one) comes(one.comes)
          else if ("free" in one) free(one.free)
          else if ("aborts" in one) aborts(one.aborts)
          else await vi.advanceTimersByTimeAsync(one.waitMs)
          await vi.advanceTimersByTimeAsync(0)
          for (const { name, until } of model) if (until <= Date.now()) leave(name, "timeout")
          expect([...told].sort()).toEqual([...expected].sort())
          expect(line.waiting()).toBe(model.length)
          expect(vi.getTimerCount()).toBe(model.length)
          const listeners = controllers.flatMap(({ signal }) => getEventListeners(signal, "abort"))
          expect(listeners).toHaveLength(model.length)
        }
        line.free(Infinity)
      }),
      { numRuns: 200 },
    )
  })
})

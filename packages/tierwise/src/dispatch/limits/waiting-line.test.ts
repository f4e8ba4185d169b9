import { getEventListeners } from "node:events"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { ConfigError, InvalidRequestError } from "../../spec/errors.ts"
import { type Comer, type WaitingLine, waitingLine } from "./waiting-line.ts"

const TIMEOUT_MS = 1_000

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function lineOf(longest: number): WaitingLine {
  return waitingLine({ longest, timeoutMs: TIMEOUT_MS, now: () => Date.now() })
}

interface Waiting {
  readonly key?: string
  readonly until?: number
  readonly signal?: AbortSignal
}

/** What came of all that waited, in the order in which they were told. */
function story(line: WaitingLine) {
  const told: string[] = []
  const comers = new Map<string, Comer>()
  const again = (name: string, { key = "k", until, signal }: Waiting = {}) => {
    const comer = comers.get(name) as Comer
    comer.mayTry(key)
    comer.refused(key)
    const tell = (how: string) => void told.push(`${name} ${how}`)
    comer.wait(until, signal).then(tell, (reason: unknown) => tell(String(reason)))
  }
  return {
    told,
    comer: (name: string) => comers.get(name) as Comer,
    /** Waits once more. */
    again,
    /** Comes, is refused, and waits. */
    wait: (name: string, priority: number, waiting: Waiting = {}) => {
      comers.set(name, line.comer(priority))
      again(name, waiting)
    },
    /** Promises that are settled have told so. */
    settled: () => vi.advanceTimersByTimeAsync(0),
  }
}

describe("waitingLine", () => {
  it("gives turns to the most urgent first, and among equals to who came first", async () => {
    const line = lineOf(9)
    const { told, wait, comer, settled } = story(line)
    wait("a", 1)
    wait("b", 1)
    wait("urgent", 0)
    wait("later", 2.5)
    wait("c", 1)
    const entered: string[] = []
    for (const name of ["urgent", "a", "b", "c", "later"]) {
      if (entered.length === 0) line.free("k")
      await settled()
      expect(told).toEqual([...entered, `${name} turn`])
      entered.push(`${name} turn`)
      // Once it has entered, the next may look whether there is more.
      comer(name).leave()
    }
    expect(line.standing()).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("gives nobody a turn while the first has its own and has not entered", async () => {
    const line = lineOf(9)
    const { told, wait, again, settled } = story(line)
    wait("a", 0)
    wait("b", 0)
    line.free("k")
    line.free("k")
    await settled()
    expect(told).toEqual(["a turn"])
    again("a")
    await settled()
    expect(told).toEqual(["a turn"])
    line.free("k")
    await settled()
    expect(told).toEqual(["a turn", "a turn"])
  })

  it("lets nobody try before those who stand before it, also while they try", async () => {
    const line = lineOf(9)
    const { wait, comer, settled } = story(line)
    const early = line.comer(1)
    wait("a", 1)
    const late = line.comer(1)
    const urgent = line.comer(0)
    const mayTry = () => [early, late, urgent].map((one) => one.mayTry("k"))
    expect(mayTry()).toEqual([true, false, true])
    expect(late.mayTry("other")).toBe(true)
    line.free("k")
    await settled()
    expect(mayTry()).toEqual([true, false, true])
    comer("a").leave()
    expect(mayTry()).toEqual([true, true, true])
  })

  it("gives room at one key to the first who waits for that one", async () => {
    const line = lineOf(9)
    const { told, wait, settled } = story(line)
    wait("a", 0, { key: "x" })
    wait("b", 0, { key: "y" })
    line.free("y")
    await settled()
    expect(told).toEqual(["b turn"])
  })

  it("lets the next move up where somebody waits for another key from now on", async () => {
    const line = lineOf(9)
    const { told, wait, again, settled } = story(line)
    wait("a", 0)
    wait("b", 0)
    line.free("k")
    await settled()
    again("a", { key: "other" })
    await settled()
    expect(told).toEqual(["a turn", "b turn"])
  })

  it("misses no room that comes between a try and the wait after it", async () => {
    const line = lineOf(9)
    const comer = line.comer(0)
    comer.mayTry("k")
    comer.refused("k")
    line.free("k")
    expect(await comer.wait(undefined, undefined)).toBe("turn")
    comer.mayTry("k")
    comer.refused("k")
    const waiting = comer.wait(undefined, undefined)
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS)
    expect(await waiting).toBe("timeout")
  })

  it("keeps no turn for later that nobody took", async () => {
    const line = lineOf(1)
    const { told, wait, settled } = story(line)
    line.free("k")
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
    expect(line.standing()).toBe(3)
  })

  it("displaces nobody who has its turn", async () => {
    const line = lineOf(1)
    const { told, wait, again, settled } = story(line)
    wait("a", 2)
    line.free("k")
    await settled()
    wait("urgent", 0)
    await settled()
    again("a")
    await settled()
    expect(told).toEqual(["a turn", "urgent full"])
    expect(line.standing()).toBe(1)
  })

  it("refuses everybody where nobody may wait", async () => {
    const { told, wait, settled } = story(lineOf(0))
    wait("a", 0)
    await settled()
    expect(told).toEqual(["a full"])
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
    // The next looks whether the other had room that it did not use.
    expect(told).toEqual(["a timeout", "b turn"])
    expect(line.standing()).toBe(1)
  })

  it("lets a call wait so long in all, however often it has its turn", async () => {
    const line = lineOf(9)
    const { told, wait, again } = story(line)
    wait("a", 0)
    for (let turn = 0; turn < 9; turn++) {
      await vi.advanceTimersByTimeAsync(TIMEOUT_MS / 10)
      line.free("k")
      await vi.advanceTimersByTimeAsync(0)
      again("a")
    }
    expect(told).toEqual(Array(9).fill("a turn"))
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS / 10)
    expect(told.slice(9)).toEqual(["a timeout"])
    again("a")
    await vi.advanceTimersByTimeAsync(0)
    expect(told.slice(10)).toEqual(["a timeout"])
    expect(line.standing()).toBe(0)
  })

  it("gives a turn when a limit that is known to end has ended", async () => {
    const { told, wait, again } = story(lineOf(9))
    wait("a", 0, { until: Date.now() + 300 })
    await vi.advanceTimersByTimeAsync(299)
    expect(told).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(told).toEqual(["a turn"])
    again("a", { until: Date.now() + TIMEOUT_MS })
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS)
    expect(told).toEqual(["a turn", "a timeout"])
  })

  it("gives no turn to somebody whose time is up although the timer is late", async () => {
    const line = lineOf(9)
    const { told, wait, settled } = story(line)
    wait("a", 0)
    vi.setSystemTime(Date.now() + TIMEOUT_MS - 1)
    wait("b", 1)
    vi.setSystemTime(Date.now() + 1)
    line.free("k")
    await settled()
    expect(told).toEqual(["a timeout", "b turn"])
  })

  it("rejects with the signal's reason the moment it aborts, and before, and lets the next move up", async () => {
    const line = lineOf(2)
    const abort = new AbortController()
    const { told, wait, settled } = story(line)
    wait("a", 0, { signal: abort.signal })
    wait("b", 0)
    abort.abort("enough")
    expect(line.standing()).toBe(1)
    await settled()
    expect(told.sort()).toEqual(["a enough", "b turn"])
    wait("late", 0, { signal: abort.signal })
    await settled()
    expect(told).toContain("late enough")
    expect(line.standing()).toBe(1)
  })

  it("leaves no timer and no listener behind, however waiting ends", async () => {
    const line = lineOf(3)
    const { signal } = new AbortController()
    const abort = new AbortController()
    const { told, wait, comer, settled } = story(line)
    wait("displaced", 3, { signal })
    wait("turn", 1, { signal })
    wait("aborted", 2, { signal: abort.signal })
    wait("late", 2, { signal, key: "other" })
    line.free("k")
    await settled()
    abort.abort("enough")
    comer("turn").leave()
    wait("later", 9, { signal })
    wait("last", 9, { signal })
    wait("refused", 9, { signal })
    await settled()
    expect(getEventListeners(signal, "abort")).toHaveLength(3)
    expect(vi.getTimerCount()).toBe(3)
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS)
    expect(told).toEqual([
      "displaced full",
      "turn turn",
      "refused full",
      "aborted enough",
      "late timeout",
      "later timeout",
      "last timeout",
    ])
    for (const used of [signal, abort.signal]) expect(getEventListeners(used, "abort")).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
    expect(line.standing()).toBe(0)
  })

  it("refuses options out of range and priorities that are none, and names the field", () => {
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
      expect(() => lineOf(1).comer(priority)).toThrow(InvalidRequestError)
    }
  })

  /**
   * Callers of a few doors, each open to so many at a time. Whatever happens in whatever order, room is never left unused
   * while somebody stands in the line for it, nobody overtakes, and nothing is left behind.
   */
  it("loses nobody and lets nobody be overtaken, in any order of coming, entering, going and leaving", async () => {
    const DOORS = ["x", "y"]
    const act = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          comes: fc.nat(2),
          doors: fc.constantFrom(["x"], ["y"], ["x", "y"]),
          turnsBetween: fc.nat(4),
        }),
      },
      { weight: 3, arbitrary: fc.record({ goes: fc.constantFrom(...DOORS) }) },
      fc.record({ aborts: fc.nat(40) }),
      fc.record({ waitMs: fc.constantFrom(1, 400, TIMEOUT_MS - 1, TIMEOUT_MS) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
        vi.clearAllTimers()
        const line = lineOf(50)
        const inside = new Map(DOORS.map((door) => [door, 0]))
        const most = 2
        const signals: AbortController[] = []
        const came: Promise<void>[] = []
        const standing = new Map<number, { doors: readonly string[]; priority: number }>()
        const turnsOfOthers = async (turns: number) => {
          for (let turn = 0; turn < turns; turn++) await Promise.resolve()
        }
        const full = (door: string) => (inside.get(door) as number) >= most
        const come = async (number: number, priority: number, doors: readonly string[], turns: number) => {
          const abort = new AbortController()
          signals.push(abort)
          const comer = line.comer(priority)
          for (;;) {
            for (const door of doors) {
              if (!comer.mayTry(door) || full(door)) {
                comer.refused(door)
                await turnsOfOthers(turns)
                continue
              }
              for (const [other, one] of standing) {
                const isBefore = one.priority < priority || (one.priority === priority && other < number)
                expect(isBefore && one.doors.includes(door), `${number} overtook ${other}`).toBe(false)
              }
              inside.set(door, (inside.get(door) as number) + 1)
              standing.delete(number)
              comer.leave()
              return
            }
            standing.set(number, { doors, priority })
            const how = await comer.wait(undefined, abort.signal).catch(() => "aborted")
            if (how === "turn") continue
            standing.delete(number)
            comer.leave()
            return
          }
        }
        for (const [number, one] of acts.entries()) {
          if ("comes" in one) came.push(come(number, one.comes, one.doors, one.turnsBetween))
          else if ("goes" in one) {
            const count = inside.get(one.goes) as number
            if (count > 0) {
              inside.set(one.goes, count - 1)
              line.free(one.goes)
            }
          } else if ("aborts" in one) signals[one.aborts]?.abort("left")
          else await vi.advanceTimersByTimeAsync(one.waitMs)
          // Not always: what follows may come in between.
          if (number % 3 !== 0) continue
          await vi.advanceTimersByTimeAsync(0)
          for (const { doors } of standing.values()) {
            expect(
              doors.every((door) => full(door)),
              "somebody waits for a door that is open",
            ).toBe(true)
          }
          expect(line.standing()).toBe(standing.size)
          expect(vi.getTimerCount()).toBe(standing.size)
        }
        await vi.advanceTimersByTimeAsync(0)
        await vi.advanceTimersByTimeAsync(TIMEOUT_MS)
        await Promise.all(came)
        expect([line.standing(), vi.getTimerCount()]).toEqual([0, 0])
        expect(signals.flatMap(({ signal }) => getEventListeners(signal, "abort"))).toEqual([])
      }),
      { numRuns: 500 },
    )
  })
})

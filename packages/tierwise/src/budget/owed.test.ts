import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { owed } from "./owed.ts"

/** A store that fails until it is told not to. */
function unreliable() {
  const told: string[] = []
  const store = { isDown: true, told, tried: 0 }
  const telling = (what: string) => async () => {
    store.tried++
    if (store.isDown) throw new Error("down")
    told.push(what)
  }
  return { store, telling }
}

const always = () => true

describe("owed", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("tells a store that comes back, each once", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    for (const name of ["a", "b", "c"]) debts.add(name, telling(name))
    await vi.advanceTimersByTimeAsync(1_000)
    expect([store.told, debts.size]).toEqual([[], 3])
    store.isDown = false
    await vi.advanceTimersByTimeAsync(15_000)
    expect([[...store.told].sort(), debts.size]).toEqual([["a", "b", "c"], 0])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(store.told).toHaveLength(3)
  })

  it("begins with the oldest", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    store.isDown = false
    for (const name of ["a", "b", "c"]) debts.add(name, telling(name))
    await debts.flush()
    expect(store.told).toEqual(["a", "b", "c"])
  })

  it("asks a store that is down less and less often, at last every 15 seconds", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    for (const name of ["a", "b", "c"]) debts.add(name, telling(name))
    await vi.advanceTimersByTimeAsync(1_000)
    // After 100, 300 and 700 ms.
    expect(store.tried).toBe(3)
    await vi.advanceTimersByTimeAsync(120_000)
    const before = store.tried
    await vi.advanceTimersByTimeAsync(60_000)
    expect(store.tried - before).toBe(4)
  })

  it("is quick again when the store has been back", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    debts.add("a", telling("a"))
    await vi.advanceTimersByTimeAsync(60_000)
    store.isDown = false
    await vi.advanceTimersByTimeAsync(15_000)
    debts.add("b", telling("b"))
    await vi.advanceTimersByTimeAsync(100)
    expect(store.told).toEqual(["a", "b"])
  })

  it("lets the latest under a name count", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    debts.add("a", telling("released"))
    debts.add("a", telling("settled"))
    store.isDown = false
    await debts.flush()
    expect(store.told).toEqual(["settled"])
  })

  it("tells what was added while the older telling under its name was under way", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    store.isDown = false
    debts.add("a", async () => {
      debts.add("a", telling("newer"))
      store.told.push("older")
    })
    await debts.flush()
    await debts.flush()
    expect([store.told, debts.size]).toEqual([["older", "newer"], 0])
  })

  it("gives up at once what would fail whenever it is told, and goes on with the rest", async () => {
    const { store, telling } = unreliable()
    const debts = owed((error) => (error as Error).message === "down")
    store.isDown = false
    debts.add("wrong", () => Promise.reject(new Error("not a number")))
    debts.add("right", telling("right"))
    await debts.flush()
    expect([store.told, debts.size]).toEqual([["right"], 0])
  })

  it("lets nothing wait for ever behind what cannot be told", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    store.isDown = false
    debts.add("broken counter", () => Promise.reject(new Error("it holds -1")))
    debts.add("right", telling("right"))
    await vi.advanceTimersByTimeAsync(1_000)
    expect([store.told, debts.size]).toEqual([["right"], 1])
  })

  it("stops at the first that fails, so that a store that is down is not asked ten thousand times", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    for (let index = 0; index < 100; index++) debts.add(`${index}`, telling(`${index}`))
    await debts.flush()
    expect([store.tried, debts.size]).toEqual([1, 100])
  })

  it("keeps the latest ten thousand", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    for (let index = 0; index < 10_001; index++) debts.add(`${index}`, telling(`${index}`))
    expect(debts.size).toBe(10_000)
    store.isDown = false
    await debts.flush()
    expect([store.told[0], store.told.at(-1)]).toEqual(["1", "10000"])
  })

  it("drops what need not be told, after a telling that is under way", async () => {
    const debts = owed(always)
    let answer = () => {}
    debts.add("a", () => new Promise<void>((_, reject) => (answer = () => reject(new Error("down")))))
    const flushed = debts.flush()
    let isDropped = false
    const drop = async () => {
      await debts.drop("a")
      isDropped = true
    }
    const dropped = drop()
    await Promise.resolve()
    expect(isDropped).toBe(false)
    answer()
    await Promise.all([dropped, flushed])
    expect(debts.size).toBe(0)
  })

  it("does not tell what was dropped while others were told", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    store.isDown = false
    debts.add("a", async () => void debts.drop("b"))
    debts.add("b", telling("b"))
    debts.add("c", telling("c"))
    await debts.flush()
    expect([store.told, debts.size]).toEqual([["c"], 0])
  })

  it("counts what was given up: beyond the latest ten thousand, or beyond healing", async () => {
    const { store, telling } = unreliable()
    const debts = owed((error) => (error as Error).message === "down")
    for (let index = 0; index < 10_003; index++) debts.add(`${index}`, telling(`${index}`))
    expect(debts.givenUp).toBe(3)
    store.isDown = false
    await debts.flush()
    debts.add("wrong", () => Promise.reject(new Error("not a number")))
    await debts.flush()
    expect([debts.size, debts.givenUp]).toEqual([0, 4])
  })

  it("tries each once more when it ends, also behind those that fail, and nothing afterwards", async () => {
    const { store, telling } = unreliable()
    const debts = owed(always)
    store.isDown = false
    const broken = vi.fn<() => Promise<never>>(() => Promise.reject(new Error("it holds -1")))
    debts.add("broken counter", broken)
    debts.add("another", broken)
    for (const name of ["a", "b"]) debts.add(name, telling(name))
    await debts.end()
    expect([store.told, debts.size, broken.mock.calls.length]).toEqual([["a", "b"], 2, 2])
    debts.add("c", telling("c"))
    await vi.advanceTimersByTimeAsync(60_000)
    expect([store.told, debts.size, broken.mock.calls.length]).toEqual([["a", "b"], 3, 2])
  })

  it("waits ten seconds at most for a store that takes its time to fail, when it ends", async () => {
    const debts = owed(always)
    let tried = 0
    const slow = async () => {
      tried++
      await new Promise((resolve) => setTimeout(resolve, 4_000))
      throw new Error("down")
    }
    for (let index = 0; index < 100; index++) debts.add(`${index}`, slow)
    const ended = debts.end()
    await vi.advanceTimersByTimeAsync(12_000)
    await ended
    expect([tried, debts.size]).toEqual([3, 100])
  })
})

it("does not keep a process alive that waits for nothing else", async () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length
  const before = timers()
  const debts = owed(always)
  debts.add("a", () => Promise.reject(new Error("down")))
  expect(timers()).toBe(before)
  await debts.end()
})

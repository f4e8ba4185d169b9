import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { BreakerChange, HealthStore } from "../../spec/health.ts"
import { memoryHealth } from "../../testing/memory-health.ts"
import {
  admitted,
  type Line,
  NO_POLLS,
  refreshed,
  type SharedBooksOptions,
  START,
  sharedBooks,
  trip,
  turns,
} from "../../testing/shared-books.ts"
import type { BreakerOptions } from "./circuit-breaker.ts"
import { type HealthBookOptions, healthBook } from "./health-book.ts"

const OPEN_MS = 1_000
const LONGEST_MS = 6_000
const LEASE_MS = 60_000
const BREAKER: BreakerOptions = {
  failures: 3,
  openMs: OPEN_MS,
  longestOpenMs: LONGEST_MS,
  probeLeaseMs: LEASE_MS,
}

describe("healthBook", () => {
  it("lets calls in at once, and refuses by breaker or cooldown, each with its time", () => {
    const { book, waitFor } = alone()
    trip(book, "a")
    expect(book.enter("a")).toEqual({ allowed: false, because: "circuit-open", until: START + OPEN_MS })
    book.cool("b", START + 500, "rate-limited")
    expect(book.enter("b")).toEqual({ allowed: false, because: "cooling-down", until: START + 500 })
    expect(admitted(book.enter("c")).isProbe).toBe(false)
    expect([book.soonest(["a", "b"]), book.soonest(["a", "b", "c"]), book.soonest([])]).toEqual([
      START + 500,
      undefined,
      undefined,
    ])
    waitFor(OPEN_MS)
    expect(admitted(book.enter("a")).isProbe).toBe(true)
  })

  it("sends no probe to what cools down", () => {
    const { book, waitFor } = alone()
    trip(book, "a")
    book.cool("a", START + 2 * OPEN_MS, "overloaded")
    waitFor(OPEN_MS)
    expect(book.enter("a")).toMatchObject({ because: "cooling-down" })
    book.warm("a")
    expect(admitted(book.enter("a")).isProbe).toBe(true)
  })

  it("says how each target is", () => {
    const { book, waitFor } = alone()
    trip(book, "a")
    book.cool("b", START + 500, "rate-limited")
    expect(["a", "b", "c"].map((key) => book.report(key))).toEqual([
      { breaker: "open", until: START + OPEN_MS },
      { breaker: "closed", coolingUntil: START + 500, because: "rate-limited" },
      { breaker: "closed" },
    ])
    waitFor(OPEN_MS)
    expect(book.report("a")).toEqual({ breaker: "half-open" })
    expect(book.breakerOf("a").state()).toBe("half-open")
  })

  it("takes no setting that is wrong", () => {
    expect(() => healthBook({ pollMs: 0 })).toThrow(/^health\.pollMs: /)
    expect(() => healthBook({ probeLeaveMs: -1 })).toThrow(/^health\.probeLeaveMs: /)
    expect(() => healthBook({ breaker: { failures: -1 } })).toThrow(/^breaker\.failures: /)
  })
})

describe("books that share a store", () => {
  it("learn of an opening, though their clocks differ, and one of them sends the probe", async () => {
    const { books, waitFor } = shared({ skewsMs: [0, -7_000, 90_000] })
    const [one, two, three] = books
    trip(one, "a")
    await turns()
    await refreshed(books)
    for (const book of books) expect(book.enter("a")).toMatchObject({ because: "circuit-open" })
    waitFor(OPEN_MS)
    const entries = await Promise.all([two.enter("a"), three.enter("a"), one.enter("a"), two.enter("a")])
    expect(entries.map(({ allowed }) => allowed)).toEqual([true, false, false, false])
    admitted(entries[0]).ended("well")
    await turns()
    await refreshed(books)
    for (const book of books) expect(admitted(book.enter("a")).isProbe).toBe(false)
  })

  it("double the time of an opening whoever sends the probe", async () => {
    const { books, waitFor, store } = shared()
    trip(books[0], "a")
    await turns()
    const waits: (number | undefined)[] = []
    for (const turn of [0, 1, 2, 0]) {
      await refreshed(books)
      const { openForMs } = (await store.changesSince(0)).circuits[0] ?? {}
      waits.push(openForMs)
      waitFor(openForMs ?? 0)
      admitted(await books[turn as 0].enter("a")).ended("badly")
      await turns()
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 6_000])
  })

  it("count together even where one has not heard the latest", async () => {
    const { books, waitFor, store } = shared()
    const [one, two] = books
    trip(one, "a")
    await turns()
    await two.refresh()
    waitFor(OPEN_MS)
    admitted(await one.enter("a")).ended("badly")
    await turns()
    waitFor(2 * OPEN_MS)
    // It knows of no failed probe yet; asking for the place it learns of it, and asks again.
    admitted(await two.enter("a")).ended("badly")
    await turns()
    expect((await store.changesSince(0)).circuits).toMatchObject([{ failedProbes: 2, openForMs: 4_000 }])
  })

  it("close when they ask for the probe and another's has answered", async () => {
    const { books, waitFor } = shared()
    const [one, two] = books
    trip(one, "a")
    await turns()
    await two.refresh()
    waitFor(OPEN_MS)
    admitted(await one.enter("a")).ended("well")
    await turns()
    expect(admitted(await two.enter("a")).isProbe).toBe(false)
    expect(two.report("a").breaker).toBe("closed")
  })

  it("lose no news that come while a step is under way", async () => {
    const { books, waitFor, store, clock } = shared()
    const [one] = books
    let goOn = () => {}
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const claimLate: HealthStore["claimProbe"] = async (key, wish) => {
      const answer = await store.claimProbe(key, wish)
      await gate
      return answer
    }
    const late = healthBook({
      breaker: BREAKER,
      store: { ...store, claimProbe: claimLate },
      now: clock,
      pollMs: NO_POLLS,
    })
    trip(one, "a")
    await turns()
    await late.refresh()
    waitFor(OPEN_MS)
    const probe = admitted(await one.enter("a"))
    const entering = late.enter("a")
    await turns()
    probe.ended("well")
    await turns()
    await late.refresh()
    goOn()
    // Its claim was refused for the sake of a probe that has ended well since.
    expect(admitted(await entering).isProbe).toBe(false)
    expect(late.report("a")).toEqual({ breaker: "closed" })
    late.end()
  })

  it("give the place of a lost probe to one of the others", async () => {
    const { books, waitFor } = shared()
    const [one, two, three] = books
    trip(one, "a")
    await turns()
    await refreshed(books)
    waitFor(OPEN_MS)
    const lost = admitted(await one.enter("a"))
    expect(await two.enter("a")).toMatchObject({ allowed: false })
    waitFor(LEASE_MS)
    const entries = await Promise.all([three.enter("a"), two.enter("a")])
    expect(entries.filter(({ allowed }) => allowed)).toHaveLength(1)
    lost.ended("well")
    await turns()
    expect(two.report("a").breaker).toBe("half-open")
    expect(await two.enter("a")).toMatchObject({ allowed: false })
  })

  it("hand the place on when a probe says nothing", async () => {
    const { books, waitFor } = shared()
    const [one, two] = books
    trip(one, "a")
    await turns()
    await refreshed(books)
    waitFor(OPEN_MS)
    admitted(await one.enter("a")).ended("neither")
    await turns()
    await refreshed(books)
    expect(admitted(await two.enter("a")).isProbe).toBe(true)
  })

  it("do not open by what one found out before another found it well", async () => {
    const { books, waitFor } = shared()
    const [one, two] = books
    const early = [0, 1, 2].map(() => admitted(two.enter("a")))
    await turns()
    trip(one, "a")
    await turns()
    waitFor(OPEN_MS)
    admitted(await one.enter("a")).ended("well")
    await turns()
    for (const call of early) call.ended("badly")
    expect(two.report("a").breaker).toBe("open")
    await turns()
    await refreshed(books)
    expect(books.map((book) => book.report("a").breaker)).toEqual(["closed", "closed", "closed"])
  })

  it("share cooldowns, and their end", async () => {
    const { books } = shared({ skewsMs: [0, 5_000, -5_000] })
    const [one, two, three] = books
    one.cool("a", START + 20_000, "rate-limited")
    await turns()
    await refreshed(books)
    expect(two.report("a")).toEqual({
      breaker: "closed",
      coolingUntil: START + 25_000,
      because: "rate-limited",
    })
    three.cool("a", START - 5_000 + 10_000, "overloaded")
    await turns()
    await refreshed(books)
    expect(one.report("a")).toMatchObject({ coolingUntil: START + 20_000, because: "rate-limited" })
    two.warm("a")
    await turns()
    await refreshed(books)
    expect(books.map((book) => book.report("a"))).toEqual(books.map(() => ({ breaker: "closed" })))
  })

  it("tell the store of a cooldown that hardly grew only once", async () => {
    const { books, asked } = shared()
    for (let ms = 0; ms < 1_000; ms += 100) books[0].cool("a", START + 20_000 + ms, "rate-limited")
    await turns()
    expect(asked.filter((step) => step === "cool")).toHaveLength(1)
  })

  it("go on alone while the store is away, and say so once until it is back", async () => {
    const { books, waitFor, lineIs, problems, clock } = shared()
    const [one, two] = books
    admitted(one.enter("a")).ended("well")
    await turns()
    lineIs("away")
    trip(one, "a")
    trip(two, "a")
    await turns()
    for (let refresh = 0; refresh < 3; refresh++) await one.refresh()
    expect(problems.filter((problem) => problem.startsWith("0"))).toEqual([
      '0 The shared health "fake" is not available: it is away. This process goes on with what it knows.',
    ])
    waitFor(OPEN_MS)
    const probes = await Promise.all([one.enter("a"), two.enter("a"), one.enter("a")])
    expect(probes.map(({ allowed }) => allowed)).toEqual([true, true, false])
    admitted(probes[0]).ended("well")
    admitted(probes[1]).ended("badly")
    expect([one.report("a").breaker, two.report("a").breaker]).toEqual(["closed", "open"])
    expect(two.report("a").until).toBe(clock() + 2 * OPEN_MS)
    await turns()
    lineIs("well")
    await refreshed(books)
    // What was told first counts.
    expect([one.report("a").breaker, two.report("a").breaker]).toEqual(["closed", "closed"])
    lineIs("away")
    await one.refresh()
    expect(problems.filter((problem) => problem.startsWith("0"))).toHaveLength(2)
  })

  it("tell what a probe found that was sent while the store was away", async () => {
    const { books, waitFor, lineIs } = shared()
    const [one, two] = books
    trip(one, "a")
    await turns()
    await refreshed(books)
    waitFor(OPEN_MS)
    lineIs("away")
    const probe = admitted(await one.enter("a"))
    lineIs("well")
    probe.ended("well")
    await turns()
    await two.refresh()
    expect([one, two].map((book) => book.report("a").breaker)).toEqual(["closed", "closed"])
  })

  it.for(["away", "deaf"] as const)(
    "tell how a probe ended once the store hears it that was %s",
    async (line) => {
      const { books, waitFor, lineIs } = shared()
      const [one, two] = books
      trip(one, "a")
      await turns()
      await refreshed(books)
      waitFor(OPEN_MS)
      const probe = admitted(await one.enter("a"))
      await two.refresh()
      lineIs(line)
      probe.ended("well")
      await turns()
      expect(two.report("a")).toMatchObject({ breaker: "half-open", until: START + OPEN_MS + LEASE_MS })
      lineIs("well")
      await one.refresh()
      await two.refresh()
      expect([one, two].map((book) => book.report("a"))).toEqual([
        { breaker: "closed" },
        { breaker: "closed" },
      ])
    },
  )

  it("take their own claim for no news where its answer was lost", async () => {
    const { books, waitFor, lineIs } = shared()
    const [one, two] = books
    trip(one, "a")
    await turns()
    await refreshed(books)
    const changes: BreakerChange[] = []
    one.onChange((change) => void changes.push(change))
    waitFor(OPEN_MS)
    lineIs("deaf")
    const probe = admitted(await one.enter("a"))
    lineIs("well")
    await one.refresh()
    expect(one.enter("a")).toMatchObject({ allowed: false })
    expect(await two.enter("a")).toMatchObject({ allowed: false })
    lineIs("away")
    probe.ended("well")
    await turns()
    lineIs("well")
    await one.refresh()
    expect(changes.map(({ because }) => because)).toEqual(["probe-sent", "probe-answered"])
    await two.refresh()
    expect(two.report("a")).toEqual({ breaker: "closed" })
  })

  it("are not kept out by a place of their own that the store has not heard the end of", async () => {
    const { books, waitFor, lineIs } = shared()
    const [one, two] = books
    trip(one, "a")
    await turns()
    waitFor(OPEN_MS)
    const probe = admitted(await one.enter("a"))
    lineIs("away")
    probe.ended("badly")
    await turns()
    waitFor(2 * OPEN_MS)
    const next = admitted(await one.enter("a"))
    expect(next.isProbe).toBe(true)
    lineIs("well")
    next.ended("well")
    await turns()
    await two.refresh()
    expect([one, two].map((book) => book.report("a"))).toEqual([{ breaker: "closed" }, { breaker: "closed" }])
  })

  it("say how their last probe ended before they ask for the next", async () => {
    const { books, waitFor, lineIs, asked } = shared()
    const [one, two] = books
    trip(one, "a")
    await turns()
    waitFor(OPEN_MS)
    const probe = admitted(await one.enter("a"))
    lineIs("away")
    probe.ended("badly")
    await turns()
    lineIs("well")
    waitFor(2 * OPEN_MS)
    asked.length = 0
    expect(admitted(await one.enter("a")).isProbe).toBe(true)
    expect(asked).toEqual(["ended", "claim"])
    await two.refresh()
    expect(await two.enter("a")).toMatchObject({ allowed: false })
  })

  it("hear no lost probe after another one has found out", async () => {
    const { books, waitFor } = shared()
    const [one, two] = books
    trip(one, "a")
    await turns()
    await refreshed(books)
    waitFor(OPEN_MS)
    const lost = admitted(await one.enter("a"))
    waitFor(LEASE_MS)
    admitted(await two.enter("a")).ended("well")
    await turns()
    await one.refresh()
    lost.ended("badly")
    await turns()
    await refreshed(books)
    expect([one, two].map((book) => book.report("a").breaker)).toEqual(["closed", "closed"])
  })

  it("go by what they found out themselves as long as they cannot tell", async () => {
    const { books, store, waitFor, clock } = shared()
    const [one] = books
    const isCut = () => Promise.reject(new Error("it is away"))
    const claimProbe: HealthStore["claimProbe"] = (...args) => store.claimProbe(...args).then(isCut)
    const cut: HealthStore = { ...store, claimProbe, probeEnded: isCut, cool: isCut }
    const book = healthBook({ breaker: BREAKER, store: cut, now: clock, random: () => 0.5, pollMs: NO_POLLS })
    trip(one, "a")
    one.cool("b", START + 60_000, "overloaded")
    one.warm("b")
    await turns()
    await book.refresh()
    waitFor(OPEN_MS)
    admitted(await book.enter("a")).ended("well")
    book.cool("b", START + 60_000, "rate-limited")
    one.cool("b", START + 30_000, "overloaded")
    await turns()
    one.warm("b")
    await turns()
    await book.refresh()
    expect(book.report("a")).toEqual({ breaker: "closed" })
    expect(book.report("b")).toMatchObject({ coolingUntil: START + 60_000, because: "rate-limited" })
    book.end()
  })

  it("tell again of a pause and of its end that the store did not hear of", async () => {
    const { books, lineIs, asked, waitFor } = shared()
    const [one, two] = books
    lineIs("away")
    one.cool("a", START + 20_000, "rate-limited")
    one.cool("b", START + 1_000, "overloaded")
    await turns()
    waitFor(1_000)
    lineIs("well")
    await one.refresh()
    await two.refresh()
    expect(two.report("a")).toMatchObject({ coolingUntil: START + 20_000, because: "rate-limited" })
    // It is over, and is told to nobody.
    expect(asked.filter((step) => step === "cool")).toHaveLength(3)
    lineIs("away")
    two.warm("a")
    await turns()
    lineIs("well")
    await two.refresh()
    await one.refresh()
    expect([one, two].map((book) => book.report("a"))).toEqual([{ breaker: "closed" }, { breaker: "closed" }])
  })

  it("take no pause that is long over for one that was called off", async () => {
    const { books, store, waitFor, lineIs } = shared()
    const [one, two] = books
    await store.cool("a", 1_000, "overloaded")
    waitFor(1_000)
    one.cool("a", START + 30_000, "rate-limited")
    lineIs("away")
    two.cool("a", START + 30_000, "rate-limited")
    await turns()
    lineIs("well")
    await refreshed(books)
    for (const book of [one, two]) expect(book.report("a")).toMatchObject({ because: "rate-limited" })
  })

  it("keep a pause that they are about to tell of, though an older one was called off", async () => {
    const { books, itself } = shared()
    const [one] = books
    await itself.cool("a", 60_000, "overloaded")
    await itself.warm("a")
    one.cool("a", START + 30_000, "rate-limited")
    await one.refresh()
    await turns()
    expect(one.report("a")).toMatchObject({ coolingUntil: START + 30_000, because: "rate-limited" })
  })

  it("keep no target shut for longer than was said when a clock is set back", async () => {
    const { books, waitFor, setClock, clock } = shared()
    const [one, two] = books
    trip(one, "a")
    one.cool("b", START + 1_000, "rate-limited")
    await turns()
    await two.refresh()
    for (const book of [0, 1]) setClock(book, -3_600_000)
    const by = clock() - 3_600_000
    for (const book of [one, two]) {
      expect(book.report("a").until).toBe(by + OPEN_MS)
      expect(book.report("b").coolingUntil).toBe(by + 1_000)
    }
    // And others still hear of what it learns.
    one.cool("b", by + 20_000, "quota-exhausted")
    await turns()
    await two.refresh()
    expect(two.report("b").because).toBe("quota-exhausted")
    waitFor(OPEN_MS)
    expect(admitted(await one.enter("a")).isProbe).toBe(true)
  })

  it("hear nothing after their end, and say only how their probe ended", async () => {
    const { books, waitFor, asked } = shared()
    const [one, two] = books
    trip(one, "a")
    await turns()
    await refreshed(books)
    waitFor(OPEN_MS)
    const probe = admitted(await one.enter("a"))
    one.end()
    asked.length = 0
    one.cool("b", START + 60_000, "rate-limited")
    trip(one, "c")
    await turns()
    expect(asked).toEqual([])
    probe.ended("well")
    await turns()
    await two.refresh()
    expect(two.report("a").breaker).toBe("closed")
  })
})

describe("a book whose store is slow", () => {
  beforeEach(() => void vi.useFakeTimers({ now: START }))
  afterEach(() => void vi.useRealTimers())

  it("lets nobody wait longer than a tenth of a second, and gives back a place that comes later", async () => {
    const { books, waitFor, answersAfter } = slow()
    const [one, two] = books
    trip(one, "a")
    await turns()
    await two.refresh()
    waitFor(OPEN_MS)
    answersAfter(300)
    const entering = one.enter("a")
    await vi.advanceTimersByTimeAsync(100)
    expect(await entering).toEqual({
      allowed: false,
      because: "circuit-open",
      until: START + OPEN_MS + 100,
    })
    // Nobody else asks for it meanwhile.
    expect(one.enter("a")).toMatchObject({ allowed: false })
    await vi.advanceTimersByTimeAsync(500)
    answersAfter(0)
    await two.refresh()
    expect(admitted(await two.enter("a")).isProbe).toBe(true)
  })

  it("lets the next one wait as long as it takes, so that somebody finds out", async () => {
    const { books, waitFor, answersAfter } = slow()
    const [one] = books
    trip(one, "a")
    await turns()
    waitFor(OPEN_MS)
    answersAfter(150)
    void one.enter("a")
    await vi.advanceTimersByTimeAsync(500)
    const entering = one.enter("a")
    await vi.advanceTimersByTimeAsync(150)
    const probe = admitted(await entering)
    probe.ended("badly")
    await vi.advanceTimersByTimeAsync(150)
    waitFor(2 * OPEN_MS)
    // And the one after it does not.
    const next = one.enter("a")
    await vi.advanceTimersByTimeAsync(100)
    expect(await next).toMatchObject({ allowed: false })
  })

  /** Its answers come after so long, by the timers. */
  function slow() {
    let afterMs = 0
    const underWay = async (what: string) => {
      if (what.endsWith("asked") || afterMs === 0) return
      await new Promise((resolve) => setTimeout(resolve, afterMs))
    }
    return {
      ...shared({ underWay }),
      answersAfter: (ms: number) => {
        afterMs = ms
      },
    }
  }
})

describe("a book asks what is new", () => {
  beforeEach(() => void vi.useFakeTimers({ now: START }))
  afterEach(() => void vi.useRealTimers())

  it("at its first call, while calls go on, and five seconds longer; and keeps no program alive", async () => {
    const timers = vi.spyOn(globalThis, "setTimeout")
    const asked: string[] = []
    const book = healthBook({ store: spied(asked), breaker: BREAKER })
    expect(vi.getTimerCount()).toBe(0)
    const call = admitted(book.enter("a"))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(asked).toHaveLength(41)
    call.ended("well")
    await vi.advanceTimersByTimeAsync(4_750)
    expect(asked).toHaveLength(60)
    await vi.advanceTimersByTimeAsync(10_000)
    expect([asked.length, vi.getTimerCount()]).toEqual([61, 0])
    expect(timers.mock.results.some(({ value }) => (value as NodeJS.Timeout).hasRef())).toBe(false)
    admitted(book.enter("a"))
    await vi.advanceTimersByTimeAsync(0)
    expect(asked).toHaveLength(62)
    book.end()
    expect(vi.getTimerCount()).toBe(0)
  })

  it("while it refuses everybody", async () => {
    const asked: string[] = []
    const book = healthBook({ store: spied(asked), breaker: { failures: 3, openMs: 60_000 } })
    trip(book, "a")
    book.cool("b", START + 60_000, "rate-limited")
    for (const key of ["a", "b"]) {
      asked.length = 0
      for (let second = 0; second < 10; second++) {
        await vi.advanceTimersByTimeAsync(1_000)
        expect(book.enter(key)).toMatchObject({ allowed: false })
      }
      expect(asked).toHaveLength(40)
    }
    book.end()
  })

  it.for([
    ["while it is in use", false, ["changes", "ended"]],
    ["after its end", true, ["ended"]],
  ] as const)("until it has told how its probe ended, %s", async ([, hasEnded, expected]) => {
    const { book, asked, lineIs } = deafTo()
    trip(book, "a")
    await vi.advanceTimersByTimeAsync(2 * OPEN_MS)
    lineIs("away")
    admitted(await book.enter("a")).ended("well")
    if (hasEnded) book.end()
    await vi.advanceTimersByTimeAsync(20_000)
    lineIs("well")
    asked.length = 0
    await vi.advanceTimersByTimeAsync(250)
    expect(asked).toEqual(expected)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("no longer than a probe's lease for the sake of an end that cannot be told", async () => {
    const { book, lineIs } = deafTo()
    trip(book, "a")
    await vi.advanceTimersByTimeAsync(2 * OPEN_MS)
    lineIs("away")
    admitted(await book.enter("a")).ended("well")
    await vi.advanceTimersByTimeAsync(LEASE_MS + 250)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("not for ever for the sake of a call that never ends", async () => {
    const book = healthBook({ store: memoryHealth(Date.now), breaker: BREAKER })
    admitted(book.enter("a"))
    await vi.advanceTimersByTimeAsync(LEASE_MS + 250)
    expect(vi.getTimerCount()).toBe(0)
  })
})

function alone(options: HealthBookOptions = {}) {
  let at = START
  const book = healthBook({ breaker: BREAKER, now: () => at, random: () => 0.5, ...options })
  return {
    book,
    waitFor: (ms: number) => {
      at += ms
    },
  }
}

function shared(options: Partial<SharedBooksOptions> = {}) {
  return sharedBooks({ breaker: BREAKER, ...options })
}

/** By the clock of the timers. */
function spied(asked: string[]): HealthStore {
  const store = memoryHealth(Date.now)
  return {
    ...store,
    changesSince: (since) => {
      asked.push("changes")
      return store.changesSince(since)
    },
  }
}

/** A book that asks what is new, and a store that may not hear how a probe ended. */
function deafTo() {
  const asked: string[] = []
  let line: Line = "well"
  const store = spied(asked)
  const probeEnded: HealthStore["probeEnded"] = (key, end) => {
    asked.push("ended")
    return line === "well" ? store.probeEnded(key, end) : Promise.reject(new Error("it is away"))
  }
  return {
    book: healthBook({ store: { ...store, probeEnded }, breaker: BREAKER }),
    asked,
    lineIs: (now: Line) => {
      line = now
    },
  }
}

import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type {
  BreakerCall,
  BreakerChange,
  CallEnding,
  HealthEntry,
  HealthStore,
  SharedCircuit,
  SharedCooldown,
  SharedStep,
} from "../../spec/health.ts"
import { must } from "../../testing/contract.ts"
import type { BreakerOptions } from "./circuit-breaker.ts"
import { type HealthBook, type HealthBookOptions, healthBook } from "./health-book.ts"

const START = Date.UTC(2026, 0, 15, 12)
const OPEN_MS = 1_000
const LONGEST_MS = 6_000
const LEASE_MS = 60_000
const BREAKER: BreakerOptions = {
  failures: 3,
  openMs: OPEN_MS,
  longestOpenMs: LONGEST_MS,
  probeLeaseMs: LEASE_MS,
}
/** Nobody asks in the background. */
const NO_POLLS = 2 ** 31 - 1

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
    expect(() => healthBook({ breaker: { failures: -1 } })).toThrow(/^breaker\.failures: /)
  })
})

describe("books that share a store", () => {
  it("learn of an opening, though their clocks differ, and one of them sends the probe", async () => {
    const { books, waitFor, settled } = shared({ skewsMs: [0, -7_000, 90_000] })
    const [one, two, three] = books
    trip(one, "a")
    await settled()
    await refreshed(books)
    for (const book of books) expect(book.enter("a")).toMatchObject({ because: "circuit-open" })
    waitFor(OPEN_MS)
    const entries = await Promise.all([two.enter("a"), three.enter("a"), one.enter("a"), two.enter("a")])
    expect(entries.map(({ allowed }) => allowed)).toEqual([true, false, false, false])
    admitted(entries[0]).ended("well")
    await settled()
    await refreshed(books)
    for (const book of books) expect(admitted(book.enter("a")).isProbe).toBe(false)
  })

  it("double the time of an opening whoever sends the probe", async () => {
    const { books, waitFor, settled, store } = shared()
    trip(books[0], "a")
    await settled()
    const waits: (number | undefined)[] = []
    for (const turn of [0, 1, 2, 0]) {
      await refreshed(books)
      const { openForMs } = (await store.changesSince(0)).circuits[0] ?? {}
      waits.push(openForMs)
      waitFor(openForMs ?? 0)
      admitted(await books[turn as 0].enter("a")).ended("badly")
      await settled()
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 6_000])
  })

  it("count together even where one has not heard the latest", async () => {
    const { books, waitFor, settled, store } = shared()
    const [one, two] = books
    trip(one, "a")
    await settled()
    await two.refresh()
    waitFor(OPEN_MS)
    admitted(await one.enter("a")).ended("badly")
    await settled()
    waitFor(2 * OPEN_MS)
    // It knows of no failed probe yet; asking for the place it learns of it, and asks again.
    admitted(await two.enter("a")).ended("badly")
    await settled()
    expect((await store.changesSince(0)).circuits).toMatchObject([{ failedProbes: 2, openForMs: 4_000 }])
  })

  it("close when they ask for the probe and another's has answered", async () => {
    const { books, waitFor, settled } = shared()
    const [one, two] = books
    trip(one, "a")
    await settled()
    await two.refresh()
    waitFor(OPEN_MS)
    admitted(await one.enter("a")).ended("well")
    await settled()
    expect(admitted(await two.enter("a")).isProbe).toBe(false)
    expect(two.report("a").breaker).toBe("closed")
  })

  it("lose no news that come while a step is under way", async () => {
    const { books, waitFor, settled, store, clock } = shared()
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
    await settled()
    await late.refresh()
    waitFor(OPEN_MS)
    const probe = admitted(await one.enter("a"))
    const entering = late.enter("a")
    await settled()
    probe.ended("well")
    await settled()
    await late.refresh()
    goOn()
    // Its claim was refused for the sake of a probe that has ended well since.
    expect(admitted(await entering).isProbe).toBe(false)
    expect(late.report("a")).toEqual({ breaker: "closed" })
    late.end()
  })

  it("give the place of a lost probe to one of the others", async () => {
    const { books, waitFor, settled } = shared()
    const [one, two, three] = books
    trip(one, "a")
    await settled()
    await refreshed(books)
    waitFor(OPEN_MS)
    const lost = admitted(await one.enter("a"))
    expect(await two.enter("a")).toMatchObject({ allowed: false })
    waitFor(LEASE_MS)
    const entries = await Promise.all([three.enter("a"), two.enter("a")])
    expect(entries.filter(({ allowed }) => allowed)).toHaveLength(1)
    lost.ended("well")
    await settled()
    expect(two.report("a").breaker).toBe("half-open")
    expect(await two.enter("a")).toMatchObject({ allowed: false })
  })

  it("hand the place on when a probe says nothing", async () => {
    const { books, waitFor, settled } = shared()
    const [one, two] = books
    trip(one, "a")
    await settled()
    await refreshed(books)
    waitFor(OPEN_MS)
    admitted(await one.enter("a")).ended("neither")
    await settled()
    await refreshed(books)
    expect(admitted(await two.enter("a")).isProbe).toBe(true)
  })

  it("do not open by what one found out before another found it well", async () => {
    const { books, waitFor, settled } = shared()
    const [one, two] = books
    const early = [0, 1, 2].map(() => admitted(two.enter("a")))
    await settled()
    trip(one, "a")
    await settled()
    waitFor(OPEN_MS)
    admitted(await one.enter("a")).ended("well")
    await settled()
    for (const call of early) call.ended("badly")
    expect(two.report("a").breaker).toBe("open")
    await settled()
    await refreshed(books)
    expect(books.map((book) => book.report("a").breaker)).toEqual(["closed", "closed", "closed"])
  })

  it("share cooldowns, and their end", async () => {
    const { books, settled } = shared({ skewsMs: [0, 5_000, -5_000] })
    const [one, two, three] = books
    one.cool("a", START + 20_000, "rate-limited")
    await settled()
    await refreshed(books)
    expect(two.report("a")).toEqual({
      breaker: "closed",
      coolingUntil: START + 25_000,
      because: "rate-limited",
    })
    three.cool("a", START - 5_000 + 10_000, "overloaded")
    await settled()
    await refreshed(books)
    expect(one.report("a")).toMatchObject({ coolingUntil: START + 20_000, because: "rate-limited" })
    two.warm("a")
    await settled()
    await refreshed(books)
    expect(books.map((book) => book.report("a"))).toEqual(books.map(() => ({ breaker: "closed" })))
  })

  it("tell the store of a cooldown that hardly grew only once", async () => {
    const { books, settled, asked } = shared()
    for (let ms = 0; ms < 1_000; ms += 100) books[0].cool("a", START + 20_000 + ms, "rate-limited")
    await settled()
    expect(asked.filter((step) => step === "cool")).toHaveLength(1)
  })

  it("go on alone while the store is away, and say so once until it is back", async () => {
    const { books, waitFor, settled, setAway, problems, clock } = shared()
    const [one, two] = books
    admitted(one.enter("a")).ended("well")
    await settled()
    setAway(true)
    trip(one, "a")
    trip(two, "a")
    await settled()
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
    await settled()
    setAway(false)
    await refreshed(books)
    setAway(true)
    await one.refresh()
    expect(problems.filter((problem) => problem.startsWith("0"))).toHaveLength(2)
    expect(two.report("a").until).toBe(clock() + 2 * OPEN_MS)
  })

  it("tell what a probe found that was sent while the store was away", async () => {
    const { books, waitFor, settled, setAway } = shared()
    const [one, two] = books
    trip(one, "a")
    await settled()
    await refreshed(books)
    waitFor(OPEN_MS)
    setAway(true)
    const probe = admitted(await one.enter("a"))
    setAway(false)
    probe.ended("well")
    await settled()
    await two.refresh()
    expect([one, two].map((book) => book.report("a").breaker)).toEqual(["closed", "closed"])
  })

  it("hear nothing after their end, and say only how their probe ended", async () => {
    const { books, waitFor, settled, asked } = shared()
    const [one, two] = books
    trip(one, "a")
    await settled()
    await refreshed(books)
    waitFor(OPEN_MS)
    const probe = admitted(await one.enter("a"))
    one.end()
    asked.length = 0
    one.cool("b", START + 60_000, "rate-limited")
    trip(one, "c")
    await settled()
    expect(asked).toEqual([])
    probe.ended("well")
    await settled()
    await two.refresh()
    expect(two.report("a").breaker).toBe("closed")
  })
})

describe("a book asks what is new", () => {
  beforeEach(() => void vi.useFakeTimers({ now: START }))
  afterEach(() => void vi.useRealTimers())

  it("at its first call, while calls go on, and five seconds longer; and keeps no program alive", async () => {
    const timers = vi.spyOn(globalThis, "setTimeout")
    const asked: string[] = []
    const book = healthBook({ store: memoryHealth({ now: Date.now, asked }), breaker: BREAKER })
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

  it("not for ever for the sake of a call that never ends", async () => {
    const book = healthBook({ store: memoryHealth({ now: Date.now }), breaker: BREAKER })
    admitted(book.enter("a"))
    await vi.advanceTimersByTimeAsync(LEASE_MS + 250)
    expect(vi.getTimerCount()).toBe(0)
  })
})

/** A step of the world: what a caller, the time or a line to the store does next. */
type Step = (world: World) => void | Promise<void>

/** Three books whose questions and answers are under way for as long as the scheduler likes. */
class World {
  isDead = true
  readonly pending: { readonly call: BreakerCall; readonly book: number }[] = []
  readonly probes = new Set<BreakerCall>()
  readonly entering = new Set<Promise<unknown>>()
  readonly changes: BreakerChange[][] = [[], [], []]
  readonly made: ReturnType<typeof shared>
  readonly scheduler: fc.Scheduler
  openings = 0

  constructor(scheduler: fc.Scheduler) {
    this.scheduler = scheduler
    this.made = shared({
      skewsMs: [0, -3_000, 5_000],
      scheduler,
      // No probe is ever lost here: then two at once are one too many.
      breaker: { ...BREAKER, probeLeaseMs: 10 ** 9 },
    })
    for (const [index, book] of this.made.books.entries()) {
      book.onChange((change) => {
        this.changes[index]?.push(change)
        if (change.because === "tripped") this.openings++
      })
    }
  }

  get books() {
    return this.made.books
  }

  enter(book: number): void {
    const entered = this.books[book as 0].enter("a")
    if (!(entered instanceof Promise)) {
      this.seen(book, entered)
      return
    }
    const entering = entered.then((entry) => this.seen(book, entry))
    this.entering.add(entering)
    void entering.finally(() => this.entering.delete(entering))
  }

  seen(book: number, entry: HealthEntry): void {
    if (!entry.allowed) return
    if (entry.call.isProbe) {
      this.probes.add(entry.call)
      must(this.probes.size === 1, `${this.probes.size} probes at once`)
    }
    this.pending.push({ call: entry.call, book })
  }

  end(nth: number, how: CallEnding = this.isDead ? "badly" : "well"): void {
    const [ended] = this.pending.splice(nth % Math.max(1, this.pending.length), 1)
    if (ended === undefined) return
    this.probes.delete(ended.call)
    ended.call.ended(how)
  }

  /** Also what the store finds wrong. */
  mustHaveNoProblem(): void {
    const [problem] = this.made.problems
    must(problem === undefined, `${problem}`)
  }

  /** Everything that is under way to or from the store arrives. */
  async drain(): Promise<void> {
    do {
      await this.scheduler.waitIdle()
      await turns()
    } while (this.scheduler.count() > 0)
  }

  async hearAll(): Promise<void> {
    const heard = refreshed(this.books)
    await this.drain()
    await heard
  }
}

const bookIndex = fc.nat(2)
const steps: fc.Arbitrary<Step>[] = [
  bookIndex.map((book) => (world: World) => world.enter(book)),
  bookIndex.map((book) => (world: World) => world.enter(book)),
  bookIndex.map((book) => (world: World) => {
    for (let call = 0; call < 3; call++) {
      world.enter(book)
      world.end(world.pending.length - 1)
    }
  }),
  fc.nat(20).map((nth) => (world: World) => world.end(nth)),
  fc.nat(20).map((nth) => (world: World) => world.end(nth)),
  fc.nat(20).map((nth) => (world: World) => world.end(nth, "neither")),
  fc.constantFrom(1, OPEN_MS / 2, OPEN_MS, 3 * OPEN_MS).map((ms) => (world: World) => world.made.waitFor(ms)),
  bookIndex.map((book) => (world: World) => void world.books[book as 0].refresh()),
  fc.nat(3).map((count) => async (world: World) => {
    for (let one = 0; one < count && world.scheduler.count() > 0; one++) await world.scheduler.waitOne()
    await turns()
  }),
  fc.integer({ min: 0, max: 4 }).map((dice) => (world: World) => {
    world.isDead = dice > 0
  }),
]
const stories = fc.array(fc.oneof(...steps), { maxLength: 80, size: "max" })

describe("three books over one store, in any order of calls, ends, questions and answers", () => {
  it("never send two probes at once, let nobody wait for one, and close when one ends well", async () => {
    let probed = 0
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), stories, async (scheduler, story) => {
        const world = new World(scheduler)
        for (const step of story) {
          await step(world)
          await turns()
        }
        await world.drain()
        world.mustHaveNoProblem()
        must(world.entering.size === 0, "a caller waits though the store has answered all")
        probed += world.changes.flat().filter(({ because }) => because === "probe-sent").length

        // Whatever happened: when it is well again, one probe finds out, and all are let in.
        world.isDead = false
        while (world.pending.length > 0) world.end(0, "neither")
        await world.drain()
        await world.hearAll()
        world.made.waitFor(LONGEST_MS)
        const isOpen = world.books.some((book) => book.report("a").breaker !== "closed")
        for (const book of [0, 1, 2, 0]) world.enter(book)
        await world.drain()
        if (isOpen) must(world.probes.size === 1, `${world.probes.size} probes`)
        while (world.pending.length > 0) world.end(0)
        await world.drain()
        await world.hearAll()
        world.mustHaveNoProblem()
        for (const book of world.books) {
          must(book.report("a").breaker === "closed", `${book.report("a").breaker} though it is well`)
        }
        for (const changes of world.changes) {
          for (const [index, { from }] of changes.entries()) {
            must(from === (changes[index - 1]?.to ?? "closed"), `change ${index} began as ${from}`)
          }
        }
        for (const book of world.books) book.end()
      }),
      { numRuns: 300 },
    )
    // Else nothing was tried.
    expect(probed).toBeGreaterThan(100)
  })

  it("never open by calls that their callers aborted", async () => {
    const ends = fc.array(fc.tuple(bookIndex, fc.nat(20), fc.boolean()), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), ends, async (scheduler, story) => {
        const world = new World(scheduler)
        for (const [book, nth, isEnd] of story) {
          if (isEnd) world.end(nth, "neither")
          else world.enter(book)
        }
        await world.drain()
        must(world.openings === 0, "it opened")
        for (const book of world.books) book.end()
      }),
      { numRuns: 50 },
    )
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

interface SharedOptions {
  /** How far each book's clock is ahead of the store's, ms. */
  readonly skewsMs?: readonly [number, number, number]
  readonly scheduler?: fc.Scheduler
  readonly breaker?: BreakerOptions
}

function shared({ skewsMs = [0, 0, 0], scheduler, breaker = BREAKER }: SharedOptions = {}) {
  let at = START
  let isAway = false
  let probes = 0
  const asked: string[] = []
  const problems: string[] = []
  const store = memoryHealth({ now: () => at, asked, isAway: () => isAway, scheduler })
  const bookWith = (skewMs: number, index: number) =>
    healthBook({
      breaker,
      store,
      now: () => at + skewMs,
      random: () => 0.5,
      newId: () => `probe-${probes++}`,
      pollMs: NO_POLLS,
      onProblem: ({ message }) => void problems.push(`${index} ${message}`),
    })
  const [first, second, third] = skewsMs
  const books = [bookWith(first, 0), bookWith(second, 1), bookWith(third, 2)] as const
  return {
    books,
    store,
    asked,
    problems,
    clock: () => at,
    settled: turns,
    setAway: (to: boolean) => {
      isAway = to
    },
    waitFor: (ms: number) => {
      at += ms
    },
  }
}

/** Lets all promises go on that can. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve()
}

async function refreshed(books: readonly HealthBook[]): Promise<void> {
  await Promise.all(books.map((book) => book.refresh()))
}

function trip(book: HealthBook, key: string): void {
  for (let call = 0; call < 3; call++) admitted(book.enter(key)).ended("badly")
}

function admitted(entry: HealthEntry | Promise<HealthEntry> | undefined): BreakerCall {
  if (entry === undefined || entry instanceof Promise || !entry.allowed) {
    throw new Error(`not let in: ${JSON.stringify(entry)}`)
  }
  return entry.call
}

interface MemoryHealthOptions {
  readonly now: () => number
  /** Gets the name of each step. */
  readonly asked?: string[]
  readonly isAway?: () => boolean
  /** When questions arrive, and answers. Default: at once. */
  readonly scheduler?: fc.Scheduler | undefined
}

interface Circuit {
  readonly version: number
  readonly state: "open" | "closed"
  readonly openUntil: number
  readonly failedProbes: number
  readonly probeUntil: number
  readonly probe: string
}

/** What every store does, in one process. */
function memoryHealth({ now, asked = [], isAway, scheduler }: MemoryHealthOptions): HealthStore {
  const circuits = new Map<string, Circuit>()
  const pauses = new Map<string, { version: number; until: number; because: string }>()
  let version = 0

  async function step<T>(name: string, take: () => T): Promise<T> {
    asked.push(name)
    await scheduler?.schedule(Promise.resolve(), `${name} asked`)
    if (isAway?.() === true) throw new Error("it is away")
    const answer = take()
    await scheduler?.schedule(Promise.resolve(), `${name} answered`)
    return answer
  }

  const shown = (key: string, circuit: Circuit): SharedCircuit => ({
    key,
    version: circuit.version,
    state: circuit.state,
    openForMs: Math.max(0, circuit.openUntil - now()),
    failedProbes: circuit.failedProbes,
    probeForMs: Math.max(0, circuit.probeUntil - now()),
  })
  const write = (key: string, circuit: Omit<Circuit, "version">): SharedStep => {
    const written = { ...circuit, version: ++version }
    circuits.set(key, written)
    return { done: true, circuit: shown(key, written) }
  }
  const other = (key: string, circuit: Circuit): SharedStep => ({ done: false, circuit: shown(key, circuit) })
  const isTaken = ({ openUntil, probeUntil }: Circuit) => openUntil > now() || probeUntil > now()
  const open = (openUntil: number, failedProbes: number) => ({
    state: "open" as const,
    openUntil,
    failedProbes,
    probeUntil: 0,
    probe: "",
  })
  const paused = (key: string): SharedCooldown => {
    const { version = 0, until = 0, because = "" } = pauses.get(key) ?? {}
    return { key, version, forMs: Math.max(0, until - now()), because }
  }

  return {
    name: "fake",
    tripped: (key, { known, openForMs }) =>
      step("tripped", () => {
        const circuit = circuits.get(key)
        if (circuit !== undefined && (circuit.version > known || isTaken(circuit))) return other(key, circuit)
        return write(key, open(now() + openForMs, 0))
      }),
    claimProbe: (key, { known, probe, leaseMs, failedProbes }) =>
      step("claim", () => {
        const circuit = circuits.get(key)
        if (circuit !== undefined && (circuit.version > known || isTaken(circuit))) {
          return other(key, circuit)
        }
        const before = circuit?.state === "open" ? circuit : open(now(), failedProbes)
        must(before.failedProbes === failedProbes, "the asking process counts the failed probes otherwise")
        return write(key, { ...before, probeUntil: now() + leaseMs, probe })
      }),
    probeEnded: (key, { known, probe, how, openForMs, failedProbes }) =>
      step("ended", () => {
        const circuit = circuits.get(key)
        const isNews = circuit !== undefined && circuit.version > known
        if (circuit !== undefined && circuit.probe !== probe && (isNews || circuit.probeUntil > now())) {
          return other(key, circuit)
        }
        if (how === "well") return write(key, { ...open(0, 0), state: "closed" })
        if (how === "neither") return write(key, open(circuit?.openUntil ?? now(), failedProbes))
        const expected = Math.min(OPEN_MS * 2 ** failedProbes, LONGEST_MS)
        must(openForMs <= expected, `open for ${openForMs} ms, not ${expected}`)
        must(failedProbes === (circuit?.failedProbes ?? 0) + 1, `${failedProbes} failed probes`)
        return write(key, open(now() + openForMs, failedProbes))
      }),
    cool: (key, forMs, because) =>
      step("cool", () => {
        const until = now() + forMs
        if (until > (pauses.get(key)?.until ?? 0)) pauses.set(key, { version: ++version, until, because })
        return paused(key)
      }),
    warm: (key) =>
      step("warm", () => {
        pauses.set(key, { version: ++version, until: 0, because: "" })
        return paused(key)
      }),
    changesSince: (since) =>
      step("changes", () => ({
        version,
        circuits: [...circuits]
          .filter(([, circuit]) => circuit.version > since)
          .map(([key, circuit]) => shown(key, circuit)),
        cooldowns: [...pauses.keys()].map(paused).filter((pause) => pause.version > since),
      })),
  }
}

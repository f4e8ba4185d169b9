import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { BreakerCall, BreakerChange, CallEnding, HealthEntry } from "../../spec/health.ts"
import { must } from "../../testing/contract.ts"
import { type Line, refreshed, type SharedBooks, sharedBooks, turns } from "../../testing/shared-books.ts"
import type { BreakerOptions } from "./circuit-breaker.ts"

const OPEN_MS = 1_000
const LONGEST_MS = 6_000
const LEAVE_MS = 100
const BREAKER: BreakerOptions = { failures: 3, openMs: OPEN_MS, longestOpenMs: LONGEST_MS }

/** With it, a place that is lost is lost for good. */
const NO_END_OF_LEASE_MS = 10 ** 9

interface Probe {
  readonly call: BreakerCall
  readonly book: number
  /** By the store's clock: its place is its own until then. */
  readonly until: number
}

/** A step of the world: what a caller, the time or a line to the store does next. */
type Step = (world: World) => void | Promise<void>

/** Three books whose questions and answers are under way for as long as the scheduler likes. */
class World {
  isDead = true
  /** False: the line to the store was cut, or will be, or answers are lost. */
  readonly isReliable: boolean
  readonly leaseMs: number
  readonly pending: BreakerCall[] = []
  probes: Probe[] = []
  readonly entering = new Set<Promise<unknown>>()
  readonly changes: BreakerChange[][] = [[], [], []]
  readonly made: SharedBooks
  readonly scheduler: fc.Scheduler
  openings = 0

  constructor(scheduler: fc.Scheduler, leaseMs: number, isReliable = true) {
    this.scheduler = scheduler
    this.leaseMs = leaseMs
    this.isReliable = isReliable
    this.made = sharedBooks({
      skewsMs: [0, -3_000, 5_000],
      underWay: (what) => scheduler.schedule(Promise.resolve(), what),
      breaker: { ...BREAKER, probeLeaseMs: leaseMs },
      book: { probeLeaveMs: LEAVE_MS },
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
    const until = this.made.clock() + this.leaseMs
    const entered = this.books[book as 0].enter("a")
    if (!(entered instanceof Promise)) {
      this.seen(book, entered, until)
      return
    }
    const entering = entered.then((entry) => this.seen(book, entry, until))
    this.entering.add(entering)
    void entering.finally(() => this.entering.delete(entering))
  }

  seen(book: number, entry: HealthEntry, until: number): void {
    if (!entry.allowed) return
    this.pending.push(entry.call)
    if (!entry.call.isProbe) return
    this.probes.push({ call: entry.call, book, until })
    // Where the store is away, each sends one of its own.
    const beside = this.liveProbes().filter((probe) => this.isReliable || probe.book === book)
    must(beside.length <= 1, `${beside.length} probes at once`)
  }

  liveProbes(): readonly Probe[] {
    return this.probes.filter(({ until }) => until > this.made.clock())
  }

  end(nth: number, how: CallEnding = this.isDead ? "badly" : "well"): void {
    const [ended] = this.pending.splice(nth % Math.max(1, this.pending.length), 1)
    if (ended === undefined) return
    this.probes = this.probes.filter(({ call }) => call !== ended)
    ended.ended(how)
  }

  /** Also what the books find wrong. */
  mustHaveNoProblem(): void {
    const expected = this.isReliable ? /^$/ : /not available: (it is away|its answer is lost)\./
    const problem = this.made.problems.find((problem) => !expected.test(problem))
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
  fc.constant(() => void vi.advanceTimersByTime(LEAVE_MS)),
]

const cuts = fc
  .constantFrom<Line>("well", "well", "away", "deaf")
  .map((line) => (world: World) => world.made.lineIs(line))

/** The line is cut just when a probe ends. */
const hiccups = fc.nat(20).map((nth) => async (world: World) => {
  world.made.lineIs("away")
  world.end(nth)
  await world.drain()
  world.made.lineIs("well")
})

const storiesOf = (...steps: fc.Arbitrary<Step>[]) =>
  fc.array(fc.oneof(...steps), { maxLength: 80, size: "max" })

const leases = fc.constantFrom(NO_END_OF_LEASE_MS, 2.5 * OPEN_MS)

// What a caller waits at most is up to the story.
beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }))
afterEach(() => void vi.useRealTimers())

async function happens(world: World, story: readonly Step[]): Promise<void> {
  for (const step of story) {
    await step(world)
    await turns()
  }
  await world.drain()
  world.mustHaveNoProblem()
  must(world.entering.size === 0, "a caller waits though the store has answered all")
}

/** Whatever happened: when it is well again, one probe finds out, and all are let in. */
async function mustHeal(world: World): Promise<void> {
  world.isDead = false
  world.made.lineIs("well")
  while (world.pending.length > 0) world.end(0, "neither")
  await world.drain()
  // Each tells what is untold, and then all hear it.
  await world.hearAll()
  await world.hearAll()
  world.made.waitFor(LONGEST_MS)
  const isOpen = world.books.some((book) => book.report("a").breaker !== "closed")
  for (const book of [0, 1, 2, 0]) world.enter(book)
  await world.drain()
  if (isOpen) must(world.probes.length === 1, `${world.probes.length} probes`)
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
}

describe("three books over one store, in any order of calls, ends, questions and answers", () => {
  it("never send two probes at once, let nobody wait for one, and close when one ends well", async () => {
    let probed = 0
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), leases, storiesOf(...steps), async (scheduler, leaseMs, story) => {
        const world = new World(scheduler, leaseMs)
        await happens(world, story)
        probed += world.changes.flat().filter(({ because }) => because === "probe-sent").length
        await mustHeal(world)
      }),
      { numRuns: 300 },
    )
    // Else nothing was tried.
    expect(probed).toBeGreaterThan(100)
  })

  it("lose no place for good where the store goes away, or its answers are lost", async () => {
    const stories = storiesOf(...steps, cuts, hiccups)
    let lost = 0
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), leases, stories, async (scheduler, leaseMs, story) => {
        const world = new World(scheduler, leaseMs, false)
        await happens(world, story)
        lost += world.made.problems.length
        await mustHeal(world)
      }),
      { numRuns: 300 },
    )
    expect(lost).toBeGreaterThan(100)
  })

  it("never open by calls that their callers aborted", async () => {
    const ends = fc.array(fc.tuple(bookIndex, fc.nat(20), fc.boolean()), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), ends, async (scheduler, story) => {
        const world = new World(scheduler, NO_END_OF_LEASE_MS)
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

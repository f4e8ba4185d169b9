import type { BreakerOptions } from "../dispatch/health/circuit-breaker.ts"
import { type HealthBook, type HealthBookOptions, healthBook } from "../dispatch/health/health-book.ts"
import type { BreakerCall, HealthEntry, HealthStore } from "../spec/health.ts"
import { must } from "./contract.ts"
import { memoryHealth } from "./memory-health.ts"

/** How the line to the store is: cut; or it does what it is asked, and its answers are lost. */
export type Line = "well" | "away" | "deaf"

export interface SharedBooksOptions {
  /** How far each book's clock is ahead of the store's, ms. Default none. */
  readonly skewsMs?: readonly [number, number, number]
  readonly breaker: BreakerOptions
  /** When questions arrive, and answers. Default: at once. */
  readonly underWay?: ((what: string) => Promise<unknown>) | undefined
  readonly book?: HealthBookOptions
}

export interface SharedBooks {
  readonly books: readonly [HealthBook, HealthBook, HealthBook]
  /** As they all see it, away or not. */
  readonly store: HealthStore
  /** Behind the line. */
  readonly itself: HealthStore
  /** The name of each step. */
  readonly asked: string[]
  /** What each was told of, after its number. */
  readonly problems: string[]
  /** By the store's clock. */
  readonly clock: () => number
  readonly waitFor: (ms: number) => void
  /** Sets the clock of one book, and not the store's. */
  readonly setClock: (book: number, byMs: number) => void
  readonly lineIs: (line: Line) => void
}

export const START: number = Date.UTC(2026, 0, 15, 12)

/** Nobody asks in the background. */
export const NO_POLLS: number = 2 ** 31 - 1

/** Three books over one store. */
export function sharedBooks(options: SharedBooksOptions): SharedBooks {
  const { breaker, skewsMs = [0, 0, 0], underWay } = options
  const skews = [...skewsMs]
  let at = START
  let line: Line = "well"
  let probes = 0
  const asked: string[] = []
  const problems: string[] = []
  const itself = memoryHealth(() => at)
  const store = atLine({ store: itself, line: () => line, asked, underWay })
  const bookWith = (index: number) =>
    healthBook({
      breaker,
      store,
      now: () => at + (skews[index] ?? 0),
      random: () => 0.5,
      newId: () => `probe-${probes++}`,
      pollMs: NO_POLLS,
      onProblem: ({ message }) => void problems.push(`${index} ${message}`),
      ...options.book,
    })
  return {
    books: [bookWith(0), bookWith(1), bookWith(2)],
    store,
    itself,
    asked,
    problems,
    clock: () => at,
    waitFor(ms) {
      at += ms
    },
    setClock(book, byMs) {
      skews[book] = (skews[book] ?? 0) + byMs
    },
    lineIs(now) {
      line = now
    },
  }
}

interface AtLine {
  readonly store: HealthStore
  readonly line: () => Line
  readonly asked: string[]
  readonly underWay?: ((what: string) => Promise<unknown>) | undefined
}

function atLine({ store, line, asked, underWay }: AtLine): HealthStore {
  async function step<Answer>(name: string, take: () => Promise<Answer>): Promise<Answer> {
    asked.push(name)
    await underWay?.(`${name} asked`)
    if (line() === "away") throw new Error("it is away")
    const answer = await take()
    await underWay?.(`${name} answered`)
    if (line() !== "well") throw new Error("its answer is lost")
    return answer
  }
  return {
    name: "fake",
    tripped: (...args) => step("tripped", () => store.tripped(...args)),
    claimProbe: (...args) => step("claim", () => store.claimProbe(...args)),
    probeEnded: (...args) => step("ended", () => store.probeEnded(...args)),
    cool: (...args) => step("cool", () => store.cool(...args)),
    warm: (...args) => step("warm", () => store.warm(...args)),
    changesSince: (...args) => step("changes", () => store.changesSince(...args)),
  }
}

/** Lets all promises go on that can. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await Promise.resolve()
}

export async function refreshed(books: readonly HealthBook[]): Promise<void> {
  await Promise.all(books.map((book) => book.refresh()))
}

/** With a breaker that opens by three bad calls in a row. */
export function trip(book: HealthBook, key: string): void {
  for (let call = 0; call < 3; call++) admitted(book.enter(key)).ended("badly")
}

/** @throws ContractBroken unless it was let in at once. */
export function admitted(entry: HealthEntry | Promise<HealthEntry> | undefined): BreakerCall {
  const isIn = entry !== undefined && !(entry instanceof Promise) && entry.allowed
  must(isIn, `not let in: ${JSON.stringify(entry)}`)
  return entry.call
}

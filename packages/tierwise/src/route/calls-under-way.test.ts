import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { linkedAbort } from "../dispatch/linked-abort.ts"
import { RouterClosedError } from "../spec/errors.ts"
import {
  type CallsUnderWay,
  type CallUnderWay,
  type CloseReport,
  callsUnderWay,
  SETTLE_WITHIN_MS,
} from "./calls-under-way.ts"

const abortable = () => linkedAbort(undefined)

describe("callsUnderWay", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("lets none begin once they are closed", async () => {
    const calls = callsUnderWay()
    calls.began(abortable).ended(true)
    expect(await calls.close(undefined)).toEqual({ ended: 0, cancelled: 0, stuck: 0 })
    expect(() => calls.began(abortable)).toThrow(RouterClosedError)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("waits for those under way, and keeps no timer", async () => {
    const calls = callsUnderWay()
    const [well, badly] = [calls.began(abortable), calls.began(abortable)]
    const closing = calls.close(100)
    well.ended(true)
    badly.ended(false)
    expect(await closing).toEqual({ ended: 2, cancelled: 0, stuck: 0 })
    expect(well.signal.aborted).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("cancels at the deadline, and waits until that has come to its end too", async () => {
    const calls = callsUnderWay()
    const [slow, quick] = [calls.began(abortable), calls.began(abortable)]
    const { closing, report } = watched(calls.close(100))
    vi.advanceTimersByTime(99)
    expect(slow.signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    expect(slow.signal.reason).toMatchObject({ code: "router-closed", deadlineMs: 100 })
    const own = new Error("aborted")
    expect(slow.told(own)).toBe(slow.signal.reason)
    slow.ended(false)
    await Promise.resolve()
    expect(report()).toBeUndefined()
    // Its answer came in spite of it.
    quick.ended(true)
    expect(await closing).toEqual({ ended: 1, cancelled: 1, stuck: 0 })
    expect(vi.getTimerCount()).toBe(0)
  })

  it("says how many do not end though they were cancelled", async () => {
    const calls = callsUnderWay()
    calls.began(abortable)
    const closing = calls.close(0)
    vi.advanceTimersByTime(SETTLE_WITHIN_MS + 1)
    expect(await closing).toEqual({ ended: 0, cancelled: 0, stuck: 1 })
  })

  it("has 8 seconds unless told, of which a later close without a deadline takes none", async () => {
    const calls = callsUnderWay()
    const call = calls.began(abortable)
    void calls.close(20_000)
    void calls.close(undefined)
    vi.advanceTimersByTime(19_999)
    expect(call.signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    expect(call.signal.reason).toMatchObject({ deadlineMs: 20_000 })

    const others = callsUnderWay()
    const other = others.began(abortable)
    void others.close(undefined)
    vi.advanceTimersByTime(7_999)
    expect(other.signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    expect(other.signal.reason).toMatchObject({ deadlineMs: 8_000 })
  })

  it("leaves a caller's own abort its reason, and lets go of the caller's signal", async () => {
    const calls = callsUnderWay()
    const caller = new AbortController()
    const removed = vi.spyOn(caller.signal, "removeEventListener")
    const call = calls.began(() => linkedAbort(caller.signal))
    const own = new Error("the user has left")
    caller.abort(own)
    const closing = calls.close(0)
    vi.advanceTimersByTime(1)
    expect(call.signal.reason).toBe(own)
    expect(call.told(own)).toBe(own)
    call.ended(false)
    expect(await closing).toEqual({ ended: 1, cancelled: 0, stuck: 0 })
    expect(removed).toHaveBeenCalled()
  })

  it("reports when the last has ended, and cancels by the first deadline, in whatever order", async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), play), { numRuns: 500 })
  })
})

type Step =
  | { readonly does: "begin" }
  | { readonly does: "end"; readonly which: number; readonly hasAnswered: boolean }
  | { readonly does: "close"; readonly deadlineMs: number | undefined }
  | { readonly does: "wait"; readonly ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constant("begin" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({ does: fc.constant("end" as const), which: fc.nat(9), hasAnswered: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant("close" as const),
      deadlineMs: fc.option(fc.integer({ min: 0, max: 300 }), { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constant("wait" as const), ms: fc.nat(200) }) },
)

/** What is expected, beside what happens. */
async function play(steps: readonly Step[]): Promise<void> {
  vi.setSystemTime(0)
  const calls = callsUnderWay()
  const open: CallUnderWay[] = []
  const expected = { ended: 0, cancelled: 0, stuck: 0 }
  let misjudged = 0
  let cancelAt = Number.POSITIVE_INFINITY
  let latest: ReturnType<typeof watched> | undefined
  const isCancelled = () => latest !== undefined && Date.now() >= cancelAt
  for (const next of steps) {
    if (next.does === "begin") {
      const begun = begin(calls)
      if ((begun === undefined) !== (latest !== undefined)) misjudged++
      if (begun !== undefined) open.push(begun)
    } else if (next.does === "end") {
      const [call] = open.splice(next.which % (open.length || 1), 1)
      if (call === undefined) continue
      if (latest !== undefined) expected[isCancelled() && !next.hasAnswered ? "cancelled" : "ended"]++
      call.ended(next.hasAnswered)
      call.ended(!next.hasAnswered)
    } else if (next.does === "close") {
      const ms = next.deadlineMs ?? (latest === undefined ? 8_000 : Number.POSITIVE_INFINITY)
      // A timer of 0 takes 1.
      if (open.length > 0) cancelAt = Math.min(cancelAt, Date.now() + Math.max(1, ms))
      latest = watched(calls.close(next.deadlineMs))
    } else vi.advanceTimersByTime(next.ms)
    await Promise.resolve()
    expect(misjudged).toBe(0)
    expect(latest?.report()).toEqual(latest === undefined || open.length > 0 ? undefined : expected)
    for (const { signal } of open) expect(signal.aborted).toBe(isCancelled())
  }
  for (const call of open) call.ended(true)
  await latest?.closing
  vi.clearAllTimers()
}

/** Undefined: it was refused. */
function begin(calls: CallsUnderWay): CallUnderWay | undefined {
  try {
    return calls.began(abortable)
  } catch (error) {
    if (error instanceof RouterClosedError) return undefined
    throw error
  }
}

function watched(closing: Promise<CloseReport>) {
  let seen: CloseReport | undefined
  const see = (report: CloseReport) => {
    seen = report
  }
  void closing.then(see)
  return { closing, report: () => seen }
}

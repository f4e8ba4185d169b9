import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { allCells, type Cell } from "./fault-matrix/cells.ts"
import { BAD_OUTCOMES, type Judged, judge } from "./fault-matrix/judge.ts"
import { type House, openHouse, play } from "./fault-matrix/play.ts"
import { faultTable, lineOf } from "./fault-matrix/table.ts"
import { startWatch, type Watch } from "./fault-matrix/watch.ts"

/** Cells that are played at a time: of those that wait for a time-out, and of those that keep the processor busy. */
const AT_A_TIME = { waiting: 48, busy: 6 }

const MATRIX_MS = 120_000

/** A connection that nobody uses is closed after 4 s by the client, and after 5 s by the server. */
const IDLE_MS = 8_000

let watch: Watch
let judged: readonly Judged[]
let connectionsLeft: number

beforeAll(async () => {
  // Packages tell of broken bodies there, which is what all this is about.
  const silenced = [vi.spyOn(console, "warn"), vi.spyOn(console, "error")]
  for (const spy of silenced) spy.mockImplementation(() => {})
  watch = startWatch()
  const cells = allCells()
  await using house = await openHouse(cells)
  judged = await playAll(cells, house)
  await vi.waitUntil(() => watch.connections() === 0, { timeout: IDLE_MS }).catch(() => {})
  connectionsLeft = watch.connections()
  for (const spy of silenced) spy.mockRestore()
  console.log(`\nEvery fault, at every place, in every way:\n\n${faultTable(judged)}\n`)
}, MATRIX_MS)

afterAll(() => watch.end())

describe("an answer that a fault happens to", () => {
  it.each(BAD_OUTCOMES)("never comes to this: %s [N5.truncated-not-success]", (outcome) => {
    expect(linesOf((one) => one.outcome === outcome)).toEqual([])
  })

  it("comes all the same where somebody can give it, and is nothing that no model says [N5.mid-stream-policy]", () => {
    expect(complaintsAbout("answer")).toEqual([])
  })

  it("comes to everything that it may come to", () => {
    const outcomes = new Set(judged.map(({ outcome }) => outcome))
    const usual = ["answered", "continued", "error", "passed through", "restarted", "says it is cut"] as const
    for (const outcome of usual) expect(outcomes).toContain(outcome)
  })

  it("ends with an error that says what was read and spent", () => {
    expect(complaintsAbout("error")).toEqual([])
  })

  it("is paid for as it is billed, and nothing stays held", () => {
    expect(complaintsAbout("money")).toEqual([])
  })

  it("leaves no call open, and nothing on the caller's signal", () => {
    expect(complaintsAbout("leak")).toEqual([])
  })

  it("leaves no timer, no connection and no rejection behind [C8.chaos-tests]", () => {
    const left = { timers: watch.timers(), connections: connectionsLeft, rejections: watch.rejections() }
    expect(left).toEqual({ timers: [], connections: 0, rejections: [] })
  })
})

/** Each cell has models of its own, so that many are played at a time. */
async function playAll(cells: readonly Cell[], house: House): Promise<readonly Judged[]> {
  const results: Judged[] = []
  const playersOf = (some: readonly Cell[], atATime: number) => {
    const toPlay = some.values()
    return Array.from({ length: atATime }, async () => {
      for (const cell of toPlay) results[cell.number] = judge(await play(cell, house))
    })
  }
  const waiting = cells.filter(({ fault }) => fault.hangs === true)
  const busy = cells.filter(({ fault }) => fault.hangs !== true)
  await Promise.all([...playersOf(waiting, AT_A_TIME.waiting), ...playersOf(busy, AT_A_TIME.busy)])
  return results
}

function complaintsAbout(topic: Judged["complaints"][number]["about"]): readonly string[] {
  return linesOf(({ complaints }) => complaints.some(({ about }) => about === topic))
}

function linesOf(isMeant: (judged: Judged) => boolean): readonly string[] {
  return judged.filter(isMeant).map(lineOf)
}

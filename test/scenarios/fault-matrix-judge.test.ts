import { BudgetExceededError, nanoUsd, type RouteRecord, StreamBrokenError } from "tierwise"
import { describe, expect, it } from "vitest"
import { allCells, type Cell, type Sick, type Task } from "./fault-matrix/cells.ts"
import { judge, type Outcome } from "./fault-matrix/judge.ts"
import { CALL, type Played, WORDS } from "./fault-matrix/play.ts"
import { newReader, type Reply } from "./fault-matrix/ways.ts"

const cells = allCells()

/** The first such cell of the matrix. */
function cellOf(fault: string, way: string, task: Task = "words", sick: Sick = "one"): Cell {
  const found = cells.find(
    (cell) =>
      cell.fault.name === fault &&
      cell.way.name === way &&
      cell.task === task &&
      cell.sick === sick &&
      cell.place === "after the first token",
  )
  if (found === undefined) throw new Error("there is no such cell")
  return found
}

const says = (text: string, more: Partial<Reply> = {}): Reply => ({
  text,
  calls: [],
  brokenCalls: 0,
  saysCut: undefined,
  continuations: 0,
  ...more,
})
const calls = (...args: object[]) => says("", { calls: args.map((one) => ({ name: CALL.name, args: one })) })

const BEGUN = WORDS.light.slice(0, 12)

const record = (how?: "restarted" | "continued") =>
  ({
    attempts: [{ outcome: "answered", cost: 5 }],
    cost: 5,
    recoveries: how === undefined ? [] : [{ deploymentId: "light", failure: "truncated", how }],
  }) as unknown as RouteRecord

/** A play in which all is well but for what is given. */
function played(cell: Cell, replies: readonly Reply[], more: Partial<Played> = {}): Played {
  const types = cell.way.isAgent ? ["human", "ai"] : ["ai"]
  return {
    cell,
    heard: { replies, types },
    error: undefined,
    reader: newReader(),
    toolRuns: [],
    records: [record()],
    budget: { held: 0, unconfirmed: 0, spent: 5 } as unknown as Played["budget"],
    invoices: [{ costNanoUsd: 5 }] as unknown as Played["invoices"],
    openCalls: 0,
    listeners: cell.way.isAgent ? 1 : 0,
    ...more,
  }
}

const failed = (cell: Cell, error: unknown, more: Partial<Played> = {}) =>
  played(cell, [], { heard: undefined, error, ...more })

const invoked = cellOf("cut", "invoke")
const calling = cellOf("cut", "invoke", "tool call")
const continuing = cellOf("cut", "stream, continue")
const filtered = cellOf("content-filter", "invoke")
const filteredCall = cellOf("content-filter", "invoke", "tool call")
const continued = WORDS.light.slice(0, 12) + WORDS.heavy
const wasContinued = { records: [record("continued")] }

describe("the judge of the fault matrix", () => {
  it.each<[string, Outcome, Played]>([
    ["right words", "answered", played(invoked, [says(WORDS.heavy)])],
    ["a right call", "answered", played(calling, [calls(CALL.args)])],
    ["a restart", "restarted", played(invoked, [says(WORDS.heavy)], { records: [record("restarted")] })],
    [
      "one answer continued by another",
      "continued",
      played(continuing, [says(continued, { continuations: 1 })], wasContinued),
    ],
    [
      "a beginning that says it is one",
      "says it is cut",
      played(filtered, [says(BEGUN, { saysCut: "content_filter" })]),
    ],
    [
      "half a call that says it is one",
      "says it is cut",
      played(filteredCall, [{ ...calls({}), saysCut: "content_filter" }]),
    ],
  ])("finds nothing wrong with %s", (_, outcome, play) => {
    expect(judge(play)).toMatchObject({ outcome, complaints: [] })
  })

  it.each<[string, Outcome, Played]>([
    ["words of nobody", "wrong", played(invoked, [says("The lamp was green.")])],
    ["no words", "silently truncated", played(invoked, [says("")])],
    ["a cut without notice", "silently truncated", played(invoked, [says(BEGUN)])],
    [
      "a cut that its fault does not tell",
      "silently truncated",
      played(invoked, [says(BEGUN, { saysCut: "length" })]),
    ],
    [
      "a cut that is told otherwise",
      "silently truncated",
      played(filtered, [says(BEGUN, { saysCut: "length" })]),
    ],
    ["whole words said to be cut", "wrong", played(invoked, [says(WORDS.light, { saysCut: "length" })])],
    [
      "a told cut of words that nobody says",
      "wrong",
      played(filtered, [says("Sorry, no.", { saysCut: "content_filter" })]),
    ],
    [
      "a told cut of two models' words",
      "concatenated",
      played(filtered, [says(WORDS.light + BEGUN, { saysCut: "content_filter" })]),
    ],
    [
      "a told cut of another call",
      "wrong",
      played(filteredCall, [{ ...calls({ city: "Oslo" }), saysCut: "content_filter" }]),
    ],
    ["two models' words", "concatenated", played(invoked, [says(BEGUN + WORDS.heavy)])],
    [
      "a continuation that its reader is not told of",
      "concatenated",
      played(continuing, [says(continued)], wasContinued),
    ],
    [
      "a continuation that is not on the record",
      "concatenated",
      played(continuing, [says(continued, { continuations: 1 })]),
    ],
    [
      "a continuation that nobody asked for",
      "concatenated",
      played(invoked, [says(continued, { continuations: 1 })], wasContinued),
    ],
    ["a continuation that was none", "wrong", played(continuing, [says(WORDS.heavy, { continuations: 1 })])],
    ["two calls", "called twice", played(calling, [calls(CALL.args, CALL.args)])],
    [
      "two calls that say they are cut",
      "called twice",
      played(filteredCall, [{ ...calls(CALL.args, {}), saysCut: "content_filter" }]),
    ],
    ["a tool that ran twice", "called twice", played(invoked, [], { toolRuns: ["Rome", "Rome"] })],
    ["a tool that ran with half a call", "wrong", played(invoked, [], { toolRuns: ["Ro"] })],
    ["half a call", "wrong", played(calling, [calls({})])],
    ["a call that does not parse", "silently truncated", played(calling, [says("", { brokenCalls: 1 })])],
    ["words and a call", "wrong", played(calling, [{ ...calls(CALL.args), text: "Well" }])],
    [
      "an answer too many",
      "wrong",
      played(invoked, [says(WORDS.light), says(WORDS.heavy)], {
        heard: { replies: [says(WORDS.light), says(WORDS.heavy)], types: ["ai", "ai"] },
      }),
    ],
    ["no answer at all", "wrong", played(invoked, [], { heard: { replies: [], types: [] } })],
    ["an error of no type", "untyped error", failed(invoked, new Error("socket hang up"))],
    [
      "an error of a wrong type",
      "untyped error",
      failed(
        invoked,
        new BudgetExceededError(
          { scope: "cell:1", window: "total", unit: "NanoUsd", limit: 1, remaining: 0, resetsAt: undefined },
          { money: nanoUsd(1), tokens: 1 },
        ),
      ),
    ],
    [
      "a provider's error that is no mistake of the caller's",
      "untyped error",
      failed(invoked, Object.assign(new Error("no"), { status: 400 })),
    ],
  ])("sees %s", (_, outcome, play) => {
    expect(judge(play).outcome).toBe(outcome)
  })

  const right = [says(WORDS.heavy)]
  const erring = cellOf("cut", "stream")
  const streaming = cellOf("cut", "stream, restart")
  const reading = (...texts: string[]) => {
    const reader = newReader()
    for (const [id, text] of texts.entries()) reader.show(`${id}`, text)
    return reader
  }
  const broken = (partial: string, cost: number) =>
    new StreamBrokenError(
      { deploymentId: "light", failure: "truncated", partial, cost: nanoUsd(cost) },
      new Error("cut"),
    )

  it.each<[string, string, Played]>([
    ["leak", "an open call", played(invoked, right, { openCalls: 1 })],
    ["leak", "a listener", played(invoked, right, { listeners: 1 })],
    ["leak", "an agent's second listener", played(cellOf("cut", "agent"), right, { listeners: 2 })],
    ["money", "no record", played(invoked, right, { records: [] })],
    [
      "money",
      "money that is held",
      played(invoked, right, {
        budget: { held: 1, unconfirmed: 0, spent: 5 } as unknown as Played["budget"],
      }),
    ],
    [
      "money",
      "money that is booked twice",
      played(invoked, right, {
        budget: { held: 0, unconfirmed: 0, spent: 10 } as unknown as Played["budget"],
      }),
    ],
    [
      "money",
      "a bill that was not booked",
      played(invoked, right, { invoices: [{ costNanoUsd: 6 }] as unknown as Played["invoices"] }),
    ],
    ["error", "words that were not read", failed(erring, broken(BEGUN, 5), { reader: reading("Every") })],
    ["error", "costs that were not", failed(erring, broken("", 4))],
    ["answer", "no answer where one could be given", failed(invoked, broken("", 5))],
    ["answer", "words of nobody that were read", played(streaming, right, { reader: reading("The sea") })],
    [
      "answer",
      "a restart that its reader is not told of",
      played(streaming, right, { records: [record("restarted")], reader: reading(WORDS.heavy) }),
    ],
  ])("complains (%s) of %s", (about, _, play) => {
    expect(new Set(judge(play).complaints.map((complaint) => complaint.about))).toEqual(new Set([about]))
  })
})

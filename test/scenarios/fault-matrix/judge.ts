import { isDeepStrictEqual } from "node:util"
import { type StreamBrokenError, TierwiseError } from "tierwise"
import { type Cell, mustAnswer, type Task } from "./cells.ts"
import { CALL, type Played, WORDS } from "./play.ts"
import type { Heard, Reply } from "./ways.ts"

/** What became of a cell, in one word. */
export type Outcome =
  | "answered"
  | "restarted"
  | "continued"
  /** The answer is a beginning, and its finish reason says so. */
  | "says it is cut"
  /** A typed error of the router's. */
  | "error"
  /** The provider's own error for a mistake of the caller's. */
  | "passed through"
  | BadOutcome

/** What may never be. */
export type BadOutcome = (typeof BAD_OUTCOMES)[number]

export const BAD_OUTCOMES = [
  "wrong",
  "concatenated",
  "silently truncated",
  "called twice",
  "untyped error",
] as const

export interface Judged {
  readonly cell: Cell
  readonly outcome: Outcome
  /** What was left behind or misbooked, and what was to come and did not; none if all is well. */
  readonly complaints: readonly Complaint[]
}

export interface Complaint {
  readonly about: "leak" | "money" | "error" | "answer"
  readonly problem: string
}

export function judge(played: Played): Judged {
  const outcome = outcomeOf(played)
  const complaints = [
    ...leaksOf(played),
    ...moneyOf(played),
    ...errorOf(played),
    ...shownOf(played),
    ...answerOf(played, outcome),
  ]
  return { cell: played.cell, outcome, complaints }
}

function outcomeOf(played: Played): Outcome {
  const { heard, error, toolRuns, cell } = played
  if (toolRuns.length > 1) return "called twice"
  // Of half a call nothing may come to pass.
  if (toolRuns.some((city) => city !== CALL.args.city)) return "wrong"
  if (heard !== undefined) return answerKind(played, heard)
  const found = TierwiseError.find(error)
  if (found !== undefined && EXPECTED_CODES.has(found.code)) return "error"
  const { status } = error as { readonly status?: unknown }
  const isMistake = found === undefined && cell.fault.isMistake === true
  return isMistake && status === cell.fault.at(cell.place)?.status ? "passed through" : "untyped error"
}

const EXPECTED_CODES: ReadonlySet<string> = new Set([
  "stream-broken",
  "candidates-exhausted",
  "deadline-exceeded",
])

function answerKind({ cell, records }: Played, { replies, types }: Heard): Outcome {
  const recoveries = records.flatMap((record) => record.recoveries.map(({ how }) => how))
  const wanted = wantedOf(cell)
  const twice = replies.some(({ calls, brokenCalls }) => calls.length + brokenCalls > 1)
  if (twice) return "called twice"
  const isFine = (reply: Reply, at: number) =>
    isRight(reply, wanted[at]) || isContinued(reply, cell, recoveries) || isToldCut(reply, wanted[at], cell)
  const bad = replies.find((reply, at) => !isFine(reply, at))
  if (bad !== undefined) return badKind(bad)
  const usual = typesOf(cell)
  const isCut = replies.at(-1)?.saysCut !== undefined
  // What is cut may be the end of an agent's run.
  if (!isDeepStrictEqual(types, isCut ? usual.slice(0, types.length) : usual)) return "wrong"
  return isCut ? "says it is cut" : (recoveries[0] ?? "answered")
}

type Wanted = "words" | "call"

/** The replies of a request that nothing happens to. */
function wantedOf({ task, way }: Cell): readonly Wanted[] {
  if (task === "words") return ["words"]
  return way.isAgent && task === "words after a tool" ? ["call", "words"] : ["call"]
}

function typesOf({ task, way }: Cell): readonly string[] {
  if (!way.isAgent) return ["ai"]
  return AGENT_TYPES[task]
}

const AGENT_TYPES: Readonly<Record<Task, readonly string[]>> = {
  words: ["human", "ai"],
  "tool call": ["human", "ai", "tool"],
  "words after a tool": ["human", "ai", "tool", "ai"],
}

const ALL_WORDS: readonly string[] = Object.values(WORDS)

function isRight(reply: Reply, wanted: Wanted | undefined): boolean {
  const { text, calls, brokenCalls, saysCut, continuations } = reply
  if (wanted === undefined || brokenCalls > 0 || saysCut !== undefined || continuations > 0) return false
  if (wanted === "call") return text === "" && isDeepStrictEqual(calls, [CALL])
  return calls.length === 0 && ALL_WORDS.includes(text)
}

/** The beginning of one answer and another whole one, where that was asked for, and its reader and the record say so. */
function isContinued(reply: Reply, { way }: Cell, recoveries: readonly string[]): boolean {
  const { text, calls, brokenCalls, saysCut, continuations } = reply
  if (way.midStream !== "continue" || !recoveries.includes("continued") || continuations !== 1) return false
  if (calls.length + brokenCalls > 0 || saysCut !== undefined) return false
  const begun = text.slice(0, -WORDS.heavy.length)
  return begun !== "" && text === begun + WORDS.heavy && WORDS.light.startsWith(begun)
}

/** The beginning of a right answer, which says in the fault's own way that it is one. */
function isToldCut(reply: Reply, wanted: Wanted | undefined, { fault }: Cell): boolean {
  const { text, calls, saysCut, continuations } = reply
  if (saysCut === undefined || saysCut !== fault.told || continuations > 0) return false
  if (wanted === "call") return text === "" && calls.every(isBegun)
  return wanted === "words" && calls.length === 0 && ALL_WORDS.some((words) => words.startsWith(text))
}

/** LangChain makes a whole call of what there is of it. */
function isBegun({ name, args }: Reply["calls"][number]): boolean {
  const { city = "", ...others } = args as Readonly<Record<string, unknown>>
  const isKnown = name === CALL.name && Object.keys(others).length === 0
  return isKnown && typeof city === "string" && CALL.args.city.startsWith(city)
}

function badKind({ text, calls, brokenCalls }: Reply): BadOutcome {
  if (calls.length === 0 && brokenCalls === 0) {
    const starts = ALL_WORDS.reduce((count, words) => count + text.split(words.slice(0, 3)).length - 1, 0)
    if (starts > 1) return "concatenated"
    const isCut = !ALL_WORDS.includes(text) && ALL_WORDS.some((words) => words.startsWith(text))
    if (isCut) return "silently truncated"
  }
  return brokenCalls > 0 ? "silently truncated" : "wrong"
}

function leaksOf({ openCalls, listeners, cell }: Played): readonly Complaint[] {
  const usual = cell.way.isAgent ? LISTENERS_OF_LANGGRAPH : 0
  return [
    ...(openCalls === 0 ? [] : [`${openCalls} calls are open`]),
    ...(listeners === usual ? [] : [`${listeners} listeners are on the caller's signal`]),
  ].map((problem) => ({ about: "leak", problem }))
}

/** It leaves one on the caller's signal, whatever the model. */
const LISTENERS_OF_LANGGRAPH = 1

function moneyOf({ records, budget, invoices, cell }: Played): readonly Complaint[] {
  const attempts = records.flatMap((record) => record.attempts)
  const booked = sum(attempts.map((attempt) => (attempt.outcome === "skipped" ? 0 : attempt.cost)))
  const recorded = sum(records.map(({ cost }) => cost))
  const billed = sum(invoices.map(({ costNanoUsd }) => costNanoUsd))
  const { held = 0, unconfirmed = 0, spent = 0 } = budget ?? {}
  return [
    ...(records.length > 0 ? [] : ["there is no record"]),
    ...(held === 0 && unconfirmed === 0 ? [] : [`${held} are held, ${unconfirmed} unconfirmed`]),
    ...(spent === booked ? [] : [`${spent} are spent, the attempts cost ${booked}`]),
    ...(spent === recorded ? [] : [`${spent} are spent, the records cost ${recorded}`]),
    ...(spent >= billed || cell.fault.billsUnseen === true
      ? []
      : [`${spent} are spent, the provider bills ${billed}`]),
  ].map((problem) => ({ about: "money", problem }))
}

function errorOf({ error, reader, records, cell }: Played): readonly Complaint[] {
  const found = TierwiseError.find(error)
  if (found?.code !== "stream-broken") return []
  const { partial, cost } = found as StreamBrokenError
  const read = reader.texts().join("")
  const isSaid = partial === read || partial === reader.forgotten()
  return [
    // An agent's words go to handlers, which the error knows nothing of.
    ...(isSaid || cell.way.isAgent ? [] : [`it tells of "${partial}", read was "${read}"`]),
    ...(cost === records.at(-1)?.cost ? [] : [`it says ${cost} were spent`]),
  ].map((problem) => ({ about: "error", problem }))
}

/** Words that were read are a beginning of what a model says, and who is to forget them is told. */
function shownOf({ reader, cell, records }: Played): readonly Complaint[] {
  const { fault, way } = cell
  const restarts = records.flatMap((record) => record.recoveries).filter(({ how }) => how === "restarted")
  const isTold = (reader.forgotten() !== undefined) === restarts.length > 0
  const strange = fault.isEndless === true ? [] : reader.texts().filter((text) => !isBeginning(text, cell))
  return [
    ...strange.map((text) => `"${text}" was read`),
    // An agent's readers are told elsewhere.
    ...(isTold || !way.isLive || way.isAgent
      ? []
      : [`its reader was not told of ${restarts.length} restarts`]),
  ].map((problem) => ({ about: "answer", problem }))
}

function isBeginning(text: string, { way }: Cell): boolean {
  if (ALL_WORDS.some((words) => words.startsWith(text))) return true
  if (way.midStream !== "continue") return false
  return Array.from(WORDS.light, (_, at) => WORDS.light.slice(0, at + 1)).some(
    (begun) => text.startsWith(begun) && WORDS.heavy.startsWith(text.slice(begun.length)),
  )
}

function answerOf({ cell, error }: Played, outcome: Outcome): readonly Complaint[] {
  if (!mustAnswer(cell) || !NO_ANSWER.has(outcome)) return []
  return [{ about: "answer", problem: `it could be answered, and was not: ${String(error).slice(0, 300)}` }]
}

const NO_ANSWER: ReadonlySet<Outcome> = new Set([
  "error",
  "passed through",
  "untyped error",
  "says it is cut",
])

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

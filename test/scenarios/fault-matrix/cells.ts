import { FAULTS, type MatrixFault, type Place } from "./faults.ts"
import { WAYS, type Way } from "./ways.ts"

/**
 * What the faulty answer is made of.
 * - `words`: text, without any tool at hand.
 * - `tool call`: the first answer of a request with a tool.
 * - `words after a tool`: an agent's second answer, when its tool has run.
 */
export type Task = "words" | "tool call" | "words after a tool"

/**
 * - `one`: the first answer of the model that is asked first. Others are well.
 * - `next`: the same, and who is asked next loses its answer before the first byte, when the prompt is paid for.
 * - `all`: every answer of every model, at that point of the conversation.
 */
export type Sick = "one" | "next" | "all"

export interface Cell {
  /** Names its two models at the simulator, so that cells share nothing. */
  readonly number: number
  readonly fault: MatrixFault
  readonly place: Place
  readonly task: Task
  readonly way: Way
  readonly sick: Sick
}

export const SICK: readonly Sick[] = ["one", "next", "all"]

const TASKS: readonly Task[] = ["words", "tool call", "words after a tool"]

export function allCells(): readonly Cell[] {
  const rows = FAULTS.flatMap((fault) =>
    fault.places.flatMap((place) =>
      TASKS.filter((task) => isTask(task, fault, place)).map((task) => ({ fault, place, task })),
    ),
  )
  const cells = rows.flatMap((row) =>
    waysFor(row).flatMap((way) => SICK.map((sick) => ({ ...row, way, sick }))),
  )
  return cells.filter(makesSense).map((cell, number) => ({ ...cell, number }))
}

function isTask(task: Task, fault: MatrixFault, place: Place): boolean {
  if (place === "inside a tool call") return task === "tool call"
  return task !== "words after a tool" || fault.isRefusal !== true
}

type Row = Pick<Cell, "fault" | "place" | "task">

function waysFor({ fault, place, task }: Row): readonly Way[] {
  const matters = fault.isRefusal !== true && !NEVER_OUT.has(place)
  return WAYS.filter(({ isAgent, midStream }) => {
    if (task === "words after a tool" && !isAgent) return false
    return midStream === "error" || matters
  })
}

/** Who is asked next takes over in the middle only where that is wanted; what harms nobody is met by whoever is asked. */
function makesSense({ sick, way, place, fault }: Omit<Cell, "number">): boolean {
  if (fault.isHarmless === true) return sick === "all"
  if (sick !== "next") return true
  return way.midStream !== "error" && !UNSEEN.has(place)
}

/** Nothing has reached a reader when the fault happens. */
function isUnseen({ place, way, fault }: Cell): boolean {
  return !way.isLive || (UNSEEN.has(place) && fault.isEndless !== true)
}

/** Here no stream has begun for its reader, so that nothing is to be done in the middle of it. */
const NEVER_OUT: ReadonlySet<Place> = new Set(["as it arrives", "between two bytes"])
const UNSEEN: ReadonlySet<Place> = new Set([...NEVER_OUT, "before the first byte"])

/** The answer must come, whatever the fault. */
export function mustAnswer(cell: Cell): boolean {
  const { fault, task, way, sick } = cell
  if (fault.isHarmless === true) return true
  if (sick !== "one" || fault.isMistake === true || fault.told !== undefined) return false
  // Only the deadline ends what is endless, and then it is too late for anybody else.
  return isUnseen(cell) || (way.midStream !== "error" && task === "words" && fault.isEndless !== true)
}

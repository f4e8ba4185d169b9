import { SICK } from "./cells.ts"
import type { Judged, Outcome } from "./judge.ts"
import { WAYS } from "./ways.ts"

const MARKS: Readonly<Record<Outcome, string>> = {
  answered: "✓",
  restarted: "↺",
  continued: "→",
  "says it is cut": "~",
  error: "!",
  "passed through": "m",
  wrong: "W",
  concatenated: "C",
  "silently truncated": "T",
  "called twice": "2",
  "untyped error": "U",
}

/** The matrix for people: fault, place and task down, ways across; each way with one model sick, the next one too, and all. */
export function faultTable(judged: readonly Judged[]): string {
  const rows = Map.groupBy(judged, ({ cell }) => rowOf(cell).join(" · "))
  const width = Math.max(...[...rows.keys()].map(({ length }) => length))
  const heads = WAYS.map(({ name }, index) => `${" ".repeat(width)}  ${"│   ".repeat(index)}┌ ${name}`)
  const lines = [...rows].map(([row, ofRow]) => {
    const marks = WAYS.map(({ name }) => {
      const ofWay = ofRow.filter(({ cell }) => cell.way.name === name)
      return SICK.map((sick) => markOf(ofWay.find(({ cell }) => cell.sick === sick))).join("")
    })
    return `${row.padEnd(width)}  ${marks.join(" ")}`
  })
  const legend = Object.entries(MARKS).map(([outcome, mark]) => `${mark} ${outcome}`)
  return [legend.join(", "), "", ...heads, ...lines, "", countsOf(judged)].join("\n")
}

/** `cut · after the first token · words · stream · all sick: error`, and what there is to complain of. */
export function lineOf({ cell, outcome, complaints }: Judged): string {
  const where = [...rowOf(cell), cell.way.name, `${cell.sick} sick`].join(" · ")
  return [`${where}: ${outcome}`, ...complaints.map(({ about, problem }) => `${about}: ${problem}`)].join(
    "; ",
  )
}

function rowOf({ fault, place, task }: Judged["cell"]): readonly string[] {
  return [fault.name, place, task]
}

function markOf(judged: Judged | undefined): string {
  if (judged === undefined) return " "
  return judged.complaints.length === 0 ? MARKS[judged.outcome] : "✗"
}

function countsOf(judged: readonly Judged[]): string {
  const counts = Object.keys(MARKS).map((outcome) => {
    const count = judged.filter((one) => one.outcome === outcome).length
    return `${outcome} ${count}`
  })
  return `${judged.length} cells: ${counts.join(", ")}`
}

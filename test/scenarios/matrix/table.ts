/** What became of one cell. */
export interface CellReport {
  readonly entry: string
  readonly situation: string
  /** Undefined if all was as expected. */
  readonly seen: string | undefined
}

/** The matrix for people: entries down, situations across. */
export function matrixTable(cells: readonly CellReport[]): string {
  const entries = [...new Set(cells.map(({ entry }) => entry))]
  const situations = [...new Set(cells.map(({ situation }) => situation))]
  const width = Math.max(...entries.map(({ length }) => length))
  const heads = situations.map(
    (situation, index) => `${" ".repeat(width)} ${"│ ".repeat(index)}┌ ${situation}`,
  )
  const rows = entries.map((entry) => {
    const marks = situations.map((situation) => {
      const cell = cells.find((one) => one.entry === entry && one.situation === situation)
      if (cell === undefined) return " "
      return cell.seen === undefined ? "✓" : "✗"
    })
    return `${entry.padEnd(width)} ${marks.join(" ")}`
  })
  const faults = cells
    .filter(({ seen }) => seen !== undefined)
    .map(({ entry, situation, seen }) => `✗ ${entry} × ${situation}: ${seen}`)
  return [...heads, ...rows, ...faults].join("\n")
}

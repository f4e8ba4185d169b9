import { describe, expect, it } from "vitest"
import { type SkillRow, skillTable } from "./skill-table.ts"

const MODELS = ["sim-small", "sim-medium", "sim-large"] as const
// Families that are hard at the top; a greeting or a look-up is not.
const GRADED = ["arithmetic", "multi-hop", "intent", "extraction", "schema", "tools", "prose"]

const table = skillTable({ tasks: 30 })

function share(row: SkillRow, model: string): number {
  return row.correct[model] ?? Number.NaN
}

describe("skill table", () => {
  it("shows what each model can do", () => {
    const lines = table.map(
      (row) =>
        `${row.family.padEnd(12)}${row.level}  ${MODELS.map((model) => share(row, model).toFixed(2)).join("  ")}`,
    )
    console.log(["family      level small medium large", ...lines].join("\n"))
    expect(lines).toHaveLength(7 * 5 + 1 + 2)
  })

  it("never lets a smaller model be better than a larger one", () => {
    for (const row of table) {
      expect(share(row, "sim-large"), `${row.family} ${row.level}`).toBeGreaterThanOrEqual(
        share(row, "sim-medium"),
      )
      expect(share(row, "sim-medium"), `${row.family} ${row.level}`).toBeGreaterThanOrEqual(
        share(row, "sim-small"),
      )
    }
  })

  it("makes the small model strong on easy tasks and weak on hard ones", () => {
    for (const row of table.filter(({ level }) => level <= 2))
      expect(share(row, "sim-small"), `${row.family} ${row.level}`).toBeGreaterThanOrEqual(0.8)
    for (const row of table.filter(({ level }) => level >= 4))
      expect(share(row, "sim-small"), `${row.family} ${row.level}`).toBeLessThanOrEqual(0.2)
  })

  it("puts the medium model between them at level 3 and 4 and the large one near the top everywhere", () => {
    for (const family of GRADED) {
      const rows = table.filter((row) => row.family === family)
      expect(share(rows[2] as SkillRow, "sim-medium"), family).toBeGreaterThanOrEqual(0.85)
      expect(share(rows[4] as SkillRow, "sim-medium"), family).toBeLessThanOrEqual(0.3)
    }
    const large = table.map((row) => share(row, "sim-large"))
    expect(Math.min(...large)).toBeGreaterThanOrEqual(0.8)
    expect(large.filter((rate) => rate >= 0.9).length / large.length).toBeGreaterThanOrEqual(0.95)
  })

  it("is the same in every run and another for another seed", () => {
    const options = { tasks: 2, seed: 3 }
    expect(skillTable(options)).toEqual(skillTable(options))
    expect(skillTable(options)).not.toEqual(skillTable({ tasks: 2, seed: 4 }))
  })
})

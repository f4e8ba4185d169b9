import { describe, expect, it } from "vitest"
import { entitiesInOneField } from "./entities.ts"

describe("entitiesInOneField", () => {
  it.each([
    ["a count", 3, 3],
    ["names", ["revenue", "profit"], 2],
    ["names by field", { metric: ["revenue", "profit"], region: ["emea"], year: "2024" }, 2],
    ["one name each", { metric: "revenue", region: "emea" }, 1],
    ["objects with a field", [{ field: "metric" }, { field: "metric" }, { field: "region" }], 2],
    [
      "objects with a type",
      [
        { type: "metric", value: "a" },
        { type: "region", value: "b" },
      ],
      1,
    ],
    ["nothing", undefined, 0],
    ["null", null, 0],
    ["an empty field", { metric: [], region: "" }, 0],
    ["a text", "revenue", 0],
    ["no number", Number.NaN, 0],
  ])("counts %s", (_, entities, count) => {
    expect(entitiesInOneField(entities)).toBe(count)
  })
})

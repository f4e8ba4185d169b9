import { describe, expect, it } from "vitest"
import { ConfigError } from "../../spec/errors.ts"
import type { LaneSettings } from "../../spec/traffic.ts"
import { lanesOf } from "./lanes.ts"

const limits = { requestsPerMinute: 60 }
const pathOf = (lanes: readonly LaneSettings[]) => {
  try {
    lanesOf({ id: "mini", weight: 1, lanes }, "deployments[1].lanes")
    return "none"
  } catch (error) {
    return error instanceof ConfigError ? error.path : String(error)
  }
}

describe("lanesOf", () => {
  it("takes a deployment without lanes as its only one, under its own id", () => {
    expect(lanesOf({ id: "mini", weight: 2, limits })).toEqual([
      { id: "mini", deploymentId: "mini", weight: 2, limits, settings: undefined },
    ])
  })

  it("shares the deployment's weight among its lanes, and gives each the limits by itself", () => {
    const own = { tokensPerMinute: 9 }
    const lanes = [
      { name: "eu-1", apiKeyFrom: "KEY_1" },
      { name: "eu-2", weight: 2, limits: own },
      { name: "spare", weight: 0 },
    ]
    expect(lanesOf({ id: "mini", weight: 6, limits, lanes })).toEqual([
      { id: "mini#eu-1", deploymentId: "mini", weight: 2, limits, settings: lanes[0] },
      { id: "mini#eu-2", deploymentId: "mini", weight: 4, limits: own, settings: lanes[1] },
      { id: "mini#spare", deploymentId: "mini", weight: 0, limits, settings: lanes[2] },
    ])
  })

  it("refuses lanes that cannot be told apart or never used, and names the field", () => {
    expect(pathOf([])).toBe("deployments[1].lanes")
    expect(pathOf([{ name: "" }])).toBe("deployments[1].lanes[0].name")
    expect(pathOf([{ name: "a#b" }])).toBe("deployments[1].lanes[0].name")
    expect(pathOf([{ name: "a" }, { name: "a" }])).toBe("deployments[1].lanes[1].name")
    for (const weight of [-1, Number.NaN, Infinity]) {
      expect(pathOf([{ name: "a" }, { name: "b", weight }])).toBe("deployments[1].lanes[1].weight")
    }
    expect(
      pathOf([
        { name: "a", weight: 0 },
        { name: "b", weight: 0 },
      ]),
    ).toBe("deployments[1].lanes")
    expect(pathOf([{ name: "a", weight: 0 }, { name: "b" }])).toBe("none")
  })
})

import { describe, expect, it } from "vitest"
import { healthStoreContract } from "./health-store-contract.ts"
import { memoryHealth } from "./memory-health.ts"

describe("health in memory", () => {
  const cases = healthStoreContract(() => {
    let at = Date.UTC(2026, 0, 15, 12)
    return {
      store: memoryHealth(() => at),
      passed: async (ms) => {
        at += ms
      },
    }
  })
  it.for(cases)("$name", async ({ run }) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

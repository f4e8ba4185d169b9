import { describe, expect, it } from "vitest"
import type { RouteEvent } from "../spec/telemetry.ts"
import { notify } from "./notify.ts"

const event: RouteEvent = { type: "attempt-started", id: "1", deploymentId: "a", tier: "light" }

describe("notify", () => {
  it("tells everybody, also after one of them threw or rejected", async () => {
    const told: string[] = []
    const observers = [
      {
        on: () => {
          throw new Error("mine")
        },
      },
      { on: (async () => Promise.reject(new Error("later"))) as () => void },
      { on: ({ type }: RouteEvent) => void told.push(type) },
    ]
    notify(observers, event)
    await new Promise((resolve) => setImmediate(resolve))
    expect(told).toEqual(["attempt-started"])
  })
})

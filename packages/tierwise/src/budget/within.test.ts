import { describe, expect, it, vi } from "vitest"
import { within } from "./within.ts"

describe("within", () => {
  it("gives what the step gives, and leaves no timer behind", async () => {
    vi.useFakeTimers()
    try {
      expect(await within("main", 50, async () => "done")).toBe("done")
      await expect(within("main", 50, () => Promise.reject(new Error("no")))).rejects.toThrow("no")
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it("waits for no step that hangs, and says which store it was", async () => {
    const hanging = within("main", 5, () => new Promise<never>(() => {}))
    const told = { code: "budget-unavailable", store: "main", problem: "it has not answered for 5 ms" }
    await expect(hanging).rejects.toMatchObject(told)
  })
})

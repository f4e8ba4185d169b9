import { expect, it, vi } from "vitest"
import { tell } from "./tell.ts"

it("tells a listener all there is to tell", () => {
  const listener = vi.fn<(what: string, count: number) => void>()
  tell(listener, "down", 3)
  expect(listener).toHaveBeenCalledWith("down", 3)
  tell(undefined)
})

it("is not stopped by a listener that throws, or rejects later", async () => {
  const thrower = () => {
    throw new Error("nobody home")
  }
  expect(() => tell(thrower)).not.toThrow()
  const later = Promise.reject(new Error("the mail server is down"))
  const caught = vi.spyOn(later, "then")
  tell(() => later as unknown as undefined)
  expect(caught.mock.calls.some(([, onRejected]) => typeof onRejected === "function")).toBe(true)
  // Vitest fails for a rejection that nobody has handled by then.
  await new Promise((resolve) => setImmediate(resolve))
})

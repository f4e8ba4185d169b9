import { memoryBudget } from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld, replyMetadata } from "./world.ts"

const ANSWER = "The sea is salty."

describe("an answer under a wrong content type", () => {
  it.each(["text/html", "text/plain", "text/event-stream", "application/octet-stream"])(
    "is no answer where the package believes it, and is booked at its quote: %s",
    async (type) => {
      const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
      await using world = await openWorld({ budget })
      world.simulator.script([{ model: "sim-small", answer: ANSWER, headers: { "content-type": type } }])
      const reply = await world.router.invoke("Hello")
      expect(reply.text).not.toContain(ANSWER)
      expect(replyMetadata(reply).attempts).toMatchObject([
        { deployment: "sim-small", outcome: "failed", because: "truncated" },
        { deployment: "sim-medium", outcome: "answered" },
      ])
      const [record] = world.records
      const [first] = record?.attempts ?? []
      expect(first).toMatchObject({ cost: record?.plan.candidates[0]?.quote.money })
      expect(await budget.status({})).toMatchObject([{ held: 0, spent: record?.cost }])
    },
  )

  it.each(["text/html", "text/plain", "application/json", "application/octet-stream"])(
    "is read as the stream that it is: %s",
    async (type) => {
      await using world = await openWorld()
      world.simulator.script([{ model: "sim-small", answer: ANSWER, headers: { "content-type": type } }])
      let text = ""
      for await (const chunk of await world.router.stream("Hello")) text += chunk.text
      expect(text).toBe(ANSWER)
      expect(world.records[0]?.attempts).toMatchObject([{ deploymentId: "sim-small", outcome: "answered" }])
      expect(world.records[0]?.cost).toBe(world.simulator.invoices()[0]?.costNanoUsd)
    },
  )
})

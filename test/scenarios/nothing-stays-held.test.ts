import type { ScriptedFault } from "@tierwise/simulator"
import fc from "fast-check"
import { lowConfidence, memoryBudget } from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld } from "./world.ts"

/** What may happen to one of the calls a request makes. */
const fault: fc.Arbitrary<ScriptedFault> = fc.oneof(
  fc.constantFrom(400, 401, 404, 429, 500, 503).map((status) => ({
    status,
    headers: { "retry-after": "0" },
  })),
  fc.nat(6).map((cutAfterChunks) => ({ cutAfterChunks })),
  fc.constantFrom(
    { delayMs: 40 },
    { answer: "I'm not sure about that." },
    { answer: "" },
    { answer: "Fine." },
  ),
)

/** How the caller behaves. */
const caller = fc.record({
  way: fc.constantFrom("invoke", "stream", "batch", "structured"),
  abortAfterMs: fc.option(fc.integer({ min: 0, max: 30 }), { nil: undefined }),
  chunksRead: fc.option(fc.nat(4), { nil: undefined }),
})

describe("whatever happens to a call", () => {
  it("nothing stays held, and what was spent is what the records say [N1.release]", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "total", usd: 10 }] })
    await using world = await openWorld({ budget, validator: lowConfidence(), attemptTimeoutMs: 25 })
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { maxLength: 4 }), caller, async (faults, behaviour) => {
        world.simulator.script(faults)
        await misbehave(world, behaviour).catch(() => {})
        const inFlight = () => budget.status({}).then(([status]) => status?.held)
        await expect.poll(inFlight, { interval: 5 }).toBe(0)
        const [status] = await budget.status({})
        expect(status?.spent).toBe(world.records.reduce((sum, { cost }) => sum + cost, 0))
        expect(status?.unconfirmed).toBe(0)
      }),
      { numRuns: 120 },
    )
  })
})

type World = Awaited<ReturnType<typeof openWorld>>
type Behaviour = typeof caller extends fc.Arbitrary<infer T> ? T : never

async function misbehave({ router }: World, { way, abortAfterMs, chunksRead }: Behaviour): Promise<void> {
  const signal = abortAfterMs === undefined ? undefined : AbortSignal.timeout(abortAfterMs)
  const options = signal && { signal }
  const question = "Write a few words about the sea."
  const schema = {
    title: "note",
    type: "object",
    properties: { text: { type: "string" } },
    required: ["text"],
  }
  switch (way) {
    case "invoke":
      await router.invoke(question, options)
      return
    case "batch":
      await router.batch([question, "Hello", question], options, { returnExceptions: true })
      return
    case "structured":
      await router.withStructuredOutput(schema).invoke(question, options)
      return
    default: {
      let read = 0
      for await (const _ of await router.stream(question, options)) if (read++ === chunksRead) break
    }
  }
}

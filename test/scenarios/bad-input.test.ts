import { HumanMessage } from "@langchain/core/messages"
import { InvalidRequestError, memoryBudget, NoEligibleDeploymentError } from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld } from "./world.ts"

describe("bad input is refused by a typed error, before any call and any money", () => {
  const budget = memoryBudget({ limits: [{ scope: "global", window: "total", usd: 1 }] })

  it.each<[string, HumanMessage[], object, string]>([
    ["an empty conversation", [], {}, "messages"],
    ["an empty message", [new HumanMessage("")], {}, "messages[0].content"],
    ["half a surrogate pair", [new HumanMessage("ok \ud83d")], {}, "messages[0].content"],
    ["an unknown tier in a pin", [new HumanMessage("Hi")], { tier: "huge" }, "tier"],
    ["a preference of 7", [new HumanMessage("Hi")], { preference: 7 }, "preference"],
  ])("%s", async (_, messages, options, path) => {
    await using world = await openWorld({ budget })
    for (const asked of [
      () => world.router.invoke(messages, options),
      () => world.router.explain(messages, options),
      async () => {
        for await (const chunk of await world.router.stream(messages, options)) expect(chunk).toBeUndefined()
      },
    ]) {
      await expect(asked()).rejects.toMatchObject({
        constructor: InvalidRequestError,
        path,
        fix: expect.any(String),
      })
    }
    expect(world.bodies()).toEqual([])
    expect(await budget.status({})).toMatchObject([{ spent: 0, held: 0 }])
  })

  it("a message too large for every context window", async () => {
    await using world = await openWorld({ budget })
    const asked = world.router.invoke("word ".repeat(400_000))
    await expect(asked).rejects.toThrow(NoEligibleDeploymentError)
    expect(world.bodies()).toEqual([])
    expect(await budget.status({})).toMatchObject([{ spent: 0, held: 0 }])
  })
})

import { tool } from "@langchain/core/tools"
import fc from "fast-check"
import { createAgent } from "langchain"
import {
  type DeploymentOptions,
  healthBook,
  RouterChatModel,
  type RouterOptions,
  retryBudget,
} from "tierwise"
import { budgetMiddleware } from "tierwise/middleware"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { onCue, settled, type TalkingModel, talking, watch } from "./registry-world.ts"
import { replyMetadata } from "./world.ts"

const open = (deployments: readonly DeploymentOptions[], options: Partial<RouterOptions> = {}) =>
  new RouterChatModel({ tiers: ["light", "heavy"], deployments, retryBaseMs: 0, ...options })
const two = (options: Partial<RouterOptions> = {}) => {
  const [small, large] = [talking("light", "small"), talking("heavy", "large")]
  return { small, large, router: open([small, large], options) }
}
const toHeavy = { tier: "heavy" }
const toLight = { tier: "light" }
const idsOf = ({ registry }: RouterChatModel) => registry.list().map(({ id, state }) => `${id} ${state}`)

describe("a registry that changes while calls are made", () => {
  it("lists who is called, in which version, and how they do [A2.from-config] [A2.versions] [A2.performance-metrics]", async () => {
    const small = talking("light", "small", { version: "2026-11" })
    let reply = (): string => "Yes."
    const large = talking("heavy", "large", { reply: () => reply() })
    const router = open([small, large], { maxRetries: 0 })
    await router.invoke("Hello", toLight)
    reply = () => {
      throw Object.assign(new Error("it broke"), { status: 500 })
    }
    await expect(router.invoke("Hello", toHeavy)).rejects.toThrow("it broke")
    expect(router.registry.list()).toEqual([
      {
        id: "small",
        tier: "light",
        version: "2026-11",
        state: "active",
        inFlight: 0,
        healthKey: "small@2026-11",
        health: { breaker: "closed" },
        metrics: { calls: 1, failures: 0, meanFirstPieceMs: expect.any(Number) as number },
      },
      {
        id: "large",
        tier: "heavy",
        version: undefined,
        state: "active",
        inFlight: 0,
        healthKey: "large",
        health: { breaker: "closed" },
        metrics: { calls: 1, failures: 1, meanFirstPieceMs: undefined },
      },
    ])
  })

  it("calls whoever was added from the next call on, in bound routers too, and explain knows", async () => {
    const { router, small } = two()
    const bound = router
      .bindTools([tool(() => "", { name: "look", schema: z.object({}) })])
      .withConfig({ tags: ["bound"] })
    const cheaper = talking("light", "another", { weight: 1 })
    expect(bound.registry.add(cheaper)).toBe("another")
    await router.registry.remove("small")
    const { candidates } = await router.explain("Hello", toLight)
    expect(candidates.map(({ deploymentId }) => deploymentId)).toEqual(["another"])
    const reply = await router.withConfig({ tags: ["other"] }).invoke("Hello", toLight)
    expect(replyMetadata(reply).deployment).toBe("another")
    expect(small.model.asked).toEqual([])
    expect(idsOf(bound)).toEqual(["large active", "another active"])
  })

  it("has v2 take new calls while v1 ends its own, beside it [A2.versions]", async () => {
    const cue = onCue()
    const v1 = talking("heavy", "large", { version: "v1", reply: cue.reply })
    const router = open([talking("light", "small"), v1])
    const before = router.invoke("one", toHeavy)
    await settled()
    const v2 = talking("heavy", "large", { version: "v2" })
    const replaced = router.registry.replace("large", { ...v2, id: undefined })
    const isReplaced = watch(replaced)
    expect(replyMetadata(await router.invoke("two", toHeavy)).deployment).toBe("large")
    expect(v2.model.asked).toEqual(["two"])
    expect(router.registry.list().map(({ version, state, inFlight }) => [version, state, inFlight])).toEqual([
      [undefined, "active", 0],
      ["v2", "active", 0],
      ["v1", "draining", 1],
    ])
    expect(isReplaced()).toBe(false)
    cue.say("one's answer")
    expect((await before).text).toBe("one's answer")
    await replaced
    expect(router.registry.list().map(({ version }) => version)).toEqual([undefined, "v2"])
  })

  it("lets a call that has begun fall back to who was there when it began", async () => {
    const cue = onCue()
    const first = talking("heavy", "first", { reply: cue.reply })
    const second = talking("heavy", "second", { weight: 0 })
    const router = open([talking("light", "small"), first, second], { maxRetries: 0 })
    const call = router.invoke("Hello", toHeavy)
    await settled()
    const isDrained = watch(router.registry.drain("second"))
    cue.fail(Object.assign(new Error("down"), { status: 500 }))
    expect((await call).text).toBe("second says")
    await settled()
    expect(isDrained()).toBe(true)
  })

  it("drains when the reader of a stream has gone, and not before", async () => {
    const { router } = two()
    router.registry.add(talking("heavy", "other"))
    const stream = await router.stream("Hello", toHeavy)
    const isDrained = watch(router.registry.drain("large"))
    await settled()
    expect(isDrained()).toBe(false)
    await stream.cancel()
    await settled()
    expect(isDrained()).toBe(true)
    expect(idsOf(router)).toEqual(["small active", "other active", "large draining"])
  })

  it("stops waiting for a drain when its signal aborts; it drains all the same", async () => {
    const cue = onCue()
    const router = open([
      talking("light", "small"),
      talking("heavy", "large", { reply: cue.reply }),
      talking("heavy", "other", { weight: 0 }),
    ])
    const call = router.invoke("Hello", toHeavy)
    await settled()
    const hurry = new AbortController()
    const drained = router.registry.drain("large", { signal: hurry.signal })
    hurry.abort(new Error("no time"))
    await expect(drained).rejects.toThrow("no time")
    expect(idsOf(router)).toContain("large draining")
    cue.say("Yes.")
    await call
    await router.registry.remove("large")
    expect(idsOf(router)).toEqual(["small active", "other active"])
  })

  it("gives another version a breaker of its own, and who replaces one its limits and counts", async () => {
    const limits = { requestsPerMinute: 1 }
    const large = talking("heavy", "large", {
      limits,
      reply: () => {
        throw Object.assign(new Error("broken"), { status: 500 })
      },
    })
    const options = { circuitBreaker: { failures: 1 }, maxRetries: 0, now: () => 1_000_000 }
    const router = open([talking("light", "small"), large], options)
    await expect(router.invoke("Hello", toHeavy)).rejects.toThrow("broken")
    expect(router.registry.list()[1]).toMatchObject({ health: { breaker: "open" } })
    // The same version: what is known of it holds, as it does in every other process that has it.
    await router.registry.replace("large", talking("heavy", "large", { limits }))
    expect(router.registry.list()[1]).toMatchObject({
      healthKey: "large",
      health: { breaker: "open" },
      metrics: { calls: 0 },
    })
    await router.registry.replace("large", talking("heavy", "large", { limits, version: "2" }))
    expect(router.registry.list()[1]).toMatchObject({ healthKey: "large@2", health: { breaker: "closed" } })
    await router.invoke("Hello", toHeavy)
    await expect(router.invoke("Hello", toHeavy)).rejects.toThrow("saturated")
    for (const version of ["1", "2"]) {
      await router.registry.replace("large", talking("heavy", "large", { version }))
      expect(router.registry.list()[1]).toMatchObject({ healthKey: `large@${version}` })
    }
  })

  it("puts a replacement in the place of who it replaces: tiers are compared with the same one", async () => {
    const { router } = two()
    router.registry.add(talking("heavy", "other"))
    await router.registry.replace("large", talking("heavy", "new"))
    expect(idsOf(router)).toEqual(["small active", "new active", "other active"])
  })

  it("takes calls again that was drained, when it is replaced by itself", async () => {
    const { router } = two()
    const other = talking("heavy", "other")
    router.registry.add(other)
    await router.registry.drain("other")
    await router.registry.replace("other", other)
    expect(idsOf(router)).toEqual(["small active", "large active", "other active"])
  })

  it("does not give an answer of the old version out of the cache", async () => {
    const { router } = two({ cache: true })
    const asked = `Who are you? ${crypto.randomUUID()}`
    expect((await router.invoke(asked, toHeavy)).text).toBe("large says")
    await router.registry.replace("large", talking("heavy", "newer", { id: "large", version: "2" }))
    expect((await router.invoke(asked, toHeavy)).text).toBe("newer says")
    expect((await router.invoke(asked, toHeavy)).response_metadata["tierwise"]).toMatchObject({
      cached: true,
    })
  })

  it("changes for routers that an agent's budget holds in, too", async () => {
    const { router, small } = two({ routing: false, defaultTier: "light" })
    const agent = createAgent({
      model: router,
      tools: [],
      middleware: [budgetMiddleware({ perThread: { usd: 1 } })],
    })
    await agent.invoke({ messages: [{ role: "user", content: "Hello" }] })
    const newer = talking("light", "newer")
    await router.registry.replace("small", newer)
    await agent.invoke({ messages: [{ role: "user", content: "Hello" }] })
    expect([small.model.asked, newer.model.asked]).toEqual([["Hello"], ["Hello"]])
  })

  it("is written down as it is now", async () => {
    const { router } = two()
    router.registry.add(talking("light", "another"))
    const { kwargs } = JSON.parse(JSON.stringify(router.withConfig({}))) as {
      kwargs: { deployments: { id: string }[] }
    }
    expect(kwargs.deployments.map(({ id }) => id)).toEqual(["small", "large", "another"])
  })

  it.each<[string, (router: RouterChatModel) => unknown, string]>([
    [
      "the last of a tier is not drained",
      ({ registry }) => registry.drain("large"),
      'the tier "heavy" would',
    ],
    [
      "the last of a tier is not removed",
      ({ registry }) => registry.remove("small"),
      'the tier "light" would',
    ],
    [
      "nor moved to another tier",
      ({ registry }) => registry.replace("small", talking("heavy", "small")),
      'the tier "light" would',
    ],
    ["nobody is there twice", ({ registry }) => registry.add(talking("light", "small")), "deployment.id"],
    [
      "nobody takes another's id",
      ({ registry }) => registry.replace("small", talking("light", "large")),
      "deployment.id",
    ],
    ["who is not there is named", ({ registry }) => registry.remove("tiny"), "use one of small, large"],
    ["a tier that is none is named", ({ registry }) => registry.add(talking("tiny", "x")), "deployment.tier"],
    [
      "a misspelt field is named",
      ({ registry }) => registry.add({ ...talking("light", "x"), wieght: 1 } as DeploymentOptions),
      "deployment.wieght",
    ],
    [
      "a price that nobody knows is named",
      ({ registry }) => registry.add({ ...talking("light", "x"), price: undefined as never }),
      "deployment.price",
    ],
  ])("changes nothing when it refuses: %s", async (_, refused, words) => {
    const { router } = two()
    await expect((async () => refused(router))()).rejects.toMatchObject({
      code: "invalid-config",
      message: expect.stringContaining(words) as string,
    })
    expect(idsOf(router)).toEqual(["small active", "large active"])
    expect((await router.invoke("Hello", toLight)).text).toBe("small says")
  })

  it("closes at the end of a block, and leaves a health book that was given alone", async () => {
    const health = healthBook()
    let inBlock: RouterChatModel
    {
      await using router = two({ health }).router
      inBlock = router
      await router.invoke("Hello")
    }
    await expect(inBlock.invoke("Hello")).rejects.toThrow("it is closed")
    expect((await two({ health }).router.invoke("Hello", toLight)).text).toBe("small says")
  })

  it("loses no call and calls nobody who has gone, whatever happens in which order", async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), runStory), { numRuns: 150 })
  })
})

type Step =
  | { readonly does: "call"; readonly tier: string; readonly stumbles: boolean }
  | { readonly does: "answer"; readonly which: number }
  | { readonly does: "add" | "drain" | "remove" | "replace"; readonly which: number; readonly tier: string }

const tier = fc.constantFrom("light", "heavy")
const which = fc.nat(20)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constant("call" as const), tier, stumbles: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant("answer" as const), which }) },
  {
    weight: 5,
    arbitrary: fc.record({
      does: fc.constantFrom("add" as const, "drain" as const, "remove" as const, "replace" as const),
      which,
      tier,
    }),
  },
)

/** One version of a deployment, and what must not happen to it. */
interface Version {
  readonly model: TalkingModel
  /** Calls that were made after it stopped taking new ones have this number or a higher one. */
  takesUpTo: number
  isGone: boolean
}

async function runStory(steps: readonly Step[]): Promise<void> {
  const wrong: string[] = []
  const open: (() => void)[] = []
  const versions = new Map<TalkingModel, Version>()
  const changes: Promise<unknown>[] = []
  const calls: Promise<unknown>[] = []
  const stumbled = new Set<string>()
  let made = 0

  const version = (name: string, tier: string) => {
    const options = talking(tier, name, {
      version: `${versions.size}`,
      reply: (text) => {
        const one = versions.get(options.model) as Version
        if (one.isGone) wrong.push(`${text} asked ${name} after it had gone`)
        if (Number(text.split(" ")[0]) > one.takesUpTo) wrong.push(`${text} is new to ${name}, which drains`)
        if (text.endsWith("stumbles") && !stumbled.has(text)) {
          stumbled.add(text)
          throw Object.assign(new Error("stumbled"), { status: 500 })
        }
        return new Promise((resolve) => open.push(() => resolve("answer")))
      },
    })
    versions.set(options.model, { model: options.model, takesUpTo: Number.POSITIVE_INFINITY, isGone: false })
    return options
  }

  const given = new Map<string, TalkingModel>()
  const come = (name: string, tier: string) => {
    const options = version(name, tier)
    given.set(name, options.model)
    return options
  }
  const router = new RouterChatModel({
    tiers: ["light", "heavy"],
    deployments: [come("a", "light"), come("b", "light"), come("c", "heavy")],
    order: "round-robin",
    retryBaseMs: 0,
    maxFallbackAttempts: 10,
    circuitBreaker: false,
    retryBudget: retryBudget({ share: 1, perSecond: 1_000, reserve: 1_000 }),
  })
  const { registry } = router

  /** A refusal changes nothing; anything else is wrong. */
  const goes = (name: string, change: () => Promise<void>) => {
    const gone = versions.get(given.get(name) as TalkingModel) as Version
    const before = gone.takesUpTo
    gone.takesUpTo = Math.min(before, made)
    const changed = async () => {
      try {
        await change()
        gone.isGone = true
      } catch (error) {
        gone.takesUpTo = before
        if ((error as { code?: string }).code !== "invalid-config") wrong.push((error as Error).message)
      }
    }
    changes.push(changed())
  }
  const nameOf = (index: number) => {
    const list = registry.list().filter(({ state }) => state === "active")
    return list[index % list.length]?.id as string
  }
  const doIt: { readonly [Does in Step["does"]]: (step: Extract<Step, { does: Does }>) => void } = {
    call({ tier, stumbles }) {
      const text = `${++made} ${stumbles ? "stumbles" : "walks"}`
      calls.push(router.invoke(text, { tier }))
    },
    answer: ({ which }) => open.splice(which % Math.max(1, open.length), 1)[0]?.(),
    add: ({ tier }) => void registry.add(come(`n${versions.size}`, tier)),
    drain: ({ which }) => {
      const name = nameOf(which)
      goes(name, () => registry.drain(name))
    },
    remove: ({ which }) => {
      const name = nameOf(which)
      goes(name, () => registry.remove(name))
    },
    replace: ({ which }) => {
      const name = nameOf(which)
      const { tier } = registry.list().find(({ id }) => id === name) as { tier: string }
      const options = version(name, tier)
      goes(name, () => registry.replace(name, options))
      given.set(name, options.model)
    },
  }
  for (const one of steps) {
    doIt[one.does](one as never)
    await settled()
  }
  const outcomes = Promise.allSettled(calls)
  const isOver = watch(outcomes)
  for (let turn = 0; !isOver() && turn < 200; turn++) {
    for (const answer of open.splice(0)) answer()
    await settled()
  }
  const failed = (await outcomes).filter(({ status }) => status === "rejected")
  await Promise.all(changes)
  expect(wrong).toEqual([])
  expect(failed).toEqual([])
  expect(registry.list().filter(({ inFlight }) => inFlight !== 0)).toEqual([])
  expect(new Set(registry.list().flatMap(({ state, tier }) => (state === "active" ? [tier] : [])))).toEqual(
    new Set(["light", "heavy"]),
  )
}

import type { AIMessageChunk, BaseMessage } from "@langchain/core/messages"
import type { Runnable } from "@langchain/core/runnables"
import { tool } from "@langchain/core/tools"
import type { IterableReadableStream } from "@langchain/core/utils/stream"
import { createAgent } from "langchain"
import { type Plan, RouterChatModel } from "tierwise"
import { describe, expect, expectTypeOf, it } from "vitest"
import { z } from "zod"
import { z as z3 } from "zod/v3"

/** What it is given is looked at by the compiler, and never called. */
declare const router: RouterChatModel
const typed = (statements: () => unknown) => expect(statements).toBeTypeOf("function")

describe("the router's types", () => {
  it("are a chat model's", () => {
    typed(() => {
      expectTypeOf(router.invoke("Hello")).resolves.toEqualTypeOf<AIMessageChunk>()
      expectTypeOf(router.stream("Hello")).resolves.toEqualTypeOf<IterableReadableStream<AIMessageChunk>>()
      expectTypeOf(router.batch(["Hello"])).resolves.toEqualTypeOf<AIMessageChunk[]>()
      expectTypeOf(router.withConfig({ tags: ["t"] })).toEqualTypeOf<RouterChatModel>()
      expectTypeOf(
        router.bindTools([tool(async () => "", { name: "f", schema: z.object({}) })]),
      ).toEqualTypeOf<RouterChatModel>()
    })
  })

  it("infer what a schema gives: zod 4, zod 3, JSON Schema, with and without the raw message", () => {
    typed(() => {
      const four = router.withStructuredOutput(z.object({ n: z.number() }))
      expectTypeOf(four.invoke("Hello")).resolves.toEqualTypeOf<{ n: number }>()
      const three = router.withStructuredOutput(z3.object({ n: z3.number() }))
      expectTypeOf(three.invoke("Hello")).resolves.toEqualTypeOf<{ n: number }>()
      const json = router.withStructuredOutput<{ n: number }>({ type: "object" })
      expectTypeOf(json.invoke("Hello")).resolves.toEqualTypeOf<{ n: number }>()
      const untold = router.withStructuredOutput({ type: "object" })
      expectTypeOf(untold.invoke("Hello")).resolves.toEqualTypeOf<Record<string, unknown>>()
      const raw = router.withStructuredOutput(z.object({ n: z.number() }), { includeRaw: true })
      expectTypeOf(raw.invoke("Hello")).resolves.toEqualTypeOf<{ raw: BaseMessage; parsed: { n: number } }>()
      expectTypeOf(four).toExtend<Runnable>()
    })
  })

  it("know the router's hints, and no others", () => {
    typed(() => {
      void router.invoke("Hello", { tier: "heavy", gate: "off", maxRetries: 1, scopes: { tenant: "acme" } })
      expectTypeOf(router.explain("Hello", { tier: "heavy" })).resolves.toEqualTypeOf<Plan>()
      // @ts-expect-error a gate is "off" or "full"
      void router.invoke("Hello", { gate: "half" })
      // @ts-expect-error there is no such option
      void router.invoke("Hello", { teir: "heavy" })
      // @ts-expect-error a deployment has a price
      void new RouterChatModel({ deployments: [{ tier: "light", model: router }] })
    })
  })

  it("are taken by createAgent", () => {
    typed(() => {
      expectTypeOf(createAgent({ model: router, tools: [] })).toHaveProperty("invoke")
    })
  })
})

import { AsyncLocalStorage } from "node:async_hooks"
import { CallbackManager } from "@langchain/core/callbacks/manager"
import { AIMessage, HumanMessage } from "@langchain/core/messages"
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons"
import { fakeModel } from "@langchain/core/testing"
import { describe, expect, it } from "vitest"
import { RouterChatModel, type RouterChatModelFields } from "./router-chat-model.ts"

interface Told {
  readonly event: string
  readonly [detail: string]: unknown
}

/** A handler that writes down what a tracer would be told. */
function tracer() {
  const told: Told[] = []
  const handler = {
    name: "tracer",
    awaitHandlers: true,
    handleChainStart: (...args: readonly unknown[]) =>
      void told.push({ event: "chain", runId: args[2], tags: args[4], metadata: args[5], name: args[7] }),
    handleChatModelStart: (...args: readonly unknown[]) =>
      void told.push({ event: "llm", parent: args[3], tags: args[5], metadata: args[6] }),
    handleChainEnd: (outputs: unknown) => void told.push({ event: "end", outputs }),
    handleChainError: (error: unknown) => void told.push({ event: "error", error }),
  }
  return { told, handler: handler as never }
}

function world(replies: readonly (string | Error)[], fields: Partial<RouterChatModelFields> = {}) {
  const model = fakeModel()
  for (const reply of replies) model.respond(reply instanceof Error ? reply : new AIMessage(reply))
  const deployments = [{ id: "one", tier: "light", model, price: "free" as const }]
  return { model, router: new RouterChatModel({ tiers: ["light"], deployments, maxRetries: 0, ...fields }) }
}

describe("the router's run", () => {
  it("has the caller's id and name, and is the parent of the model's", async () => {
    const { told, handler } = tracer()
    const runId = "00000000-0000-4000-8000-000000000001"
    await world(["Hi!"]).router.invoke("Hello", { runId, runName: "greeting", callbacks: [handler] })
    expect(told[0]).toMatchObject({ event: "chain", runId, name: "greeting" })
    expect(told[1]).toMatchObject({ event: "llm", parent: runId })
  })

  it("carries the tags and metadata of the constructor beside the caller's", async () => {
    const { told, handler } = tracer()
    const { router } = world(["Hi!"], { tags: ["ours"], metadata: { team: "a" } })
    await router.invoke("Hello", { tags: ["mine"], metadata: { trace: "t" }, callbacks: [handler] })
    expect(told[0]?.["tags"]).toEqual(expect.arrayContaining(["ours", "mine"]))
    expect(told[0]?.["metadata"]).toMatchObject({ team: "a", trace: "t" })
  })

  it("reaches the constructor's callbacks, given as a list or as a manager", async () => {
    for (const wrap of [(handler: never) => [handler], (handler: never) => managerOf(handler)]) {
      const { told, handler } = tracer()
      await world(["Hi!"], { callbacks: wrap(handler) }).router.invoke("Hello")
      expect(told.map(({ event }) => event)).toEqual(["chain", "llm", "end"])
    }
  })

  it("ends with the answer, or with the error that is thrown", async () => {
    const { told, handler } = tracer()
    const reply = await world(["Hi!"]).router.invoke("Hello", { callbacks: [handler] })
    expect(told.at(-1)).toMatchObject({ event: "end", outputs: { output: { content: reply.content } } })
    const mistake = Object.assign(new Error("bad request"), { status: 400 })
    await expect(world([mistake]).router.invoke("Hello", { callbacks: [handler] })).rejects.toBe(mistake)
    expect(told.at(-1)).toEqual({ event: "error", error: mistake })
  })

  it("of a stream ends with the answer, or with the error that is thrown", async () => {
    const { told, handler } = tracer()
    const read = async (replies: readonly (string | Error)[]) => {
      for await (const _ of await world(replies).router.stream("Hello", { callbacks: [handler] }));
    }
    await read(["Hi!"])
    expect(told.at(-1)).toMatchObject({ event: "end", outputs: { output: { content: "Hi!" } } })
    const mistake = Object.assign(new Error("bad request"), { status: 400 })
    await expect(read([mistake])).rejects.toBe(mistake)
    expect(told.at(-1)).toEqual({ event: "error", error: mistake })
  })
})

describe("RouterChatModel", () => {
  it("keeps what was bound before when more is bound, and binds for explain too", async () => {
    const { router } = world(["Hi!"])
    const bound = router.withConfig({ taskType: "simple_qa" }).withConfig({ scopes: { tenant: "acme" } })
    const plan = await bound.explain("Hello")
    expect(plan.features.taskType).toBe("simple_qa")
    expect((await router.explain("Hello")).features.taskType).toBeUndefined()
    expect((await bound.bindTools([], { contextLength: 50 }).explain("Hello")).features).toMatchObject({
      taskType: "simple_qa",
      contextLength: 50,
    })
  })

  it("routes each conversation of a generate call, with its stop words and callbacks", async () => {
    const { told, handler } = tracer()
    const { model, router } = world(["One.", "Two."])
    const conversations = [[new HumanMessage("First")], [new HumanMessage("Second")]]
    const { generations } = await router.generate(conversations, ["\n"], [handler])
    expect(generations.map(([generation]) => generation?.text)).toEqual(["One.", "Two."])
    expect(model.calls.map(({ options }) => (options as { stop?: unknown }).stop)).toEqual([["\n"], ["\n"]])
    expect(told.filter(({ event }) => event === "chain")).toHaveLength(2)
    expect(router._llmType()).toBe("tierwise")
  })

  it("is the parent of models that a validator asks, too", async () => {
    AsyncLocalStorageProviderSingleton.initializeGlobalInstance(new AsyncLocalStorage())
    const { told, handler } = tracer()
    const judge = fakeModel().respond(new AIMessage("It is good."))
    const validate = async () => ({ accepted: (await judge.invoke("Is it good?")).text.includes("good") })
    const { router } = world(["Hi!"], { validator: { name: "judge", validate } as never })
    await router.invoke("Hello", { callbacks: [handler] })
    const [chain, ...models] = told.filter(({ event }) => event === "chain" || event === "llm")
    expect(models.map(({ parent }) => parent)).toEqual([chain?.["runId"], chain?.["runId"]])
  })

  it("throws as a chat model does when a schema was asked for and no answer parsed", async () => {
    const response_format = { type: "json_schema", json_schema: { name: "x", schema: { type: "object" } } }
    const profile = { structuredOutput: true }
    const model = fakeModel().respond(new SyntaxError("Unexpected end of JSON input"))
    const { router } = world([], {
      deployments: [{ id: "one", tier: "light", model, price: "free", profile }],
    })
    await expect(router.invoke("Hello", { response_format })).rejects.toMatchObject({
      lc_error_code: "OUTPUT_PARSING_FAILURE",
    })
  })
})

function managerOf(handler: never): CallbackManager {
  const manager = new CallbackManager()
  manager.addHandler(handler)
  return manager
}

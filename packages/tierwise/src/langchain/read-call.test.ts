import { HumanMessage } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { mergeOptions, readCall } from "./read-call.ts"

const messages = [new HumanMessage("Hello")]
const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] }

describe("readCall", () => {
  it("takes the router's hints out and leaves the provider's options in", () => {
    const options = { tier: "heavy", scopes: { tenant: "acme" }, stop: ["\n"], tool_choice: "auto" }
    const { request, callOptions } = readCall(messages, options, undefined, undefined)
    expect(request).toEqual({ messages, tier: "heavy", scopes: { tenant: "acme" } })
    expect(callOptions).toEqual({ stop: ["\n"], tool_choice: "auto" })
  })

  it("reads hints from the configuration too; those on the call win", () => {
    const configurable = { tierwise: { tier: "light", taskType: "simple_qa" }, thread_id: "1" }
    const { request } = readCall(messages, { tier: "heavy" }, configurable, undefined)
    expect(request).toEqual({ messages, tier: "heavy", taskType: "simple_qa" })
  })

  it("adds the tables of the call to those of the configuration, key by key", () => {
    const configurable = { tierwise: { scopes: { tenant: "acme", user: "ada" }, labels: { region: "eu" } } }
    const { request } = readCall(messages, { scopes: { user: "bob" } }, configurable, undefined)
    expect(request).toMatchObject({ scopes: { tenant: "acme", user: "bob" }, labels: { region: "eu" } })
  })

  it("passes provider options on; options of the call's own win", () => {
    const options = { providerOptions: { reasoning_effort: "low", stop: ["a"] }, stop: ["b"] }
    expect(readCall(messages, options, undefined, undefined).callOptions).toEqual({
      reasoning_effort: "low",
      stop: ["b"],
    })
  })

  it("passes the tools on", () => {
    const tools = [{ name: "f" }]
    const { request, callOptions } = readCall(messages, { tools }, undefined, undefined)
    expect(request.tools).toBe(tools)
    expect(callOptions).toEqual({})
  })

  it("knows a schema that comes as OpenAI's response_format, and passes it on all the same", () => {
    const response_format = { type: "json_schema", json_schema: { name: "count", schema } }
    const { request, callOptions } = readCall(messages, { response_format }, undefined, undefined)
    expect(request.responseFormat).toEqual({ name: "count", schema })
    expect(callOptions).toEqual({ response_format })
    const json = readCall(messages, { response_format: { type: "json_object" } }, undefined, undefined)
    expect(json.request.responseFormat).toBeUndefined()
  })

  it("names a structured answer as the caller does, else by its title", () => {
    const structured = (of: unknown, config = {}) =>
      readCall(messages, {}, undefined, { schema: of, config }).request.responseFormat
    const titled = { ...schema, title: "Count" }
    expect(structured(titled)).toMatchObject({ name: "Count", schema })
    expect(structured(titled, { name: "mine" })?.name).toBe("mine")
    expect(structured(z.object({ n: z.int() }))).toMatchObject({
      name: "extract",
      schema: { type: "object" },
    })
  })
})

describe("mergeOptions", () => {
  it("lets a call add to the tables that were bound, so that it loses nothing by naming one thing", () => {
    const bound = {
      tier: "light",
      scopes: { tenant: "acme", user: "ada" },
      providerOptions: { seed: 1, user: "x" },
    }
    const given = { tier: "heavy", scopes: { user: "bob" }, providerOptions: { seed: 2 } }
    expect(mergeOptions<object>(bound, given)).toMatchObject({
      tier: "heavy",
      scopes: { tenant: "acme", user: "bob" },
      providerOptions: { seed: 2, user: "x" },
    })
  })

  it("does the same for hints under the configuration", () => {
    const configurable = (tierwise: object) => ({ configurable: { tierwise } })
    const bound = configurable({ taskType: "simple_qa", scopes: { tenant: "acme" } })
    expect(mergeOptions<object>(bound, configurable({ scopes: { user: "bob" } }))).toMatchObject(
      configurable({ taskType: "simple_qa", scopes: { tenant: "acme", user: "bob" } }),
    )
  })
})

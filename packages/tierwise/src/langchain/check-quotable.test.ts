import { HumanMessage } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { InvalidRequestError } from "../spec/errors.ts"
import { readCall } from "./read-call.ts"

const call = (options: object) => readCall([new HumanMessage("hi")], { ...options }, undefined, undefined)

const refused = (path: string) => expect.objectContaining({ constructor: InvalidRequestError, path })

describe("checkNoDearer", () => {
  it.each([
    ["service_tier", { service_tier: "priority" }],
    ["service_tier", { providerOptions: { service_tier: "performance" } }],
    ["inferenceGeo", { providerOptions: { inferenceGeo: "us" } }],
    ["inference_geo", { inference_geo: "eu" }],
  ])("refuses a %s that may be billed above what is held", (path, options) => {
    expect(() => call(options)).toThrow(refused(path))
  })

  it.each(["auto", "default", "flex", "standard_only", null, undefined])("passes %s on", (service_tier) => {
    expect(call({ service_tier }).callOptions).toEqual({ service_tier })
  })

  it("passes on what is processed anywhere", () => {
    expect(call({ inferenceGeo: "global" }).callOptions).toEqual({ inferenceGeo: "global" })
  })
})

describe("checkAllIsSent", () => {
  it.each(["previous_response_id", "conversation"])("refuses %s, whose input nobody can count", (path) => {
    expect(() => call({ providerOptions: { [path]: "resp_1" } })).toThrow(refused(path))
    expect(call({ [path]: undefined }).callOptions).toEqual({ [path]: undefined })
  })
})

import { HumanMessage } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { InvalidRequestError } from "../spec/errors.ts"
import { readCall } from "./read-call.ts"

const call = (options: object) => readCall([new HumanMessage("hi")], { ...options }, undefined, undefined)

describe("checkServiceTier", () => {
  it.each([{ service_tier: "priority" }, { providerOptions: { service_tier: "performance" } }])(
    "refuses what may be billed above what is held: %o",
    (options) => {
      expect(() => call(options)).toThrow(
        expect.objectContaining({ constructor: InvalidRequestError, path: "service_tier" }),
      )
    },
  )

  it.each(["auto", "default", "flex", "standard_only", null, undefined])("passes %s on", (service_tier) => {
    expect(call({ service_tier }).callOptions).toEqual({ service_tier })
  })
})

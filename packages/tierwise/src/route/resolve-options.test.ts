import { RunnableLambda } from "@langchain/core/runnables"
import { FakeListChatModel } from "@langchain/core/utils/testing"
import { ChatOpenAI } from "@langchain/openai"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../spec/errors.ts"
import { resolveOptions } from "./resolve-options.ts"
import type { DeploymentOptions, RouterOptions } from "./router-options.ts"

const openai = (model = "some-model", fields: object = {}) =>
  new ChatOpenAI({ model, apiKey: "none", ...fields })
const price = { inputPerMTok: 1, outputPerMTok: 2 }
const light: DeploymentOptions = { tier: "light", model: openai(), price }
const heavy: DeploymentOptions = { tier: "heavy", model: openai(), price }
const two = (options: Partial<RouterOptions> = {}): RouterOptions => ({
  tiers: ["light", "heavy"],
  deployments: [light, heavy],
  ...options,
})
const withLight = (fields: object) => two({ deployments: [{ ...light, ...fields }, heavy] })

describe("resolveOptions", () => {
  it.each<[string, RouterOptions, string]>([
    ["a tier without deployments", { deployments: [light, heavy] }, "deployments"],
    ["no deployments at all", { deployments: [] }, "deployments"],
    ["a deployment of an unknown tier", withLight({ tier: "tiny" }), "deployments[0].tier"],
    [
      "an id given twice",
      two({
        deployments: [
          { ...light, id: "x" },
          { ...heavy, id: "x" },
        ],
      }),
      "deployments[1].id",
    ],
    ["a tier named twice", two({ tiers: ["light", "heavy", "light"] }), "tiers[2]"],
    [
      "a Runnable that is no chat model",
      withLight({ model: RunnableLambda.from(() => "x") }),
      "deployments[0].model",
    ],
    [
      "a negative price",
      withLight({ price: { inputPerMTok: -1, outputPerMTok: 1 } }),
      "deployments[0].price.inputPerMTok",
    ],
    ["an unknown price [N1.unknown-price-refused]", withLight({ price: undefined }), "deployments[0].price"],
    ["a price that is a word", withLight({ price: "cheap" }), "deployments[0].price"],
    ["overlapping thresholds", two({ tiers: ["light", "heavy"], thresholds: [0.5, 0.4] }), "thresholds"],
    ["a misspelt option", two({ treshold: [0.5] } as never), "treshold"],
    ["a misspelt deployment option", withLight({ wieght: 1 }), "deployments[0].wieght"],
    ["a negative weight", withLight({ weight: -1 }), "deployments[0].weight"],
    ["half an output token", withLight({ maxOutputTokens: 1.5 }), "deployments[0].maxOutputTokens"],
    ["an unknown default tier", two({ defaultTier: "medium" }), "defaultTier"],
    ["an unknown order", two({ order: "random" as never }), "order"],
    ["an estimator without estimate", two({ estimator: {} as never }), "estimator"],
    ["negative retries", two({ maxRetries: -1 }), "maxRetries"],
    [
      "a policy beside its own settings",
      two({ policy: { decide: () => null as never }, thresholds: [0.5] }),
      "thresholds",
    ],
    [
      "a priced model whose output cannot be capped",
      withLight({ model: new FakeListChatModel({ responses: ["x"] }) }),
      "deployments[0].model",
    ],
  ])("refuses %s by its path, with a fix", (_, options, path) => {
    expect(() => resolveOptions(options)).toThrow(
      expect.objectContaining({ constructor: ConfigError, path, fix: expect.stringMatching(/\w/) }),
    )
  })

  it("names a deployment after its tier and model", () => {
    expect(resolveOptions(two()).deployments.map(({ id }) => id)).toEqual([
      "light/some-model",
      "heavy/some-model",
    ])
  })

  it("takes the model's own profile and output limit, and lets the user's win", () => {
    const known = openai("gpt-4o-mini", { maxTokens: 77 })
    const own = resolveOptions(withLight({ model: known })).deployments[0]
    expect(own).toMatchObject({ maxOutputTokens: 77, profile: { toolCalling: true, imageInputs: true } })
    const said = resolveOptions(
      withLight({ model: known, maxOutputTokens: 5, profile: { imageInputs: false } }),
    ).deployments[0]
    expect(said).toMatchObject({ maxOutputTokens: 5, profile: { toolCalling: true, imageInputs: false } })
  })

  it("lets a free model have no output limit", () => {
    const free = { model: new FakeListChatModel({ responses: ["x"] }), price: "free" }
    expect(() => resolveOptions(withLight(free))).not.toThrow()
  })

  it("has three tiers, the middle one as default [E2.model-id]", () => {
    const three = { deployments: ["light", "standard", "heavy"].map((tier) => ({ ...light, tier })) }
    expect(resolveOptions(three)).toMatchObject({
      tiers: ["light", "standard", "heavy"],
      defaultTier: "standard",
    })
  })
})

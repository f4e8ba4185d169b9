import { RunnableLambda } from "@langchain/core/runnables"
import { FakeListChatModel } from "@langchain/core/utils/testing"
import { ChatOpenAI } from "@langchain/openai"
import { describe, expect, it } from "vitest"
import { memoryBudget } from "../budget/memory-budget.ts"
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
    ["half a fallback", two({ maxFallbackAttempts: 0.5 }), "maxFallbackAttempts"],
    ["a pause of less than nothing", two({ retryBaseMs: -1 }), "retryBaseMs"],
    ["no time for an attempt", two({ attemptTimeoutMs: 0 }), "attemptTimeoutMs"],
    ["no output at all", two({ maxOutputTokens: 0 }), "maxOutputTokens"],
    ["a negative bound for pictures", two({ mediaTokens: { image: -1 } }), "mediaTokens.image"],
    ["an unknown quote", two({ quoteInput: "guess" as never }), "quoteInput"],
    ["a switch that is no boolean", two({ routing: "no" as never }), "routing"],
    ["a clock that is no function", two({ now: 0 as never }), "now"],
    ["a policy without decide", two({ policy: {} as never }), "policy"],
    ["a validator without validate", two({ validator: {} as never }), "validator"],
    ["an observer without on", two({ observers: [{}] as never }), "observers[0]"],
    [
      "a store that cannot extend",
      two({
        budget: {
          ...memoryBudget({ limits: [{ scope: "global", window: "day", usd: 1 }] }),
          extend: undefined,
        } as never,
      }),
      "budget",
    ],
    ["an empty id", withLight({ id: "" }), "deployments[0].id"],
    ["one tenant instead of a list", withLight({ tenants: "acme" }), "deployments[0].tenants"],
    ["a label that is no string", withLight({ labels: { region: 1 } }), "deployments[0].labels.region"],
    [
      "half a token of context",
      withLight({ profile: { maxInputTokens: 0.5 } }),
      "deployments[0].profile.maxInputTokens",
    ],
    [
      "a policy beside its own settings",
      two({ policy: { decide: () => null as never }, thresholds: [0.5] }),
      "thresholds",
    ],
    [
      "a policy beside task types",
      two({ policy: { decide: () => null as never }, taskTypes: {} }),
      "taskTypes",
    ],
    [
      "a policy beside a preference",
      two({ policy: { decide: () => null as never }, preference: 1 }),
      "preference",
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

  it.each<[string, RouterOptions, string, string]>([
    ["the values there are", two({ order: "random" as never }), "Invalid", "cheapest, weighted"],
    ["the least there may be", withLight({ weight: -1 }), "Too small", "at least 0"],
    ["the type that is wanted", two({ maxRetries: "3" as never }), "Invalid", "number"],
    ["that a misspelt one is not there", two({ treshold: 1 } as never), "no such option", "spelling"],
    ["what an object lacks", two({ estimator: {} as never }), "no estimate", "give an estimator"],
  ])("says of a wrong option %s", (_, options, problem, fix) => {
    expect(() => resolveOptions(options)).toThrow(
      expect.objectContaining({
        problem: expect.stringContaining(problem),
        fix: expect.stringContaining(fix),
      }),
    )
  })

  it("keeps everything that is said of a deployment", () => {
    const said = {
      tenants: ["acme"],
      labels: { region: "eu" },
      weight: 3,
      version: "2026-01",
      gpuMemoryGb: 24,
    }
    expect(resolveOptions(withLight(said)).deployments[0]).toMatchObject(said)
  })

  it("has the defaults that are documented", () => {
    const parts = resolveOptions(two())
    expect(parts).toMatchObject({
      routing: true,
      order: "cheapest",
      quoteInput: "upper-bound",
      maxOutputTokens: 4_096,
      mediaTokens: { image: 4_800, audioClip: 20_000, file: 100_000 },
      estimator: { name: "five-factor" },
      validator: { name: "matches-schema + not-empty" },
      dispatch: {
        maxFallbackAttempts: 2,
        maxRetries: 2,
        retryBaseMs: 250,
        attemptTimeoutMs: undefined,
        now: Date.now,
        random: Math.random,
      },
    })
    expect(parts.deployments[0]).toMatchObject({ weight: 1, labels: {} })
    expect(parts.newId()).not.toBe(parts.newId())
  })

  it("lets every default be replaced", () => {
    const dispatch = {
      maxFallbackAttempts: 0,
      maxRetries: 0,
      retryBaseMs: 0,
      attemptTimeoutMs: 5,
      now: () => 1,
      random: () => 0.5,
    }
    const said = {
      routing: false,
      order: "weighted",
      quoteInput: "estimated",
      maxOutputTokens: 9,
      defaultTier: "light",
      estimator: { name: "mine", estimate: () => ({ score: 0, confidence: 1, factors: {} }) },
      newId: () => "1",
    } as const
    const mediaTokens = { image: 7, file: undefined as never }
    expect(resolveOptions(two({ ...said, ...dispatch, mediaTokens }))).toMatchObject({
      ...said,
      dispatch,
      mediaTokens: { image: 7, audioClip: 20_000, file: 100_000 },
    })
  })

  it("measures savings against every tier's first deployment, cheapest tier first", () => {
    const dear = { inputPerMTok: 10, outputPerMTok: 20 }
    const deployments = [light, { ...heavy, id: "first", price: dear }, { ...heavy, id: "second" }]
    expect(resolveOptions(two({ deployments })).baselines).toMatchObject([
      { deployment: { tier: "light" } },
      { deployment: { id: "first" }, rates: { input: 10_000_000, output: 20_000_000 } },
    ])
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

  it("tells routers apart by all that their answers depend on, as far as a model tells it", () => {
    const fake = (fields: object = {}) =>
      withLight({ model: Object.assign(new FakeListChatModel({ responses: ["x"] }), fields), price: "free" })
    const others: readonly RouterOptions[] = [
      fake({ model: "other" }),
      fake({ temperature: 0 }),
      fake({ clientConfig: { baseURL: "http://localhost:1/v1" } }),
      fake({ apiUrl: "http://localhost:2" }),
      fake({ baseUrl: "http://localhost:3" }),
      fake({ invocationParams: () => ({ reasoning_effort: "high" }) }),
      withLight({ model: fake().deployments[0]?.model, price: "free", version: "2" }),
      withLight({ model: fake().deployments[0]?.model, price: "free", maxOutputTokens: 9 }),
      { ...fake(), maxOutputTokens: 9 },
      { ...fake(), routing: false },
      { ...fake(), defaultTier: "light" },
      { ...fake(), validator: { name: "mine", validate: () => ({ accepted: true }) } },
    ]
    const identities = [fake(), ...others].map((options) => resolveOptions(options).identity)
    expect(new Set(identities).size).toBe(others.length + 1)
    expect(resolveOptions(fake()).identity).toBe(identities[0])
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

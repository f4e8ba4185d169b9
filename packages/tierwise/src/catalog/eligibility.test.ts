import { AIMessage, HumanMessage } from "@langchain/core/messages"
import { FakeListChatModel } from "@langchain/core/utils/testing"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readFeatures } from "../features/read-features.ts"
import type { Deployment } from "../spec/catalog.ts"
import type { RouteRequest } from "../spec/request.ts"
import { ASSUMED_CONTEXT_WINDOW, eligibility } from "./eligibility.ts"

const tiers = ["light", "standard", "heavy"]
const model = new FakeListChatModel({ responses: ["ok"] })
const deployment = (fields: Partial<Deployment> = {}): Deployment => ({
  id: "d",
  tier: "light",
  model,
  price: "free",
  profile: {},
  labels: {},
  weight: 1,
  ...fields,
})
const hello: RouteRequest = { messages: [new HumanMessage("Hello")] }
const tool = { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }
const withBlock = (block: { type: string; [key: string]: unknown }): RouteRequest => ({
  messages: [new HumanMessage({ content: [{ type: "text", text: "See this" }, block] })],
})

function check(
  request: RouteRequest,
  of: Partial<Deployment>,
  bounds = { floor: "light", ceiling: "heavy" },
  mediaTokens = 0,
) {
  const { features } = readFeatures(request)
  const input = { deployments: [deployment(of)], features, request, tiers, defaultMaxOutputTokens: 4_096 }
  const { eligible, excluded } = eligibility({ ...input, ...bounds, mediaTokens })
  return eligible[0]?.maxOutputTokens ?? excluded[0]?.because
}

describe("eligibility", () => {
  it.each<[string, RouteRequest, keyof Deployment["profile"]]>([
    ["tools", { ...hello, tools: [tool] }, "toolCalling"],
    ["a schema", { ...hello, responseFormat: { name: "x", schema: { type: "object" } } }, "structuredOutput"],
    ["an image", withBlock({ type: "image_url", image_url: { url: "https://x.test/a.png" } }), "imageInputs"],
    [
      "audio",
      withBlock({ type: "input_audio", input_audio: { data: "AAAA", format: "wav" } }),
      "audioInputs",
    ],
    [
      "a file",
      withBlock({ type: "file", file: { file_data: "data:application/pdf;base64,AAAA" } }),
      "pdfInputs",
    ],
  ])("fails closed on %s: only a declared capability counts [N4.fail-closed]", (_, request, capability) => {
    const wide = { maxInputTokens: 1_000_000 }
    expect(check(request, { profile: wide })).toContain(`profile.${capability} is not true`)
    expect(check(request, { profile: { ...wide, [capability]: false } })).toContain(`profile.${capability}`)
    expect(check(request, { profile: { ...wide, [capability]: true } })).toBe(4_096)
  })

  it("takes tool calling as a way to answer under a schema", () => {
    const request = { ...hello, responseFormat: { name: "x", schema: { type: "object" } } }
    expect(check(request, { profile: { toolCalling: true } })).toBe(4_096)
  })

  it("needs room for the input and the output that was asked for", () => {
    const long = { messages: [new HumanMessage("word ".repeat(3_000))] }
    expect(check(long, { profile: { maxInputTokens: 2_000 } })).toContain(
      "context window of 2000 tokens is too small",
    )
    const asked = { ...hello, maxOutputTokens: 8_100 }
    expect(check(asked, { profile: { maxInputTokens: 8_000 } })).toContain("too small")
    expect(check(asked, { profile: { maxInputTokens: 9_000 } })).toBe(8_100)
    expect(check(asked, { profile: { maxInputTokens: 9_000, maxOutputTokens: 4_000 } })).toContain(
      "writes at most 4000",
    )
  })

  it("shrinks the default output to the room there is", () => {
    const cap = check(hello, { profile: { maxInputTokens: 1_000 } })
    expect(cap).toBeGreaterThan(900)
    expect(cap).toBeLessThan(1_000)
    expect(check(hello, { profile: { maxInputTokens: 1_000, maxOutputTokens: 300 } })).toBe(300)
  })

  it("wants room for a short answer at least, to the last token", () => {
    const { inputTokens } = readFeatures(hello).features
    const windowFor = (output: number) => ({ maxInputTokens: inputTokens + output })
    expect(check(hello, { profile: windowFor(256) })).toBe(256)
    expect(check(hello, { profile: windowFor(255) })).toContain("256 out")
    expect(check(hello, { maxOutputTokens: 100, profile: windowFor(100) })).toBe(100)
    expect(check(hello, { maxOutputTokens: 100, profile: windowFor(99) })).toContain("100 out")
    const exact = { ...windowFor(300), maxOutputTokens: 300 }
    expect(check({ ...hello, maxOutputTokens: 300 }, { profile: exact })).toBe(300)
  })

  it("keeps room in the window for the media of the request", () => {
    const all = { floor: "light", ceiling: "heavy" }
    const { inputTokens } = readFeatures(hello).features
    const profile = { maxInputTokens: inputTokens + 1_000 }
    expect(check(hello, { profile }, all, 600)).toBe(400)
    expect(check(hello, { profile }, all, 800)).toContain(`too small for ${inputTokens + 800} in`)
  })

  it("assumes a small window where none is declared, and says so", () => {
    const long = { messages: [new HumanMessage("word ".repeat(ASSUMED_CONTEXT_WINDOW))] }
    expect(check(long, {})).toContain("8192 tokens (assumed: profile.maxInputTokens is not set)")
    expect(check(hello, {})).toBe(4_096)
  })

  it("obeys the output cap of the deployment where the call names none", () => {
    expect(check(hello, { maxOutputTokens: 100 })).toBe(100)
    expect(check({ ...hello, maxOutputTokens: 200 }, { maxOutputTokens: 100 })).toBe(200)
  })

  it("wants every label the request asks for", () => {
    const request = { ...hello, labels: { region: "eu" } }
    expect(check(request, {})).toBe("needs label region=eu, has none")
    expect(check(request, { labels: { region: "us" } })).toBe("needs label region=eu, has us")
    expect(check(request, { labels: { region: "eu", local: "true" } })).toBe(4_096)
  })

  it("keeps a tenant's deployment to that tenant, and from calls that name none", () => {
    const tenants = ["acme"]
    expect(check(hello, { tenants })).toContain("the request names none")
    expect(check({ ...hello, scopes: { tenant: "other" } }, { tenants })).toBe('not for tenant "other"')
    expect(check({ ...hello, scopes: { tenant: "acme" } }, { tenants })).toBe(4_096)
  })

  it("stays between floor and ceiling", () => {
    const bounds = { floor: "standard", ceiling: "standard" }
    expect(check(hello, { tier: "light" }, bounds)).toBe('below the floor "standard"')
    expect(check(hello, { tier: "heavy" }, bounds)).toBe('above the ceiling "standard"')
    expect(check(hello, { tier: "standard" }, bounds)).toBe(4_096)
  })

  it("lists every deployment exactly once, and never lets one pass that lacks what is needed [N4.say-why]", () => {
    const flag = fc.option(fc.boolean(), { nil: undefined })
    const profile = fc.record({
      toolCalling: flag,
      imageInputs: flag,
      maxInputTokens: fc.option(fc.integer({ min: 1, max: 50_000 }), { nil: undefined }),
    })
    const request = fc.record({
      tools: fc.boolean(),
      image: fc.boolean(),
      words: fc.nat(5_000),
      want: fc.integer({ min: 1, max: 9_000 }),
    })
    fc.assert(
      fc.property(fc.array(profile, { minLength: 1, maxLength: 6 }), request, (profiles, asked) => {
        const deployments = profiles.map((of, index) => deployment({ id: `${index}`, profile: of }))
        const block = { type: "image_url", image_url: { url: "https://x.test/a.png" } }
        const text = { type: "text", text: "word ".repeat(asked.words) }
        const given: RouteRequest = {
          messages: [
            new AIMessage("Hi"),
            new HumanMessage({ content: asked.image ? [text, block] : [text] }),
          ],
          ...(asked.tools && { tools: [tool] }),
          maxOutputTokens: asked.want,
        }
        const { features } = readFeatures(given)
        const bounds = {
          floor: "light",
          ceiling: "heavy",
          tiers,
          defaultMaxOutputTokens: 4_096,
          mediaTokens: 0,
        }
        const { eligible, excluded } = eligibility({ deployments, features, request: given, ...bounds })
        const listed = [...eligible.map((e) => e.deployment.id), ...excluded.map((e) => e.id)].sort()
        expect(listed).toEqual(deployments.map(({ id }) => id))
        for (const { because } of excluded) expect(because).not.toBe("")
        for (const { deployment: d, maxOutputTokens } of eligible) {
          expect(!asked.tools || d.profile.toolCalling).toBe(true)
          expect(!asked.image || d.profile.imageInputs).toBe(true)
          const window = d.profile.maxInputTokens ?? ASSUMED_CONTEXT_WINDOW
          expect(features.inputTokens + maxOutputTokens).toBeLessThanOrEqual(window)
        }
      }),
    )
  })
})

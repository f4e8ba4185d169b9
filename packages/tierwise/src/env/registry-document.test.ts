import { readFileSync } from "node:fs"
import { inspect } from "node:util"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { priceTable } from "../pricing/price-table.ts"
import { deploymentOf, type RegisteredModel, readDocument, registryDocument } from "./registry-document.ts"

const small = { id: "small", tier: "light", provider: "ollama", model: "tiny", price: "free" }
const large = { ...small, id: "large", tier: "heavy" }
const rules = { defaultTiers: ["light"], tiers: ["light"], hosts: undefined }
const read = (document: unknown, more: object = {}) =>
  readDocument(JSON.stringify(document), { ...rules, ...more })
const build = (fields: object, env = {}) =>
  deploymentOf({ ...small, ...fields } as RegisteredModel, "registry.deployments[0]", {
    env,
    prices: priceTable(),
  })

describe("the document of a model registry", () => {
  it("has a JSON Schema in the docs that says what is checked", () => {
    const page = new URL("../../../../docs/guide/model-registry.schema.json", import.meta.url)
    const {
      $id: _,
      title: __,
      ...published
    } = JSON.parse(readFileSync(page, "utf8")) as Record<string, unknown>
    expect(published).toEqual(z.toJSONSchema(registryDocument))
  })

  it("is read as it is", () => {
    const document = { tiers: ["light", "heavy"], deployments: [small, large] }
    expect(read(document, { tiers: undefined })).toEqual(document)
  })

  it.each<[string, unknown, string]>([
    ["no deployments", { deployments: [] }, "registry.deployments"],
    ["no object", [], "registry"],
    [
      "a field that there is not",
      { deployments: [{ ...small, wieght: 1 }] },
      "registry.deployments[0].wieght",
    ],
    ["a missing id", { deployments: [small, { ...small, id: undefined }] }, "registry.deployments[1].id"],
    [
      "an unknown provider",
      { deployments: [{ ...small, provider: "x" }] },
      "registry.deployments[0].provider",
    ],
    ["a price that is none", { deployments: [{ ...small, price: 3 }] }, "registry.deployments[0].price"],
    ["an API key", { deployments: [{ ...small, apiKey: "sk-1" }] }, "registry.deployments[0].apiKey"],
    [
      "a variable that is not an API key's",
      { deployments: [{ ...small, apiKeyVariable: "DATABASE_URL" }] },
      "registry.deployments[0].apiKeyVariable",
    ],
    [
      "an address that is none",
      { deployments: [{ ...small, baseUrl: "ftp://x" }] },
      "registry.deployments[0].baseUrl",
    ],
    ["other tiers than the router's", { tiers: ["a"], deployments: [small] }, "registry.tiers"],
    ["an id that is there twice", { deployments: [small, small] }, "registry.deployments[1].id"],
    ["a tier that is none", { deployments: [small, large] }, "registry.deployments[1].tier"],
    [
      "an id too long for a key",
      { deployments: [{ ...small, id: "x".repeat(201) }] },
      "registry.deployments[0].id",
    ],
    [
      "a version too long for a key",
      { deployments: [{ ...small, version: "x".repeat(201) }] },
      "registry.deployments[0].version",
    ],
  ])("is refused with %s", (_, document, path) => {
    expect(() => read(document)).toThrow(expect.objectContaining({ code: "invalid-config", path }))
  })

  it("means the default tiers if it names none, and never others than those the router runs with", () => {
    const both = { defaultTiers: ["light", "heavy"] }
    const deployments = [small, large]
    expect(read({ deployments }, { ...both, tiers: undefined }).tiers).toEqual(["light", "heavy"])
    expect(read({ deployments }, { ...both, tiers: ["light", "heavy"] }).tiers).toEqual(["light", "heavy"])
    const running = { ...both, tiers: ["light"] }
    expect(() => read({ deployments }, running)).toThrow(
      "registry.tiers: without them it means light, heavy, which are not the router's (light). Fix: name light,",
    )
    expect(read({ tiers: ["light"], deployments: [small] }, running).tiers).toEqual(["light"])
  })

  it("has somebody in every tier itself, whoever else is there", () => {
    const tiers = ["light", "heavy"]
    expect(() => read({ tiers, deployments: [small] }, { tiers })).toThrow(
      'registry.deployments: the tier "heavy" has none',
    )
  })

  it("is refused if it is no JSON, and nothing of it is told", () => {
    const error = thrownBy(() => readDocument('{"apiKey": s3cr3t}', rules))
    expect(error.message).toContain("it is not JSON")
    expect(inspect(error)).not.toContain("s3cr3t")
  })

  const sendingTo = (host: string, baseUrl: string) => () =>
    read({ deployments: [{ ...small, baseUrl }] }, { hosts: [host] })

  it.each([
    ["models.example:8000", "http://models.example:8000/v1"],
    ["models.example", "https://models.example/v1"],
    ["models.example", "https://models.example:443/v1"],
    ["models.example", "http://models.example/v1"],
    ["models.example:443", "https://models.example/v1"],
    ["Models.Example", "https://models.example/v1"],
    ["[2001:DB8::1]", "https://[2001:db8::1]/v1"],
  ])("may, with %s allowed, send calls to %s", (host, baseUrl) => {
    expect(sendingTo(host, baseUrl)).not.toThrow()
  })

  it.each([
    ["models.example", "https://elsewhere.example/v1"],
    ["models.example", "https://models.example:8443/v1"],
    ["models.example:8000", "http://models.example/v1"],
    ["models.example:443", "http://models.example/v1"],
    ["models.example:80", "https://models.example/v1"],
  ])("may not, with %s allowed, send calls to %s", (host, baseUrl) => {
    expect(sendingTo(host, baseUrl)).toThrow(
      `registry.deployments[0].baseUrl: ${new URL(baseUrl).host} is not a host that may be called. Fix: use one of ${host},`,
    )
  })

  it.each([
    "https://user:s3cr3t@models.example/v1",
    "https://s3cr3t@models.example/v1",
    "https://:s3cr3t@models.example/v1",
    "https://models.example:s3cr3t@elsewhere.example/v1",
  ])("is refused with a password in an address, and it is not told: %s", (baseUrl) => {
    const error = thrownBy(() =>
      read({ deployments: [{ ...small, baseUrl }] }, { hosts: ["models.example", "elsewhere.example"] }),
    )
    expect(error).toMatchObject({ path: "registry.deployments[0].baseUrl" })
    expect(inspect(error)).not.toContain("s3cr3t")
  })

  it("sends no key where it could be read on its way", () => {
    const at = (baseUrl: string, apiKeyVariable?: string) => () =>
      read({ deployments: [{ ...small, provider: "openai", baseUrl, apiKeyVariable }] })
    expect(at("http://models.example/v1", "OPENAI_API_KEY")).toThrow(
      "registry.deployments[0].baseUrl: the API key could be read on its way to models.example",
    )
    expect(at("https://models.example/v1", "OPENAI_API_KEY")).not.toThrow()
    expect(at("http://10.0.0.7:8000/v1", "OPENAI_API_KEY")).not.toThrow()
    expect(at("http://models.example/v1")).not.toThrow()
  })

  it("names the variable of a key, never the key, and sends a provider's key nowhere else unasked", async () => {
    const openai = { provider: "openai", model: "gpt-4.1-nano", price: undefined }
    const env = { OPENAI_API_KEY: "usual", EU_API_KEY: "european" }
    const keyOf = async (fields: object) => {
      const { model } = await build({ ...openai, ...fields }, env)
      return (model as unknown as { apiKey: string }).apiKey
    }
    expect(await keyOf({})).toBe("usual")
    const elsewhere = { baseUrl: "https://eu.example/v1", price: "free" }
    expect(await keyOf({ ...elsewhere, apiKeyVariable: "EU_API_KEY" })).toBe("european")
    await expect(keyOf(elsewhere)).rejects.toMatchObject({ path: "registry.deployments[0].apiKeyVariable" })
    await expect(keyOf({ apiKeyVariable: "US_API_KEY" })).rejects.toThrow("set US_API_KEY")
  })

  it("takes published prices where it says none, and guesses nothing [A2.cost]", async () => {
    const openai = { provider: "openai", model: "gpt-4.1-nano", price: undefined }
    const { price } = await build(openai, { OPENAI_API_KEY: "k" })
    expect(price).toMatchObject({ inputPerMTok: 0.1, outputPerMTok: 0.4 })
    for (const unknown of [{ ...openai, model: "no-such-model" }, { price: undefined }])
      await expect(build(unknown, { OPENAI_API_KEY: "k" })).rejects.toMatchObject({
        path: "registry.deployments[0].price",
      })
  })

  it("has no addresses for packages that serve one", async () => {
    await expect(build({ provider: "novita", baseUrl: "https://x.example" })).rejects.toMatchObject({
      path: "registry.deployments[0].baseUrl",
    })
  })
})

function thrownBy(action: () => unknown): Error {
  try {
    action()
  } catch (error) {
    return error as Error
  }
  throw new Error("it threw nothing")
}

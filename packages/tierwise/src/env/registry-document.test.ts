import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { priceTable } from "../pricing/price-table.ts"
import { deploymentOf, type RegisteredModel, readDocument, registryDocument } from "./registry-document.ts"

const small = { id: "small", tier: "light", provider: "ollama", model: "tiny", price: "free" }
const rules = { tiers: ["light", "heavy"], hosts: undefined }
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
    const document = { tiers: ["light", "heavy"], deployments: [small] }
    expect(read(document)).toEqual(document)
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
  ])("is refused with %s", (_, document, path) => {
    expect(() => read(document)).toThrow(expect.objectContaining({ code: "invalid-config", path }))
  })

  it("is refused if it is no JSON, or sends calls to a host that was not allowed", () => {
    expect(() => readDocument("<html>", rules)).toThrow("registry: it is not JSON")
    const at = (baseUrl: string) => ({ deployments: [{ ...small, baseUrl }] })
    const hosts = ["models.example:8000"]
    expect(() => read(at("http://models.example:8000/v1"), { hosts })).not.toThrow()
    expect(() => read(at("http://elsewhere.example/v1"), { hosts })).toThrow(
      "registry.deployments[0].baseUrl: elsewhere.example is not a host that may be called",
    )
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

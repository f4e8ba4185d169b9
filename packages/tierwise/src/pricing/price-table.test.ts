import { describe, expect, it } from "vitest"
import { priceTableContract } from "../testing/price-table-contract.ts"
import { priceTable, type StalePrice } from "./price-table.ts"

const own = { inputPerMTok: 1, outputPerMTok: 2, source: "https://example.com/prices", asOf: "2026-10-01" }
const day = (date: string) => () => Date.parse(`${date}T12:00:00Z`)
const failure = (promise: Promise<unknown>) => promise.then(String, (error: unknown) => error)

describe("priceTable", () => {
  const contract = priceTableContract({
    table: priceTable({
      overrides: { "vllm/qwen": { costWeight: 3 }, "openai/mine": own, "ollama/q": "free" },
    }),
    known: [
      { provider: "openai", model: "gpt-4o-mini" },
      { provider: "anthropic", model: "claude-sonnet-4-5" },
      { provider: "vllm", model: "qwen" },
      { provider: "openai", model: "mine" },
      { provider: "ollama", model: "q" },
    ],
    unknown: { provider: "openai", model: "never-heard-of" },
  })
  for (const { name, run } of contract) it(name, () => expect(run()).resolves.toBeUndefined())

  it("prices a deployment without a figure written, with its source and date", async () => {
    expect(await priceTable().priceOf("openai", "gpt-4o-mini")).toMatchObject({
      inputPerMTok: 0.15,
      outputPerMTok: 0.6,
      cachedInputPerMTok: 0.075,
      source: "@pydantic/genai-prices, openai/gpt-4o-mini",
      asOf: "2026-09-23",
    })
  })

  it("lets what the user knows better win", async () => {
    const table = priceTable({ overrides: { "openai/gpt-4o-mini": own } })
    expect(await table.priceOf("openai", "gpt-4o-mini")).toEqual(own)
    expect(await table.priceOf("azure", "gpt-4o-mini")).toMatchObject({ inputPerMTok: 0.15 })
  })

  it("refuses an unknown price by its name, and says what to do; only what is said to be free is free [N1.unknown-price-refused]", async () => {
    const table = priceTable({ overrides: { "openai/gift": "free" } })
    expect(await table.priceOf("openai", "gift")).toBe("free")
    expect(await failure(table.priceOf("openai", "never-heard-of"))).toMatchObject({
      code: "invalid-config",
      path: 'prices["openai/never-heard-of"]',
      fix: expect.stringContaining("overrides"),
    })
  })

  it("tells once of a price that was read more than sixty days ago, and uses it all the same", async () => {
    const stale: StalePrice[] = []
    const onStale = (one: StalePrice) => stale.push(one)
    const table = (now: string, more: object = {}) => priceTable({ onStale, now: day(now), ...more })
    // Sixty days after 2026-09-23.
    await table("2026-11-22").priceOf("openai", "gpt-4o-mini")
    expect(stale).toEqual([])
    const later = table("2026-11-23", { overrides: { "openai/mine": own } })
    for (let i = 0; i < 3; i++) await later.priceOf("openai", "gpt-4o-mini")
    await later.priceOf("openai", "gpt-4o")
    await later.priceOf("openai", "mine")
    expect(stale).toMatchObject([
      { provider: "openai", model: "gpt-4o-mini", asOf: "2026-09-23", ageDays: 61 },
      { provider: "openai", model: "gpt-4o", asOf: "2026-09-23", ageDays: 61 },
    ])
    expect(await later.priceOf("openai", "gpt-4o-mini")).toMatchObject({ inputPerMTok: 0.15 })
  })

  it("takes the age at which a price is stale, and the date of refreshed data, from the user", async () => {
    const ages: number[] = []
    const onStale = ({ ageDays }: StalePrice) => ages.push(ageDays)
    const ask = (options: object) =>
      priceTable({ onStale, now: day("2026-11-23"), ...options }).priceOf("openai", "gpt-4o")
    await ask({ staleAfterDays: Number.POSITIVE_INFINITY })
    await ask({ publishedAsOf: "2026-11-01" })
    expect(ages).toEqual([])
    expect(await ask({ publishedAsOf: "2026-11-01", staleAfterDays: 21 })).toMatchObject({
      asOf: "2026-11-01",
    })
    expect(ages).toEqual([22])
  })

  it("gives the price also when the warning fails", async () => {
    const onStale = () => {
      throw new Error("no pager")
    }
    const table = priceTable({ onStale, staleAfterDays: 0 })
    expect(await table.priceOf("openai", "gpt-4o")).toMatchObject({ inputPerMTok: 2.5 })
  })

  it("gives the price also when the warning is sent, and that fails later", async () => {
    const unhandled: unknown[] = []
    const hear = (error: unknown) => unhandled.push(error)
    process.on("unhandledRejection", hear)
    try {
      const onStale = (): unknown => Promise.reject(new Error("no pager"))
      const table = priceTable({ onStale, staleAfterDays: 0 })
      expect(await table.priceOf("openai", "gpt-4o")).toMatchObject({ inputPerMTok: 2.5 })
      await new Promise((resolve) => setImmediate(resolve))
      expect(unhandled).toEqual([])
    } finally {
      process.off("unhandledRejection", hear)
    }
  })

  it.each([
    ["no price", { "a/b": 3 }, 'overrides["a/b"]'],
    ["a negative price", { "a/b": { ...own, inputPerMTok: -1 } }, 'overrides["a/b"].inputPerMTok'],
    ["a misspelt price", { "a/b": { ...own, cachedInputPerMtok: 1 } }, 'overrides["a/b"].cachedInputPerMtok'],
    ["a price from nowhere", { "a/b": { ...own, source: undefined } }, 'overrides["a/b"].source'],
    ["a price of no date", { "a/b": { ...own, asOf: undefined } }, 'overrides["a/b"].asOf'],
    ["a price of an odd date", { "a/b": { ...own, asOf: "last week" } }, 'overrides["a/b"].asOf'],
  ])("refuses %s among the overrides by its path", (_, overrides, path) => {
    expect(() => priceTable({ overrides: overrides as never })).toThrow(expect.objectContaining({ path }))
  })

  it("refuses an age that is none, and a date that is none", () => {
    expect(() => priceTable({ staleAfterDays: -1 })).toThrow("staleAfterDays")
    expect(() => priceTable({ publishedAsOf: "yesterday" })).toThrow("publishedAsOf")
  })
})

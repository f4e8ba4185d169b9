import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it, vi } from "vitest"
import { priceTable } from "../pricing/price-table.ts"
import { resolveOptions } from "../route/resolve-options.ts"
import { RouterChatModel } from "../router-chat-model.ts"
import type { BudgetStore, BudgetWarning } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { optionsFromEnv } from "./options-from-env.ts"
import { PROVIDERS, type Provider } from "./providers.ts"
import { readEnvFile } from "./read-env-file.ts"

type Env = Record<string, string>
const read = (env: Env = {}) => optionsFromEnv({ env, envFile: false })
const modelOf = async (env: Env, index = 0) => {
  const { model } = (await read(env)).deployments[index] ?? {}
  return {
    ...(model as unknown as { model: string; clientConfig?: { baseURL?: string } }),
    name: model?.getName(),
  }
}
const reject = (env: Env) =>
  read(env).then(
    () => undefined,
    (error: unknown) => error as ConfigError,
  )

describe("optionsFromEnv", () => {
  it("has the three self-hosted tiers by default, with weights and GPU memory [E2.default-light] [E2.default-standard] [E2.default-heavy] [E2.cost-weight] [E2.gpu-memory]", async () => {
    const { deployments, routing } = await read()
    expect(routing).toBe(true)
    expect(resolveOptions(await read()).deployments.map(({ id }) => id)).toEqual([
      "light/qwen2.5:7b",
      "standard/qwen2.5:32b",
      "heavy/qwen2.5:72b",
    ])
    expect(deployments.map(({ model }) => model.getName())).toEqual([
      "ChatOllama",
      "ChatOllama",
      "ChatOpenAI",
    ])
    expect(deployments.map(({ price }) => price)).toEqual([
      { costWeight: 1 },
      { costWeight: 3 },
      { costWeight: 10 },
    ])
    expect(deployments.map(({ gpuMemoryGb }) => gpuMemoryGb)).toEqual([8, 32, 72])
  })

  it.each([
    ["MODEL_LIGHT", "E8.model-light", 0],
    ["MODEL_STANDARD", "E8.model-standard", 1],
    ["MODEL_HEAVY", "E8.model-heavy", 2],
  ])("takes the model of %s [%s]", async (variable, _, index) => {
    expect(await modelOf({ [variable]: "ollama/tiny:1b" }, index)).toMatchObject({
      name: "ChatOllama",
      model: "tiny:1b",
    })
  })

  it("builds each provider's chat model from its name", async () => {
    const keys = {
      OPENAI_API_KEY: "k",
      ANTHROPIC_API_KEY: "k",
      TOGETHER_AI_API_KEY: "k",
      MODEL_LIGHT_PRICE: "1/2",
    }
    const built = (model: string) => modelOf({ ...keys, MODEL_LIGHT: model })
    expect(await built("openai/gpt-4o-mini")).toMatchObject({ name: "ChatOpenAI", model: "gpt-4o-mini" })
    expect(await built("anthropic/claude-3-5-haiku-latest")).toMatchObject({ name: "ChatAnthropic" })
    expect(await built("togetherai/meta-llama/Llama-3-8b-chat-hf")).toMatchObject({
      name: "ChatTogetherAI",
      model: "meta-llama/Llama-3-8b-chat-hf",
    })
    expect((await built("vllm/qwen")).clientConfig?.baseURL).toBe("http://127.0.0.1:8000/v1")
    expect(await built("ollama/qwen")).toMatchObject({ baseUrl: "http://127.0.0.1:11434" })
  })

  it.each([
    ["fireworks", "FIREWORKS_API_KEY", "ChatFireworks"],
    ["deepinfra", "DEEPINFRA_API_TOKEN", "ChatDeepInfra"],
    ["moonshot", "MOONSHOT_API_KEY", "ChatMoonshot"],
    ["perplexity", "PERPLEXITY_API_KEY", "ChatPerplexity"],
    ["novita", "NOVITA_API_KEY", "ChatNovita"],
  ])("needs for %s the key %s and no other", async (provider, key, name) => {
    const env = { MODEL_LIGHT: `${provider}/m`, MODEL_LIGHT_PRICE: "1/2" }
    expect(await modelOf({ ...env, [key]: "k" })).toMatchObject({ name })
    expect(await reject(env)).toMatchObject({ path: "MODEL_LIGHT", fix: `set ${key}` })
  })

  it("says what to install where a provider's package is missing, and hides no other trouble", async () => {
    const { ollama } = PROVIDERS
    const load = vi.spyOn(ollama as Provider, "load")
    load.mockRejectedValue(Object.assign(new Error("gone"), { code: "ERR_MODULE_NOT_FOUND" }))
    expect(await reject({})).toMatchObject({
      path: "MODEL_LIGHT",
      fix: "npm install @langchain/ollama",
      cause: expect.objectContaining({ message: "gone" }),
    })
    const broken = new Error("broken package")
    load.mockRejectedValue(broken)
    expect(await reject({})).toBe(broken)
    load.mockRestore()
  })

  it("takes the server of a name over the variable's", async () => {
    const env = { MODEL_LIGHT: "ollama/m@http://127.0.0.1:2", OLLAMA_BASE_URL: "http://127.0.0.1:1" }
    expect(await modelOf(env)).toMatchObject({ baseUrl: "http://127.0.0.1:2" })
    expect(await modelOf({ ...env, MODEL_LIGHT: "ollama/m" })).toMatchObject({
      baseUrl: "http://127.0.0.1:1",
    })
  })

  it("takes a variable that is set to nothing as not set, and no notice of spaces around a value", async () => {
    const env = { MODEL_LIGHT: "", MODEL_STANDARD: "  ", MODEL_HEAVY: " ollama/x " }
    const { deployments } = await read(env)
    const names = deployments.map(({ model }) => (model as unknown as { model: string }).model)
    expect(names).toEqual(["qwen2.5:7b", "qwen2.5:32b", "x"])
  })

  it("takes any OpenAI-compatible server, named by variable or in place", async () => {
    const model = "openai-compatible/m"
    const byVariable = await modelOf({
      MODEL_LIGHT: model,
      OPENAI_COMPATIBLE_BASE_URL: "http://127.0.0.1:1/v1",
    })
    expect(byVariable.clientConfig?.baseURL).toBe("http://127.0.0.1:1/v1")
    const inPlace = await modelOf({ MODEL_LIGHT: `${model}@http://127.0.0.1:2/v1` })
    expect(inPlace).toMatchObject({ model: "m", clientConfig: { baseURL: "http://127.0.0.1:2/v1" } })
  })

  it("prices a provider's model as published, and refuses one nobody lists", async () => {
    const paid = { OPENAI_API_KEY: "k", MODEL_LIGHT: "openai/gpt-4o-mini" }
    expect((await read(paid)).deployments[0]?.price).toMatchObject({ inputPerMTok: 0.15, outputPerMTok: 0.6 })
    expect(await reject({ ...paid, MODEL_LIGHT: "openai/never-heard-of" })).toMatchObject({
      path: "MODEL_LIGHT_PRICE",
    })
    const said = { ...paid, MODEL_LIGHT: "openai/never-heard-of", MODEL_LIGHT_PRICE: "0.5/2" }
    const deployment = (await read(said)).deployments[0]
    expect(deployment?.price).toEqual({ inputPerMTok: 0.5, outputPerMTok: 2 })
    // Nobody knows on what hardware a provider runs it.
    expect(deployment).not.toHaveProperty("gpuMemoryGb")
    const free = { ...paid, MODEL_LIGHT_PRICE: "free" }
    expect((await read(free)).deployments[0]?.price).toBe("free")
  })

  it("asks the caller's own price table, if there is one, for prices that no variable says", async () => {
    const mine = { inputPerMTok: 3, outputPerMTok: 12, source: "our contract", asOf: "2026-11-01" }
    const prices = priceTable({ overrides: { "openai/ft:ours": mine } })
    const env = { OPENAI_API_KEY: "none", MODEL_LIGHT: "openai/ft:ours" }
    const { deployments } = await optionsFromEnv({ env, envFile: false, prices })
    expect(deployments[0]?.price).toEqual(mine)
    await expect(read(env)).rejects.toMatchObject({ path: "MODEL_LIGHT_PRICE" })
  })

  it("finds published prices also where the price list knows the provider by another name", async () => {
    const env = {
      MODEL_LIGHT: "togetherai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
      TOGETHER_AI_API_KEY: "k",
    }
    expect((await read(env)).deployments[0]?.price).toMatchObject({ inputPerMTok: 0.88 })
  })

  it("scales cost weights with the base price [E8.price-cost-weight]", async () => {
    const { deployments } = await read({ MODEL_BASE_PRICE: "0.25" })
    expect(deployments.map(({ price }) => price)).toEqual([
      { costWeight: 1, base: 0.25 },
      { costWeight: 3, base: 0.25 },
      { costWeight: 10, base: 0.25 },
    ])
  })

  it("limits tokens per tenant by day and month, and all dollars by month [E4.daily] [E4.monthly] [C4.limit]", async () => {
    const limits = async (env: Env) => {
      const statuses = await (await read(env)).budget?.status({ tenant: "a" })
      return statuses?.map(({ window, unit, limit }) => [window, unit, limit])
    }
    expect(await limits({})).toEqual([
      ["day", "tokens", 1_000_000],
      ["month", "tokens", 20_000_000],
      ["month", "NanoUsd", 100e9],
    ])
    const none = { TOKEN_BUDGET_DAILY: "none", TOKEN_BUDGET_MONTHLY: "none", MONTHLY_BUDGET_LIMIT: "none" }
    expect(await limits(none)).toBeUndefined()
  })

  it("keeps one tenant's tokens apart from another's [E4.per-tenant]", async () => {
    const { budget } = await read({ TOKEN_BUDGET_DAILY: "100" })
    const scopesOf = async (tenant: string) =>
      (await budget?.status({ tenant }))?.map(({ scope, window }) => [scope, window])
    expect(await scopesOf("a")).toEqual([
      ["tenant:a", "day"],
      ["tenant:a", "month"],
      ["global:all", "month"],
    ])
  })

  it("begins the budget's day where its time zone says", async () => {
    const { budget } = await read({ BUDGET_TIME_ZONE: "Asia/Tokyo" })
    const [day] = (await budget?.status({})) ?? []
    expect(new Date(day?.resetsAt ?? 0).toISOString()).toMatch(/T15:00:00.000Z$/)
  })

  it("limits all dollars of a month together", async () => {
    const { budget } = await read({ MONTHLY_BUDGET_LIMIT: "25" })
    expect(await budget?.status({ tenant: "a" })).toContainEqual(
      expect.objectContaining({ scope: "global:all", window: "month", unit: "NanoUsd", limit: 25e9 }),
    )
  })

  it("limits what one request may cost, and warns at a share of it [A1.request-budget] [A1.alert-threshold]", async () => {
    const warned: number[] = []
    const env = { DEFAULT_BUDGET: "0.01", COST_ALERT_THRESHOLD: "0.5" }
    const options = {
      env,
      envFile: false,
      onWarning: ({ share }: BudgetWarning) => warned.push(share),
    } as const
    const budget = (await optionsFromEnv(options)).budget as BudgetStore
    const scopes = { request: "r-1" }
    const amount = (money: number) => ({ money: nanoUsd(money), tokens: 0 })
    expect(await budget.reserve({ id: "dear", scopes, amount: amount(10_000_001) })).toMatchObject({
      granted: false,
      refusal: { scope: "request:r-1", limit: 10_000_000 },
    })
    for (const [id, money] of [["a", 4_000_000] as const, ["b", 1_000_000] as const]) {
      await budget.reserve({ id, scopes, amount: amount(money) })
      await budget.settle(id, amount(money))
    }
    expect(warned).toEqual([0.5])
    const defaults = await read({ DEFAULT_BUDGET: "0.01" })
    expect((await defaults.budget?.status(scopes))?.at(-1)).toMatchObject({ scope: "request:r-1", spent: 0 })
  })

  it("lets an option win over its variable, but not one that is undefined", async () => {
    const router = { routing: false, budget: undefined, maxFallbackAttempts: 7 }
    const options = await optionsFromEnv({ env: { MAX_FALLBACK_ATTEMPTS: "1" }, envFile: false, router })
    expect(options).toMatchObject({ routing: false, maxFallbackAttempts: 7 })
    expect(await options.budget?.status({})).toHaveLength(3)
  })

  it.each([
    "http://127.0.0.1:1/v1",
    "http://localhost:1/v1",
    "http://[::1]:1/v1",
    "http://10.1.2.3/v1",
    "http://172.16.0.1/v1",
    "http://192.168.1.1/v1",
    "http://gpu.internal/v1",
    "http://vllm:8000/v1",
    "http://[fd00::1]/v1",
  ])("prices an OpenAI-compatible server of one's own, at %s, by cost weight", async (server) => {
    const [light] = (await read({ MODEL_LIGHT: `openai-compatible/m@${server}` })).deployments
    expect(light).toMatchObject({ price: { costWeight: 1 }, gpuMemoryGb: 8 })
    const byVariable = { MODEL_LIGHT: "openai-compatible/m", OPENAI_COMPATIBLE_BASE_URL: server }
    expect((await read(byVariable)).deployments[0]?.price).toEqual({ costWeight: 1 })
  })

  it.each([
    "http://172.32.0.1/v1",
    "https://api.example.com/v1",
    "https://10.example.com/v1",
    "https://localhost.example.com",
  ])("asks for the price of an OpenAI-compatible server at %s", async (server) => {
    expect(await reject({ MODEL_LIGHT: `openai-compatible/m@${server}` })).toMatchObject({
      path: "MODEL_LIGHT_PRICE",
    })
  })

  it("takes how many candidates may be asked after the first [A1.max-fallback-attempts]", async () => {
    expect((await read({ MAX_FALLBACK_ATTEMPTS: "0" })).maxFallbackAttempts).toBe(0)
    expect(await read()).not.toHaveProperty("maxFallbackAttempts")
  })

  it("reads the limits from the environment [E8.budget-daily] [E8.budget-monthly]", async () => {
    const { budget } = await read({ TOKEN_BUDGET_DAILY: "10", TOKEN_BUDGET_MONTHLY: "1_000" })
    expect((await budget?.status({}))?.map(({ limit }) => limit)).toEqual([10, 1_000, 100e9])
  })

  it("switches routing off by either name [E8.routing-enabled] [D5.enable-model-routing]", async () => {
    expect((await read({ MODEL_ROUTING_ENABLED: "false" })).routing).toBe(false)
    expect((await read({ ENABLE_MODEL_ROUTING: "0" })).routing).toBe(false)
    expect((await read({ MODEL_ROUTING_ENABLED: "TRUE", ENABLE_MODEL_ROUTING: "0" })).routing).toBe(true)
  })

  it("understands the names of the two-model system [D5.model-3b-name] [D5.model-8b-name]", async () => {
    const env = { MODEL_3B_NAME: "llama3.2:3b", MODEL_8B_NAME: "llama3.1:8b" }
    expect((await read(env)).tiers).toEqual(["light", "heavy"])
    expect(await modelOf(env, 0)).toMatchObject({ name: "ChatOllama", model: "llama3.2:3b" })
    expect(await modelOf(env, 1)).toMatchObject({ model: "llama3.1:8b" })
  })

  it("has three tiers again when a third model is named beside those two, or only one of them is", async () => {
    const both = { MODEL_3B_NAME: "llama3.2:3b", MODEL_8B_NAME: "llama3.1:8b" }
    const three = ["light", "standard", "heavy"]
    expect((await read({ ...both, MODEL_STANDARD: "ollama/x" })).tiers).toEqual(three)
    const one = { MODEL_3B_NAME: "llama3.2:3b", MODEL_LIGHT_CONTEXT: "4096" }
    expect((await read(one)).tiers).toEqual(three)
    expect((await read(one)).deployments[0]?.profile).toEqual({ maxInputTokens: 4_096 })
  })

  it("knows what the default models can do", async () => {
    const { deployments } = await read()
    for (const { profile } of deployments)
      expect(profile).toEqual({ maxInputTokens: 32_768, toolCalling: true, structuredOutput: true })
  })

  it("takes what an unknown model can do from the environment", async () => {
    const env = {
      MODEL_LIGHT: "ollama/x",
      MODEL_LIGHT_CAPABILITIES: "tools, images",
      MODEL_LIGHT_CONTEXT: "4096",
      MODEL_STANDARD: "ollama/y",
      MODEL_STANDARD_CAPABILITIES: "schema,audio,files",
    }
    const [light, standard] = (await read(env)).deployments
    expect(light?.profile).toEqual({ toolCalling: true, imageInputs: true, maxInputTokens: 4_096 })
    expect(standard?.profile).toEqual({ structuredOutput: true, audioInputs: true, pdfInputs: true })
  })

  it.each<[string, Env, string, string]>([
    ["a model without a provider", { MODEL_LIGHT: "gpt-4o" }, "MODEL_LIGHT", "provider/model"],
    ["an unknown provider", { MODEL_HEAVY: "acme/x" }, "MODEL_HEAVY", "ollama"],
    ["a name from the object prototype", { MODEL_HEAVY: "constructor/x" }, "MODEL_HEAVY", "ollama"],
    ["a provider without a model", { MODEL_LIGHT: "ollama/" }, "MODEL_LIGHT", "provider/model"],
    ["a missing key", { MODEL_LIGHT: "openai/gpt-4o-mini" }, "MODEL_LIGHT", "OPENAI_API_KEY"],
    [
      "a server nobody names",
      { MODEL_LIGHT: "openai-compatible/x" },
      "MODEL_LIGHT",
      "OPENAI_COMPATIBLE_BASE_URL",
    ],
    ["a price in words", { MODEL_LIGHT_PRICE: "cheap" }, "MODEL_LIGHT_PRICE", "free"],
    ["an unknown capability", { MODEL_LIGHT_CAPABILITIES: "magic" }, "MODEL_LIGHT_CAPABILITIES", "tools"],
    ["a price of three figures", { MODEL_LIGHT_PRICE: "1/2/3" }, "MODEL_LIGHT_PRICE", "input/output"],
    ["a base price of nothing", { MODEL_BASE_PRICE: "0" }, "MODEL_BASE_PRICE", "positive"],
    ["a budget of no tokens", { TOKEN_BUDGET_DAILY: "0" }, "TOKEN_BUDGET_DAILY", "none"],
    ["fewer fallbacks than none", { MAX_FALLBACK_ATTEMPTS: "-1" }, "MAX_FALLBACK_ATTEMPTS", "from 0"],
    ["a time zone nobody has", { BUDGET_TIME_ZONE: "Mars/Base" }, "BUDGET_TIME_ZONE", "IANA"],
    ["a request for nothing", { DEFAULT_BUDGET: "0" }, "DEFAULT_BUDGET", "positive"],
    ["an alert beyond the budget", { COST_ALERT_THRESHOLD: "80" }, "COST_ALERT_THRESHOLD", "0.8"],
    ["a budget of no dollars", { MONTHLY_BUDGET_LIMIT: "0" }, "MONTHLY_BUDGET_LIMIT", "positive"],
    [
      "a server that is no address",
      { MODEL_LIGHT: "openai-compatible/x", OPENAI_COMPATIBLE_BASE_URL: "gpu box" },
      "MODEL_LIGHT_PRICE",
      "free",
    ],
    ["a budget in words", { TOKEN_BUDGET_DAILY: "lots" }, "TOKEN_BUDGET_DAILY", "none"],
    [
      "a flag that is neither",
      { MODEL_ROUTING_ENABLED: "perhaps" },
      "MODEL_ROUTING_ENABLED",
      "true or false",
    ],
  ])("refuses %s, naming the variable and the fix", async (_, env, path, fix) => {
    const error = await reject(env)
    expect(error).toBeInstanceOf(ConfigError)
    expect(error).toMatchObject({ path, fix: expect.stringContaining(fix) })
  })

  it("reads .env, where the real environment wins", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tierwise-env-"))
    const envFile = join(folder, ".env")
    await writeFile(envFile, 'MODEL_LIGHT="ollama/from-file"\nMODEL_HEAVY=ollama/from-file\n')
    const { deployments } = await optionsFromEnv({ env: { MODEL_HEAVY: "ollama/from-env" }, envFile })
    await rm(folder, { recursive: true })
    const names = deployments.map(({ model }) => (model as unknown as { model: string }).model)
    expect(names).toEqual(["from-file", "qwen2.5:32b", "from-env"])
  })

  it("does without .env in a working directory that has none", async () => {
    await expect(readEnvFile(undefined)).resolves.toBeTypeOf("object")
  })

  it("says so when a file that was named is not there", async () => {
    const failing = optionsFromEnv({ env: {}, envFile: "/nowhere/.env" })
    await expect(failing).rejects.toMatchObject({ path: "envFile", constructor: ConfigError })
  })

  it("is the way RouterChatModel.fromEnv goes", async () => {
    const router = await RouterChatModel.fromEnv({ env: {}, envFile: false })
    const { candidates } = await router.explain("Hello")
    expect(candidates[0]?.deploymentId).toBe("light/qwen2.5:7b")
  })
})

import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { resolveOptions } from "../route/resolve-options.ts"
import { RouterChatModel } from "../router-chat-model.ts"
import { ConfigError } from "../spec/errors.ts"
import { optionsFromEnv } from "./options-from-env.ts"

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
    expect((await read(said)).deployments[0]?.price).toEqual({ inputPerMTok: 0.5, outputPerMTok: 2 })
  })

  it("limits tokens per tenant by day and month [E4.daily] [E4.monthly]", async () => {
    const limits = async (env: Env) => {
      const statuses = await (await read(env)).budget?.status({ tenant: "a" })
      return statuses?.map(({ window, unit, limit }) => [window, unit, limit])
    }
    expect(await limits({})).toEqual([
      ["day", "tokens", 1_000_000],
      ["month", "tokens", 20_000_000],
    ])
    expect(await limits({ TOKEN_BUDGET_DAILY: "none", TOKEN_BUDGET_MONTHLY: "none" })).toBeUndefined()
  })

  it("reads the limits from the environment [E8.budget-daily] [E8.budget-monthly]", async () => {
    const { budget } = await read({ TOKEN_BUDGET_DAILY: "10", TOKEN_BUDGET_MONTHLY: "1_000" })
    expect((await budget?.status({}))?.map(({ limit }) => limit)).toEqual([10, 1_000])
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

  it("takes what an unknown model can do from the environment", async () => {
    const env = {
      MODEL_LIGHT: "ollama/x",
      MODEL_LIGHT_CAPABILITIES: "tools, images",
      MODEL_LIGHT_CONTEXT: "4096",
    }
    const { profile } = (await read(env)).deployments[0] ?? {}
    expect(profile).toEqual({ toolCalling: true, imageInputs: true, maxInputTokens: 4_096 })
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

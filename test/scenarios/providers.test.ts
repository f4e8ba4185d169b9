import { ChatTogetherAI } from "@langchain/community/chat_models/togetherai"
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base"
import { RouterChatModel, type RouterOptions } from "tierwise"
import { describe, expect, it } from "vitest"
import { deploymentOf, openWorld, replyMetadata } from "./world.ts"

describe("deployments from other packages", () => {
  it("may come from @langchain/community [L7.community-chat-models]", async () => {
    await using world = await openWorld()
    const together = new ChatTogetherAI({ model: "sim-small", apiKey: "none" })
    // The package has no option for another server; its client's configuration is public.
    together.clientConfig = { ...together.clientConfig, baseURL: world.simulator.baseUrl }
    const { simulator } = world
    const router = new RouterChatModel({
      tiers: ["light", "heavy"],
      deployments: [
        { ...deploymentOf(simulator, "light", "sim-small"), model: together },
        deploymentOf(simulator, "heavy", "sim-large"),
      ],
      maxOutputTokens: 55,
    })
    const reply = await router.invoke("Hello")
    expect(replyMetadata(reply).tier).toBe("light")
    expect(world.bodies()[0]).toMatchObject({ model: "sim-small", max_tokens: 55 })
    for await (const _ of await router.stream("Hello"));
    expect(world.bodies()[1]).toMatchObject({ stream: true, max_tokens: 55 })
  })
})

describe("RouterChatModel.fromEnv", () => {
  const ask = async (
    env: Record<string, string>,
    input: BaseLanguageModelInput,
    router?: Partial<RouterOptions>,
  ) => (await RouterChatModel.fromEnv({ env, envFile: false, router })).invoke(input)

  it("answers over any OpenAI-compatible server", async () => {
    await using world = await openWorld()
    const server = world.simulator.baseUrl
    const env = {
      OPENAI_API_KEY: "from-the-environment",
      OPENAI_BASE_URL: server,
      MODEL_LIGHT: "openai/sim-small",
      MODEL_LIGHT_PRICE: "0.05/0.2",
      MODEL_STANDARD: `openai-compatible/sim-medium@${server}`,
      MODEL_HEAVY: "vllm/sim-large",
      VLLM_BASE_URL: server,
      TOKEN_BUDGET_DAILY: "20000",
    }
    expect(replyMetadata(await ask(env, "Hello"))).toMatchObject({
      tier: "light",
      deployment: "light/sim-small",
    })
    const hard = "Analyze the security architecture: zero-trust, mTLS, threat model, compliance."
    expect(replyMetadata(await ask(env, hard, { preference: 1 }))).toMatchObject({ tier: "heavy" })
    expect(world.bodies().map(({ model }) => model)).toEqual(["sim-small", "sim-large"])
  })

  it("refuses beyond the token budget of the environment [E4.check-before]", async () => {
    await using world = await openWorld()
    const model = `openai-compatible/sim-small@${world.simulator.baseUrl}`
    const env = { MODEL_LIGHT: model, MODEL_STANDARD: model, MODEL_HEAVY: model, TOKEN_BUDGET_DAILY: "50" }
    await expect(ask(env, "Hello")).rejects.toMatchObject({
      code: "budget-exceeded",
      refusal: { unit: "tokens" },
    })
    expect(world.bodies()).toEqual([])
  })
})

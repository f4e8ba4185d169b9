import { existsSync } from "node:fs"
import { ChatOpenAI } from "@langchain/openai"
import { type Simulator, startSimulator } from "@tierwise/simulator"
import { RouterChatModel, type RouterOptions } from "tierwise"

const TIERS = [
  ["light", "sim-small"],
  ["standard", "sim-medium"],
  ["heavy", "sim-large"],
] as const

/** A router, and the simulated provider behind it if there is one. */
export interface Models {
  readonly router: RouterChatModel
  readonly simulator: Simulator | undefined
  /** What a measured millisecond stands for. */
  readonly timeScale: number
  readonly close: () => Promise<void>
}

/**
 * `MODEL_LIGHT`, `MODEL_STANDARD` or `MODEL_HEAVY` name real models; without them the simulator plays all three.
 *
 * @param timeScale Simulated answers take this share of the time real ones would. Default 0.05.
 */
export async function openModels(
  options: Omit<RouterOptions, "deployments">,
  { timeScale = 0.05 }: { readonly timeScale?: number } = {},
): Promise<Models> {
  if (existsSync(".env")) process.loadEnvFile(".env")
  const { MODEL_LIGHT, MODEL_STANDARD, MODEL_HEAVY } = process.env
  if (MODEL_LIGHT ?? MODEL_STANDARD ?? MODEL_HEAVY) {
    const router = await RouterChatModel.fromEnv({ router: options })
    return { router, simulator: undefined, timeScale: 1, close: async () => {} }
  }
  const simulator = await startSimulator({ timeScale })
  const router = new RouterChatModel({
    deployments: TIERS.flatMap(([tier, id]) =>
      simulator.models
        .filter((model) => model.id === id)
        .map(({ price, contextWindow, maxOutputTokens }) => ({
          id,
          tier,
          model: new ChatOpenAI({
            model: id,
            apiKey: "not-needed",
            configuration: { baseURL: simulator.baseUrl },
          }),
          price,
          profile: {
            maxInputTokens: contextWindow,
            maxOutputTokens,
            toolCalling: true,
            structuredOutput: true,
          },
        })),
    ),
    ...options,
  })
  return { router, simulator, timeScale, close: () => simulator.close() }
}

import { existsSync } from "node:fs"
import { ChatOpenAI } from "@langchain/openai"
import { type Simulator, startSimulator } from "@tierwise/simulator"
import { lowConfidence, type RouteObserver, RouterChatModel } from "tierwise"

/** Simulated answers take this share of the time real ones would. */
const TIME_SCALE = 0.05

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
  close(): Promise<void>
}

/** `MODEL_LIGHT`, `MODEL_STANDARD` or `MODEL_HEAVY` name real models; without them the simulator plays all three. */
export async function openModels(observer: RouteObserver): Promise<Models> {
  if (existsSync(".env")) process.loadEnvFile(".env")
  const { MODEL_LIGHT, MODEL_STANDARD, MODEL_HEAVY } = process.env
  if (MODEL_LIGHT ?? MODEL_STANDARD ?? MODEL_HEAVY) {
    const router = await RouterChatModel.fromEnv({
      router: { validator: lowConfidence(), observers: [observer] },
    })
    return { router, simulator: undefined, timeScale: 1, close: async () => {} }
  }
  const simulator = await startSimulator({ timeScale: TIME_SCALE })
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
    validator: lowConfidence(),
    observers: [observer],
  })
  return { router, simulator, timeScale: TIME_SCALE, close: () => simulator.close() }
}

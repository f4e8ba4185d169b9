import { ChatOpenAI } from "@langchain/openai"
import {
  DEFAULT_MODELS,
  type ScriptedFault,
  type SimulatedModel,
  type SimulatorProcess,
  startSimulatorProcess,
} from "@tierwise/simulator"
import {
  type Amount,
  type Attempt,
  type BudgetStatus,
  type BudgetStore,
  memoryBudget,
  RouterChatModel,
  type RouterChatModelFields,
} from "tierwise"

/** What became of one hold, as the ledger was told. */
export interface HeldMoney {
  readonly quote: Amount
  /** Undefined: it was released, or never closed. */
  settled?: Amount
  closed: boolean
}

/** One try, and what it was made for. */
export interface Tried {
  /** Kind of call, and after a slash what tells calls of the kind apart. */
  readonly purpose: string
  readonly attempt: Attempt
}

/** A provider that sends a bill, and routers over it that share one ledger. Close it with `await using`. */
export interface BillWorld {
  readonly baseUrl: string
  readonly tried: readonly Tried[]
  /** By hold id. */
  readonly held: ReadonlyMap<string, HeldMoney>
  /** A router for calls of one purpose; tier by tier the models that it may ask. */
  router(purpose: string, tiers: Tiers, options?: Partial<RouterChatModelFields>): RouterChatModel
  /** The ledger's sum over all calls. */
  ledger(): Promise<BudgetStatus>
  /** When every call is billed and every hold is closed. */
  settled(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Tier → models. Of one whose name ends in `-x2` two answers are asked for at once. */
export type Tiers = Readonly<Record<string, readonly string[]>>

/** A tenant that can pay for nothing. */
export const POOR = "poor"

export async function openBillWorld(seed: number): Promise<BillWorld> {
  const simulator = await startSimulatorProcess({ seed, timeScale: 1, models: MODELS })
  await simulator.script(FAULTS)
  const { held, budget } = watched(
    memoryBudget({
      limits: [
        { scope: "global", window: "total", usd: 1_000_000 },
        { scope: "tenant", id: POOR, window: "total", usd: 1e-6 },
      ],
    }),
  )
  const tried: Tried[] = []
  const models = new Map(MODELS.map((model) => [model.id, model]))
  return {
    baseUrl: simulator.baseUrl,
    tried,
    held,
    router(purpose, tiers, options = {}) {
      return new RouterChatModel({
        tiers: Object.keys(tiers),
        deployments: Object.entries(tiers).flatMap(([tier, ids]) =>
          ids.map((id) => deploymentOf(simulator, tier, models.get(id) as SimulatedModel)),
        ),
        budget,
        requestIdHeader: "x-request-id",
        maxOutputTokens: 1_024,
        retryBaseMs: 1,
        observers: [
          {
            on: (event) => event.type === "attempt-ended" && tried.push({ purpose, attempt: event.attempt }),
          },
        ],
        ...options,
      })
    },
    ledger: async () => (await budget.status({}))[0] as BudgetStatus,
    settled: () => settled(simulator.baseUrl, budget),
    [Symbol.asyncDispose]: () => simulator.close(),
  }
}

/** A store that remembers what it was asked. */
function watched(budget: BudgetStore): {
  readonly held: Map<string, HeldMoney>
  readonly budget: BudgetStore
} {
  const held = new Map<string, HeldMoney>()
  const close = (id: string, settled?: Amount) => {
    const hold = held.get(id)
    if (hold !== undefined) Object.assign(hold, { closed: true }, settled && { settled })
  }
  return {
    held,
    budget: {
      ...budget,
      async reserve(request) {
        const outcome = await budget.reserve(request)
        if (outcome.granted) held.set(request.id, { quote: request.amount, closed: false })
        return outcome
      },
      async settle(id, actual) {
        close(id, actual)
        return budget.settle(id, actual)
      },
      async release(id) {
        close(id)
        return budget.release(id)
      },
    },
  }
}

const GIVE_UP_MS = 30_000

async function settled(baseUrl: string, budget: BudgetStore): Promise<void> {
  for (const until = Date.now() + GIVE_UP_MS; Date.now() < until; ) {
    const page = (await (await fetch(new URL("/invoices?limit=1", baseUrl))).json()) as { open_calls: number }
    const statuses = await budget.status({})
    if (page.open_calls === 0 && statuses.every((status) => status.held === 0)) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`after ${GIVE_UP_MS} ms calls are still open, or money is still held`)
}

function deploymentOf({ baseUrl }: SimulatorProcess, tier: string, simulated: SimulatedModel) {
  const [, n] = /-x(\d)$/.exec(simulated.id) ?? []
  return {
    id: simulated.id,
    tier,
    model: new ChatOpenAI({
      model: simulated.id,
      apiKey: "none",
      configuration: { baseURL: baseUrl },
      ...(n !== undefined && { n: Number(n) }),
    }),
    price: simulated.price,
    profile: {
      maxInputTokens: simulated.contextWindow,
      maxOutputTokens: simulated.maxOutputTokens,
      toolCalling: true,
      structuredOutput: true,
    },
  }
}

const skillOf = (id: string) => (DEFAULT_MODELS.find((model) => model.id === id) as SimulatedModel).skill

/** Answers at once, says what it is told. */
const ECHO: Omit<SimulatedModel, "id"> = {
  skill: "echo",
  // Not a whole number of nano-dollars per token: what is left over is rounded up once, on either side.
  price: { inputPerMTok: 0.1375, cachedInputPerMTok: 0.0375, outputPerMTok: 0.60005 },
  contextWindow: 131_072,
  maxOutputTokens: 16_384,
  latency: "none",
}

/** Takes its time, so that a caller can leave before, or in the middle of, the answer. */
const SLOW: Omit<SimulatedModel, "id"> = {
  ...ECHO,
  latency: { firstTokenMs: 60, perThousandInputMs: 0, tokensPerSecond: 12 },
}

/** Says nothing of tokens, and so nothing of a discount for cached ones. */
const SILENT: Omit<SimulatedModel, "id"> = {
  ...ECHO,
  price: { inputPerMTok: 0.15, outputPerMTok: 0.6 },
  reportsUsage: false,
}

/** Asked first by `cheapest`. */
const CHEAPER = { inputPerMTok: 0.1, outputPerMTok: 0.4 }

const FAULTS_BY_MODEL: Readonly<Record<string, Omit<ScriptedFault, "model" | "times">>> = {
  "refuses-429": { status: 429, headers: { "retry-after": "0" } },
  "refuses-500": { status: 500 },
  "refuses-503": { status: 503, headers: { "retry-after": "0" } },
  "refuses-401": { status: 401 },
  "cut-0": { cutAfterChunks: 0 },
  "cut-1": { cutAfterChunks: 1 },
  "cut-9": { cutAfterChunks: 9 },
  "cut-30": { cutAfterChunks: 30 },
  "error-0": { errorAfterChunks: 0 },
  "error-1": { errorAfterChunks: 1, body: { error: { message: "overloaded", code: 502 } } },
  "error-limited": {
    errorAfterChunks: 0,
    body: { error: { message: "slow down", type: "requests", code: "rate_limit_exceeded" } },
  },
  "error-overloaded": {
    errorAfterChunks: 1,
    body: { error: { message: "Overloaded", type: "overloaded_error" } },
  },
  "error-12": { errorAfterChunks: 12 },
  "says-string": { errorAfterChunks: 0, body: "upstream request timeout" },
  "says-nothing": { errorAfterChunks: 0, body: {} },
  "says-null": { errorAfterChunks: 0, body: null },
  "says-no-choices": { errorAfterChunks: 0, body: { id: "x", object: "chat.completion", choices: [] } },
  "says-bad-choices": { errorAfterChunks: 0, body: { choices: [null] } },
  "waits-in-line": { delayMs: 400 },
  "breaks-json": { answer: '{"name": "Ada", "age": ' },
}

const MODELS: readonly SimulatedModel[] = [
  { ...ECHO, id: "small", skill: skillOf("sim-small"), price: CHEAPER },
  {
    ...ECHO,
    id: "medium",
    skill: skillOf("sim-medium"),
    price: { inputPerMTok: 0.6375, outputPerMTok: 2.4005 },
  },
  {
    ...ECHO,
    id: "large",
    skill: skillOf("sim-large"),
    price: { inputPerMTok: 3, cachedInputPerMTok: 1.5, outputPerMTok: 12 },
  },
  { ...ECHO, id: "echo" },
  { ...ECHO, id: "echo-x2" },
  { ...ECHO, id: "small-x3", skill: skillOf("sim-small") },
  {
    ...ECHO,
    id: "keeper",
    price: {
      inputPerMTok: 3,
      cachedInputPerMTok: 0.3,
      cacheWritePerMTok: 3.75,
      outputPerMTok: 15,
      longContext: {
        aboveInputTokens: 2_000,
        inputPerMTok: 6,
        cachedInputPerMTok: 0.6,
        cacheWritePerMTok: 7.5,
        outputPerMTok: 22.5,
      },
    },
  },
  {
    ...ECHO,
    id: "thinker",
    skill: skillOf("sim-large"),
    price: { inputPerMTok: 1.1, cachedInputPerMTok: 0.275, outputPerMTok: 4.4 },
    reasoningTokens: 120,
  },
  { ...SILENT, id: "silent" },
  { ...SILENT, id: "silent-x2" },
  { ...SILENT, id: "silent-small", skill: skillOf("sim-small") },
  { ...SILENT, id: "silent-large", skill: skillOf("sim-large") },
  { ...SLOW, id: "slow" },
  { ...SLOW, id: "slow-cheap", price: CHEAPER },
  { ...SLOW, id: "slow-finisher", whenAborted: "finishes" },
  {
    ...SLOW,
    id: "slow-keeper",
    price: { inputPerMTok: 0.15, cachedInputPerMTok: 0.015, outputPerMTok: 0.6 },
  },
  {
    ...SLOW,
    id: "slow-thinker",
    latency: { firstTokenMs: 20, perThousandInputMs: 0, tokensPerSecond: 400 },
    reasoningTokens: 60,
  },
  ...Object.keys(FAULTS_BY_MODEL).map((id) => ({ ...ECHO, id, price: CHEAPER })),
]

const FOR_EVER = 1_000_000

/** Each kind of trouble has a model of its own: who meets it does not depend on who comes first. */
const FAULTS: readonly ScriptedFault[] = Object.entries(FAULTS_BY_MODEL).map(([model, fault]) => ({
  ...fault,
  model,
  times: FOR_EVER,
}))

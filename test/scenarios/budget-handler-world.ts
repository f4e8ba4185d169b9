import { ChatOpenAI, type ChatOpenAIFields } from "@langchain/openai"
import { type SimulatedModel, type Simulator, startSimulator } from "@tierwise/simulator"
import {
  BudgetCallbackHandler,
  type BudgetCallbackHandlerOptions,
  type BudgetLimit,
  type BudgetStatus,
  type BudgetStore,
  memoryBudget,
  type Price,
} from "tierwise"
import { vi } from "vitest"

/** A provider that bills, a ledger, and a handler between them. */
export interface LedgerWorld {
  readonly simulator: Simulator
  readonly budget: BudgetStore
  readonly handler: BudgetCallbackHandler
  readonly price: Price
  /** Tokens of every hold that was granted in `budget`, oldest first. */
  readonly holds: readonly number[]
  with(options: Partial<BudgetCallbackHandlerOptions>): { readonly handler: BudgetCallbackHandler }
  model(fields?: Partial<ChatOpenAIFields>): ChatOpenAI
  status(scopes?: Readonly<Record<string, string>>): Promise<BudgetStatus>
  /** NanoUsd. */
  billed(): number
  [Symbol.asyncDispose](): Promise<void>
}

export async function openLedger({
  limits = [{ scope: "global", window: "day", usd: 1 }],
  budget: given,
}: {
  readonly limits?: readonly BudgetLimit[]
  readonly budget?: BudgetStore
} = {}): Promise<LedgerWorld> {
  const simulator = await startSimulator({ timeScale: 0 })
  const { price } = simulator.models.find(({ id }) => id === "sim-small") as SimulatedModel
  const store = given ?? memoryBudget({ limits })
  const holds: number[] = []
  const budget: BudgetStore = {
    ...store,
    reserve: async (request) => {
      const outcome = await store.reserve(request)
      if (outcome.granted) holds.push(request.amount.tokens)
      return outcome
    },
  }
  const asked = { budget, price: price satisfies Price }
  return {
    simulator,
    budget,
    price,
    holds,
    handler: new BudgetCallbackHandler(asked),
    with: (options) => ({ handler: new BudgetCallbackHandler({ ...asked, ...options }) }),
    model: (fields = {}) =>
      new ChatOpenAI({
        model: "sim-small",
        apiKey: "none",
        maxRetries: 0,
        configuration: { baseURL: simulator.baseUrl },
        ...fields,
      }),
    status: async (scopes = {}) => (await budget.status(scopes))[0] as BudgetStatus,
    billed: () => simulator.invoices().reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0),
    [Symbol.asyncDispose]: () => simulator.close(),
  }
}

export async function say(model: ChatOpenAI, text: string, way: "whole" | "streamed"): Promise<void> {
  if (way === "whole") await model.invoke(text)
  else for await (const _ of await model.stream(text));
}

export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  )
}

/** LangChain prints what a handler throws. */
export async function silently<T>(work: () => Promise<T>): Promise<T> {
  const printed = vi.spyOn(console, "error").mockImplementation(() => {})
  try {
    return await work()
  } finally {
    printed.mockRestore()
  }
}

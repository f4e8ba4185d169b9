import { ChatOpenAI } from "@langchain/openai"
import type { SimulatedModel } from "@tierwise/simulator"
import {
  type Attempt,
  type BudgetLimit,
  type DeploymentOptions,
  lowConfidence,
  type RouteRecord,
  RouterChatModel,
  TierwiseError,
} from "tierwise"
import { sqliteBudget } from "tierwise/sqlite"
import { seeded } from "../ledger/story.ts"

/** What a process is told once. It goes on until it is killed, or told to `stop`. */
export interface Order {
  readonly path: string
  readonly baseUrl: string
  /** The provider's model for each tier, cheapest first. */
  readonly tiers: readonly { readonly tier: string; readonly model: SimulatedModel }[]
  readonly limits: readonly BudgetLimit[]
  readonly holdTtlMs: number
  readonly seed: number
  readonly team: string
  readonly callers: number
  /** The tenant whose money it begins with. */
  readonly tenant: number
}

/** What became of a call, as its caller saw it. */
export interface Told {
  readonly way: Way
  readonly tenant: number
  /** `answered`, or why not: the code or name of the error. */
  readonly outcome: string
  readonly attempts: readonly Attempt[]
  readonly problems: RouteRecord["problems"]
}

/** Read to the end, at once or piece by piece; aborted by its caller; left by its reader. */
export type Way = "whole" | "streamed" | "aborted" | "broken-off"

/** The same for all, so that a quote is nearly the same for all. */
const MAX_OUTPUT_TOKENS = 64

/** After so many refusals a process goes on with the next tenant's money: each tenant's is used to its end. */
const REFUSALS_PER_TENANT = 4

/** A caller who was refused asks again after so long, ms. */
const PAUSE_AFTER_REFUSAL_MS = 60

const LONGEST_PATIENCE_MS = 250
const MOST_CHUNKS_READ = 12

const SUBJECTS = ["the sea", "old bridges", "a night train", "bread", "the first snow", "a lost key"]

process.once("message", (order: Order) => void work(order))

async function work(order: Order): Promise<void> {
  const stop = new AbortController()
  process.once("message", () => stop.abort())
  const { router, budget, records } = openRouter(order)
  const random = seeded(order.seed)
  let refusals = 0
  const caller = async () => {
    while (!stop.signal.aborted) {
      const tenant = order.tenant + Math.floor(refusals / REFUSALS_PER_TENANT)
      const id = crypto.randomUUID()
      const { way, outcome } = await call(router, { id, tenant, team: order.team, random })
      const { attempts = [], problems = [] } = records.get(id) ?? {}
      records.delete(id)
      process.send?.({ way, tenant, outcome, attempts, problems } satisfies Told)
      if (outcome !== "budget-exceeded") continue
      refusals++
      await pause(PAUSE_AFTER_REFUSAL_MS)
    }
  }
  await Promise.all(Array.from({ length: order.callers }, caller))
  await budget.close()
  process.disconnect()
}

function openRouter({ path, limits, holdTtlMs, baseUrl, tiers }: Order) {
  const budget = sqliteBudget({ path, limits, holdTtlMs })
  const records = new Map<string, RouteRecord>()
  const router = new RouterChatModel({
    deployments: tiers.map(({ tier, model }) => deploymentOf(tier, model, baseUrl)),
    tiers: tiers.map(({ tier }) => tier),
    maxOutputTokens: MAX_OUTPUT_TOKENS,
    budget,
    requestIdHeader: "x-request-id",
    validator: lowConfidence(),
    retryBaseMs: 5,
    observers: [
      {
        on: (event: { readonly type: string; readonly record?: RouteRecord }) => {
          const id = event.record?.scopes["call"]
          if (id !== undefined && event.record !== undefined) records.set(id, event.record)
        },
      },
    ],
  })
  return { router, budget, records }
}

function deploymentOf(tier: string, simulated: SimulatedModel, baseUrl: string): DeploymentOptions {
  const { id, price, contextWindow, maxOutputTokens } = simulated
  return {
    id,
    tier,
    model: new ChatOpenAI({ model: id, apiKey: "none", configuration: { baseURL: baseUrl } }),
    price,
    profile: { maxInputTokens: contextWindow, maxOutputTokens },
  }
}

interface Call {
  readonly id: string
  readonly tenant: number
  readonly team: string
  readonly random: () => number
}

async function call(router: RouterChatModel, { id, tenant, team, random }: Call) {
  const way = wayAt(random())
  // The hold keeps its scopes: the ledger itself can say which way its call went.
  const scopes = { tenant: `${tenant}`, team: `${tenant}-${team}`, call: id, way }
  const subject = SUBJECTS[Math.floor(random() * SUBJECTS.length)]
  const question = `Write ${10 + Math.floor(random() * 60)} words about ${subject}.`
  const patience = Math.floor(random() * LONGEST_PATIENCE_MS)
  const signal = way === "aborted" ? AbortSignal.timeout(patience) : undefined
  const options = { scopes, ...(signal && { signal }) }
  const chunks = way === "broken-off" ? random() * MOST_CHUNKS_READ : Number.POSITIVE_INFINITY
  const isWhole = way === "whole" || (way === "aborted" && random() < 0.5)
  try {
    if (isWhole) await router.invoke(question, options)
    else {
      let read = 0
      for await (const _ of await router.stream(question, options)) if (++read > chunks) break
    }
    return { way, outcome: "answered" }
  } catch (error) {
    return { way, outcome: TierwiseError.find(error)?.code ?? (error as Error).name }
  }
}

function wayAt(share: number): Way {
  if (share < 0.35) return "whole"
  if (share < 0.65) return "streamed"
  return share < 0.85 ? "aborted" : "broken-off"
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

import { getEventListeners } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tool } from "@langchain/core/tools"
import { ChatOpenAI } from "@langchain/openai"
import {
  DEFAULT_MODELS,
  type InvoiceLine,
  type ScriptedFault,
  type SimulatedModel,
  type Simulator,
  startSimulator,
} from "@tierwise/simulator"
import {
  type BudgetStatus,
  type BudgetStore,
  type DeploymentOptions,
  memoryBudget,
  type RouteRecord,
  RouterChatModel,
  retryBudget,
} from "tierwise"
import { z } from "zod"
import type { Cell } from "./cells.ts"
import type { Fault } from "./faults.ts"
import { type Heard, newReader, type Reader } from "./ways.ts"

/** Everything that anybody saw of one cell. */
export interface Played {
  readonly cell: Cell
  readonly heard: Heard | undefined
  readonly error: unknown
  readonly reader: Reader
  /** What the tool was called with, each time that it ran. */
  readonly toolRuns: readonly string[]
  readonly records: readonly RouteRecord[]
  readonly budget: BudgetStatus | undefined
  readonly invoices: readonly InvoiceLine[]
  /** Calls that the provider had, and has not finished with. */
  readonly openCalls: number
  /** On the caller's signal. */
  readonly listeners: number
}

/** Where all cells are played: one provider and one ledger, in which each cell has models and a limit of its own. */
export interface House {
  readonly simulator: Simulator
  /** An address at which nobody listens. */
  readonly deadUrl: string
  /** A limit for each cell, in the scope `cell`. */
  readonly budget: BudgetStore
  /** What the provider has billed a model for. */
  invoicesOf(model: string): readonly InvoiceLine[]
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * What each model says where the task is words. They begin differently, so that a mixture of both is seen, and an estimate of
 * their tokens is no less than their tokens.
 */
export const WORDS = {
  light: "The lamp was lit at dusk, and the keeper wrote it down.",
  heavy: "Every ship that passed had seen a beam, and all of them came home.",
} as const

/** What the tool tasks ask for, in arguments of the tool below. */
export const CALL = { name: "get_weather", args: { city: "Rome" } } as const

const QUESTIONS = {
  words: "Write about a lighthouse.",
  "tool call": "What is the weather in Rome?",
  "words after a tool": "What is the weather in Rome?",
} as const

/**
 * Time-outs where nothing else ends a call, longer than a busy machine takes for one. Elsewhere some cells have long ones, of
 * a try alone or of the whole call too, which must not be left behind; and some none.
 */
const SHORT = { attemptTimeoutMs: 2_000, stallTimeoutMs: 2_000, deadlineMs: 6_000 }
const A_TRYS_OWN = { attemptTimeoutMs: 600_000, stallTimeoutMs: 600_000 }
const LONG = { ...A_TRYS_OWN, deadlineMs: 900_000 }

type Tier = keyof typeof WORDS

const TIERS: readonly Tier[] = ["light", "heavy"]
const SKILLS = { light: "sim-small", heavy: "sim-large" } as const

export async function openHouse(cells: readonly Cell[]): Promise<House> {
  const models = cells.flatMap((cell) => TIERS.map((tier) => modelOf(cell, tier)))
  const wordCells = cells.filter(({ task }) => task !== "tool call")
  const simulator = await startSimulator({
    timeScale: 0,
    models,
    // What is said when no fault is in line.
    outages: wordCells.flatMap((cell) =>
      TIERS.map((tier) => ({ model: modelId(cell, tier), answer: WORDS[tier] })),
    ),
  })
  const deadUrl = await addressOfNobody()
  const budget = memoryBudget({ limits: [{ scope: "cell", window: "total", usd: 1 }] })
  const invoicesOf = invoicesByModel(simulator)
  return { simulator, deadUrl, budget, invoicesOf, [Symbol.asyncDispose]: () => simulator.close() }
}

/** Sends one request through one way while its fault happens, and waits until the provider has done with it. */
export async function play(cell: Cell, house: House): Promise<Played> {
  const { simulator, budget } = house
  simulator.script(faultsOf(cell))
  const scopes = { cell: String(cell.number) }
  const records: RouteRecord[] = []
  let calls = 0
  const countCalls: typeof fetch = (input, init) => {
    const url = input instanceof Request ? input.url : String(input)
    if (url.startsWith(simulator.baseUrl)) calls += 1
    return fetch(input, init)
  }
  const router = new RouterChatModel({
    tiers: TIERS,
    deployments: TIERS.map((tier) => deploymentOf(cell, tier, house, countCalls)),
    budget,
    midStream: cell.way.midStream,
    maxRetries: 1,
    retryBaseMs: 1,
    retryBudget: retryBudget({ reserve: 100 }),
    maxOutputTokens: 200,
    ...timeoutsOf(cell),
    observers: [{ on: (event) => event.type === "request-ended" && records.push(event.record) }],
  })
  const toolRuns: string[] = []
  const weather = tool(
    async ({ city }) => {
      toolRuns.push(city)
      return `It is 21 °C in ${city}.`
    },
    {
      name: CALL.name,
      description: "Current weather of a city",
      // The request ends with what is meant to break: the call, or the words that follow it.
      returnDirect: cell.task === "tool call",
      schema: z.object({ city: z.string().describe("Name of the city") }),
    },
  )
  const { signal } = new AbortController()
  const reader = newReader()
  const question = QUESTIONS[cell.task]
  const tools = cell.task === "words" ? [] : [weather]
  const outcome = await cell.way.ask(router, { question, tools, signal, reader, scopes }).then(
    (heard) => ({ heard, error: undefined }),
    (error: unknown) => ({ heard: undefined, error: error ?? new Error("nothing was thrown") }),
  )
  const invoices = () => TIERS.flatMap((tier) => house.invoicesOf(modelId(cell, tier)))
  const status = async () => (await budget.status(scopes))[0]
  const isOver = async () => invoices().length === calls && ((await status())?.held ?? 0) === 0
  await soon(isOver)
  return {
    cell,
    ...outcome,
    reader,
    toolRuns,
    records,
    budget: await status(),
    invoices: invoices(),
    openCalls: calls - invoices().length,
    listeners: getEventListeners(signal, "abort").length,
  }
}

function timeoutsOf({ fault, sick, place, task }: Cell): Partial<typeof SHORT> {
  if (fault.hangs === true) return SHORT
  if (sick !== "all") return task === "words" ? A_TRYS_OWN : {}
  // Whoever refuses asks for a pause, which is waited as long as there is time.
  return place === "before the first byte" ? { ...LONG, deadlineMs: 4_000 } : LONG
}

function modelId({ number }: Cell, tier: Tier): string {
  return `${tier}-${number}`
}

function modelOf(cell: Cell, tier: Tier): SimulatedModel {
  const like = DEFAULT_MODELS.find(({ id }) => id === SKILLS[tier]) as SimulatedModel
  return { ...like, id: modelId(cell, tier) }
}

function deploymentOf(
  cell: Cell,
  tier: Tier,
  { simulator, deadUrl }: House,
  asked: typeof fetch,
): DeploymentOptions {
  const { price, contextWindow, maxOutputTokens } = modelOf(cell, tier)
  const isDead = faultOf(cell) === undefined && (tier === "light" || cell.sick === "all")
  const baseURL = isDead ? deadUrl : simulator.baseUrl
  return {
    id: tier,
    tier,
    price,
    model: new ChatOpenAI({
      model: modelId(cell, tier),
      apiKey: "none",
      configuration: { baseURL, fetch: asked },
    }),
    profile: { maxInputTokens: contextWindow, maxOutputTokens, toolCalling: true },
  }
}

function faultOf({ fault, place }: Cell): Fault | undefined {
  return fault.at(place)
}

/** More calls than any request makes. */
const ALWAYS = 20

/** The cell's fault for those who are to have it, after a first call that is well where the second answer is meant. */
function faultsOf(cell: Cell): readonly ScriptedFault[] {
  const fault = faultOf(cell)
  if (fault === undefined) return []
  const light = modelId(cell, "light")
  const heavy = modelId(cell, "heavy")
  const first = cell.task === "words after a tool" ? [{ model: light, headers: { "x-call": "first" } }] : []
  const times = cell.sick === "all" ? ALWAYS : 1
  const meant = { ...saying(cell, "light", fault), model: light, times }
  const others: Readonly<Record<Cell["sick"], readonly ScriptedFault[]>> = {
    one: [],
    next: [{ model: heavy, times: ALWAYS, breaks: { how: "ends", at: "start" } }],
    all: [{ ...saying(cell, "heavy", fault), model: heavy, times }],
  }
  return [...first, meant, ...others[cell.sick]]
}

/** With the words of the model, if it has come to words. */
function saying({ task }: Cell, tier: Tier, fault: Fault): Fault {
  const isRefused = (fault.status ?? fault.refusal ?? fault.html) !== undefined
  return task === "tool call" || isRefused ? fault : { answer: WORDS[tier], ...fault }
}

/** All lines are many, and each is looked at once. */
function invoicesByModel(simulator: Simulator): House["invoicesOf"] {
  const byModel = new Map<string, InvoiceLine[]>()
  let seen = 0
  return (model) => {
    for (const line of simulator.invoices().slice(seen)) {
      byModel.set(line.model, [...(byModel.get(line.model) ?? []), line])
      seen += 1
    }
    return byModel.get(model) ?? []
  }
}

async function addressOfNobody(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}/v1`
}

/** Looks up to 3 seconds long. */
async function soon(isSo: () => Promise<boolean>): Promise<void> {
  for (let looks = 0; looks < 300 && !(await isSo()); looks += 1)
    await new Promise((resolve) => setTimeout(resolve, 10))
}

import { existsSync, readdirSync, readlinkSync } from "node:fs"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { ChatOpenAI } from "@langchain/openai"
import {
  type BudgetStore,
  memoryBudget,
  nanoUsd,
  RouterChatModel,
  retryBudget,
  TierwiseError,
} from "tierwise"
import { seeded } from "../ledger/story.ts"

/** What the process is told once. */
export interface Order {
  readonly baseUrl: string
  readonly models: readonly string[]
  readonly seconds: number
  readonly callsPerSecond: number
  /** So long calls are made between two samples, ms. */
  readonly sampleEveryMs: number
  readonly seed: number
}

/** What the process holds when no call is under way. */
export interface Sample {
  readonly calls: number
  readonly heapMb: number
  readonly rssMb: number
  /** What would keep the process alive. */
  readonly handles: number
  /** Open ones, idle ones among them. Counted on Linux; elsewhere 0. */
  readonly sockets: number
  readonly kinds: Readonly<Record<string, number>>
}

export interface Report {
  readonly samples: readonly Sample[]
  readonly outcomes: Readonly<Record<string, number>>
  /** NanoUsd, after the last call. */
  readonly heldAtEnd: number
}

const TENANTS = 20
const DEADLINE_MS = 2_000
const STALL_MS = 300

/** Idle connections are closed after some seconds: what is open at each sample is what the load before it needed. */
const SETTLE_MS = 250

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

process.once("message", (order: Order) => void soak(order))

async function soak(order: Order): Promise<void> {
  const { seconds, seed } = order
  const { router, budget } = openRouter(order)
  await fillMemory(budget)
  const random = seeded(seed)
  const samples: Sample[] = []
  const outcomes: Record<string, number> = {}
  const endAt = performance.now() + seconds * 1_000
  let calls = 0
  while (performance.now() < endAt) {
    const ended = await makeCalls(order, endAt, () => oneCall(router, random))
    for (const outcome of ended) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    calls += ended.length
    samples.push(await sampleAfter(calls))
    process.send?.({ sample: samples.at(-1) })
  }
  const statuses = await budget.status({ tenant: "tenant-0" })
  const heldAtEnd = statuses.reduce((sum, { held }) => sum + held, 0)
  process.send?.({ report: { samples, outcomes, heldAtEnd } satisfies Report })
  process.disconnect()
}

function openRouter({ baseUrl, models }: Order) {
  const budget = memoryBudget({
    limits: [
      { scope: "tenant", window: "day", usd: 1_000 },
      { scope: "global", window: "day", usd: 100_000 },
    ],
  })
  const router = new RouterChatModel({
    tiers: ["only"],
    deployments: models.map((model) => ({
      id: model,
      tier: "only",
      model: new ChatOpenAI({
        model,
        apiKey: "none",
        configuration: { baseURL: baseUrl, logLevel: "off" },
        maxRetries: 0,
      }),
      price: { inputPerMTok: 1, outputPerMTok: 1 },
      limits: { concurrency: 12 },
    })),
    budget,
    order: "lowest-latency",
    midStream: "restart",
    waitingLine: { longest: 50, timeoutMs: 1_000 },
    circuitBreaker: { openMs: 1_000, longestOpenMs: 4_000 },
    failureHandling: { "rate-limited": { coolDownMs: 500 } },
    retryBudget: retryBudget(),
    retryBaseMs: 20,
    deadlineMs: DEADLINE_MS,
    attemptTimeoutMs: STALL_MS,
    stallTimeoutMs: STALL_MS,
  })
  return { router, budget }
}

/** A ledger in memory remembers its latest ids, up to some number: once it is reached, what still grows is something else. */
const REMEMBERED_IDS = 10_000

async function fillMemory(budget: BudgetStore): Promise<void> {
  const amount = { money: nanoUsd(1), tokens: 1 }
  for (let number = 0; number < REMEMBERED_IDS; number++) {
    const id = crypto.randomUUID()
    await budget.reserve({ id, scopes: { tenant: "tenant-0" }, amount })
    await budget.release(id)
  }
}

/** Resolves when all have ended. */
async function makeCalls(
  { callsPerSecond, sampleEveryMs }: Order,
  endAt: number,
  call: () => Promise<string>,
): Promise<readonly string[]> {
  const under: Promise<string>[] = []
  const from = performance.now()
  const until = Math.min(from + sampleEveryMs, endAt)
  for (let number = 0; performance.now() < until; number++) {
    under.push(call())
    await pause(from + ((number + 1) * 1_000) / callsPerSecond - performance.now())
  }
  return Promise.all(under)
}

const LONGEST_PATIENCE_MS = 150
const MOST_CHUNKS_READ = 4

/** Read whole or in pieces, aborted by its caller, or left by its reader. */
async function oneCall(router: RouterChatModel, random: () => number): Promise<string> {
  const way = random()
  const scopes = { tenant: `tenant-${Math.floor(random() * TENANTS)}` }
  const question = `${Math.floor(random() * 1e6)} lanterns in the harbour`
  try {
    if (way < 0.3) {
      await router.invoke(question, { scopes })
      return "answered"
    }
    const aborted = way > 0.9 ? AbortSignal.timeout(Math.ceil(random() * LONGEST_PATIENCE_MS)) : undefined
    const most = way > 0.8 && way <= 0.9 ? random() * MOST_CHUNKS_READ : Number.POSITIVE_INFINITY
    let read = 0
    for await (const _ of await router.stream(question, { scopes, ...(aborted && { signal: aborted }) })) {
      if (++read > most) return "left"
    }
    return "answered"
  } catch (error) {
    return TierwiseError.find(error)?.code ?? (error as Error).name
  }
}

async function sampleAfter(calls: number): Promise<Sample> {
  await pause(SETTLE_MS)
  // Finalisers run between turns: a collection sees what the one before it left behind.
  for (let time = 0; time < 3; time++) {
    collect()
    await pause(30)
  }
  const open = process.getActiveResourcesInfo()
  const kinds = Object.fromEntries(
    [...Map.groupBy(open, (kind) => kind)].map(([kind, all]) => [kind, all.length]),
  )
  const { heapUsed, rss } = process.memoryUsage()
  return {
    calls,
    heapMb: heapUsed / 1e6,
    rssMb: rss / 1e6,
    handles: open.length,
    sockets: openSockets(),
    kinds,
  }
}

const OPEN_FILES = "/proc/self/fd"

function openSockets(): number {
  if (!existsSync(OPEN_FILES)) return 0
  return readdirSync(OPEN_FILES).filter((file) => targetOf(file).startsWith("socket:")).length
}

/** Empty for what was closed meanwhile, such as the list that is being read. */
function targetOf(file: string): string {
  try {
    return readlinkSync(`${OPEN_FILES}/${file}`)
  } catch {
    return ""
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))
}

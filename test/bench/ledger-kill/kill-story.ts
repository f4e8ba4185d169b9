import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import {
  DEFAULT_MODELS,
  readInvoices,
  type ScriptedFault,
  type SimulatedModel,
  type SimulatorProcess,
  startSimulatorProcess,
} from "@tierwise/simulator"
import type { BudgetLimit, BudgetStore } from "tierwise"
import { sqliteBudget } from "tierwise/sqlite"
import { seeded } from "../ledger/story.ts"
import { type Audit, audit, type TenantStatus } from "./audit.ts"
import { watchLimits } from "./watch-limits.ts"
import type { Order, Told } from "./worker.ts"

export interface KillOptions {
  readonly workers: number
  /** How many are killed, one after another. */
  readonly kills: number
  /** From one to the next, ms. */
  readonly everyMs: number
  readonly seed: number
  readonly progress?: ((line: string) => void) | undefined
}

export interface KillStory extends Audit {
  readonly killed: number
  /** Calls whose callers lived to tell, by what became of them. */
  readonly calls: number
  readonly outcomes: Readonly<Record<string, number>>
  /** Calls for which a limit had no room. */
  readonly refused: number
  /** Answers that were replaced by those of the next tier. */
  readonly escalated: number
  /** Records that tell of the ledger's failing them. */
  readonly ledgerProblems: number
}

const HOLD_TTL_MS = 1_500
const CALLERS = 4

/** Each has half of the processes. */
const TEAMS = ["a", "b"]

/** Some thirty answers of the cheaper model for a team, and fewer than twice as many for both. */
const TEAM_LIMIT = 600_000
const TENANT_LIMIT = 1_100_000

const LIMITS: readonly BudgetLimit[] = [
  { scope: "tenant", window: "total", usd: TENANT_LIMIT / 1e9 },
  { scope: "team", window: "total", usd: TEAM_LIMIT / 1e9 },
]

/** An answer takes some tenth of a second: most kills hit calls in the middle. */
const TIME_SCALE = 0.4

const FAULTS_EVERY_MS = 250
/** Starting a process takes a second, and many on a busy machine. */
const PATIENCE_MS = 120_000

/** Processes share a ledger, call a provider, and are killed one by one; then the ledger is held against the bill. */
export async function killStory({
  workers,
  kills,
  everyMs,
  seed,
  progress,
}: KillOptions): Promise<KillStory> {
  const folder = mkdtempSync(join(tmpdir(), "tierwise-ledger-kill-"))
  const path = join(folder, "ledger.sqlite")
  const [cheap, dear] = DEFAULT_MODELS as [SimulatedModel, SimulatedModel, ...SimulatedModel[]]
  await using simulator = await startSimulatorProcess({ timeScale: TIME_SCALE, models: [cheap, dear] })
  const budget = sqliteBudget({ path, limits: LIMITS, holdTtlMs: HOLD_TTL_MS })
  await using crew = hireCrew((index, tenant) => ({
    path,
    baseUrl: simulator.baseUrl,
    tiers: [
      { tier: "light", model: cheap },
      { tier: "standard", model: dear },
    ],
    limits: LIMITS,
    holdTtlMs: HOLD_TTL_MS,
    seed: seed * 1_000 + index,
    tenant,
    team: TEAMS[index % TEAMS.length] as string,
    callers: CALLERS,
  }))
  try {
    // The first step makes the tables.
    await budget.status({})
    watchLimits(path, [
      { scope: "tenant", most: TENANT_LIMIT },
      { scope: "team", most: TEAM_LIMIT },
    ])
    for (let worker = 0; worker < workers; worker++) crew.hire()
    await crew.allAtWork()
    {
      using _ = faults(simulator, seed)
      for (let killed = 0; killed < kills; killed++) {
        await pause(everyMs)
        await crew.killOne()
        crew.hire()
        if ((killed + 1) % 10 === 0) progress?.(`${killed + 1} killed, ${crew.told.length} calls told of`)
      }
    }
    await crew.retire()
    await until(async () => (await openCalls(simulator)) === 0, "the provider still has calls open")
    await until(async () => {
      await budget.status({})
      return liveHolds(path) === 0
    }, "holds do not expire")
    const invoices = await readInvoices(simulator.baseUrl)
    const tenants = await tenantsOf(budget, path)
    return {
      killed: crew.killed,
      ...toldOf(crew.told),
      ...audit({ path, tenants, invoices, told: crew.told }),
    }
  } finally {
    await budget.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Crew {
  readonly told: readonly Told[]
  readonly killed: number
  hire(): void
  allAtWork(): Promise<void>
  /** Kills the one that was hired first, once it is at work. */
  killOne(): Promise<void>
  /** Has all finish the calls they are at. @throws Error if one ends badly. */
  retire(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

interface Worker {
  readonly process: ChildProcess
  /** How many calls it has told of. */
  calls: number
}

/** Of the calls that were told of. */
const LATEST = 50

/** Calls after which a process is surely at work on more. */
const AT_WORK = 2 * CALLERS

function isAtWork({ process: { exitCode }, calls }: Worker): boolean {
  if (exitCode !== null) throw new Error(`a worker ended with ${exitCode}`)
  return calls >= AT_WORK
}

function hireCrew(orderOf: (index: number, tenant: number) => Order): Crew {
  const told: Told[] = []
  let workers: Worker[] = []
  let [hired, killed] = [0, 0]
  return {
    told,
    get killed() {
      return killed
    },
    hire() {
      const child = fork(join(import.meta.dirname, "worker.ts"), {
        execArgv: ["--conditions=@tierwise/source"],
      })
      const worker: Worker = { process: child, calls: 0 }
      child.on("message", (news) => {
        worker.calls++
        told.push(news as Told)
      })
      // Money that others still have to spend: before it there is none left.
      const tenant = Math.max(0, ...told.slice(-LATEST).map((one) => one.tenant))
      child.send(orderOf(hired++, tenant))
      workers.push(worker)
    },
    allAtWork: () => until(async () => workers.every(isAtWork), "not all get to work"),
    async killOne() {
      const [one, ...others] = workers as [Worker, ...Worker[]]
      await until(async () => isAtWork(one), "nobody gets to work")
      workers = others
      const ended = once(one.process, "exit")
      one.process.kill("SIGKILL")
      await ended
      killed++
    },
    async retire() {
      await Promise.all(
        workers.map(async ({ process: child }) => {
          const ended = once(child, "exit")
          child.send("stop")
          const [code] = (await ended) as [number | null]
          if (code !== 0) throw new Error(`a worker ended with ${code}`)
        }),
      )
      workers = []
    },
    async [Symbol.asyncDispose]() {
      for (const { process: child } of workers) child.kill("SIGKILL")
    },
  }
}

/** Now and then something goes wrong at the provider, or an answer is not good enough. */
function faults(simulator: SimulatorProcess, seed: number): Disposable {
  const random = seeded(seed)
  const kinds: readonly ScriptedFault[] = [
    ...Array.from({ length: 5 }, () => ({ model: "sim-small", answer: "I'm not sure about that." })),
    { status: 429, headers: { "retry-after": "0" } },
    { status: 500 },
    { status: 503, headers: { "retry-after": "0" } },
    { cutAfterChunks: 0 },
    { cutAfterChunks: 5 },
    { errorAfterChunks: 4 },
    { delayMs: 200 },
    // Longer than a hold lives.
    { delayMs: 1.2 * HOLD_TTL_MS },
  ]
  const timer = setInterval(() => {
    const fault = kinds[Math.floor(random() * kinds.length)] as ScriptedFault
    void simulator.script([fault])
  }, FAULTS_EVERY_MS)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

async function openCalls({ baseUrl }: SimulatorProcess): Promise<number> {
  const response = await fetch(new URL("/invoices?limit=1", baseUrl))
  return ((await response.json()) as { readonly open_calls: number }).open_calls
}

function liveHolds(path: string): number {
  using database = new DatabaseSync(path, { timeout: 5_000 })
  const row = database.prepare("select count(*) as live from tierwise_holds where state = 'held'").get()
  return (row as { readonly live: number }).live
}

/** Of every tenant of any hold: that a process was killed is no reason to overlook what it did. */
async function tenantsOf(budget: BudgetStore, path: string): Promise<readonly TenantStatus[]> {
  const tenants: TenantStatus[] = []
  for (const tenant of tenantIds(path)) {
    const statuses = await Promise.all(
      TEAMS.map((team) => budget.status({ tenant, team: `${tenant}-${team}` })),
    )
    const ofScope = (scope: string) =>
      statuses.flat().filter((status) => status.scope.startsWith(`${scope}:`))
    const [status] = ofScope("tenant")
    if (status !== undefined) tenants.push({ tenant: status, teams: ofScope("team") })
  }
  return tenants
}

function tenantIds(path: string): readonly string[] {
  using database = new DatabaseSync(path, { timeout: 5_000 })
  const rows = database.prepare(
    `select distinct json_extract(value, '$[1]') as id from tierwise_holds, json_each(request)
     where type = 'array' and json_extract(value, '$[0]') = 'tenant'`,
  )
  return rows.all().map(({ id }) => id as string)
}

function toldOf(told: readonly Told[]) {
  const outcomes: Record<string, number> = {}
  for (const { outcome } of told) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  return {
    calls: told.length,
    outcomes,
    refused: outcomes["budget-exceeded"] ?? 0,
    escalated: told.filter(({ attempts }) => answeredTiers(attempts) > 1).length,
    ledgerProblems: told.filter(({ problems }) => problems.some(({ room }) => room === "budget")).length,
  }
}

function answeredTiers(attempts: Told["attempts"]): number {
  return new Set(attempts.filter(({ outcome }) => outcome === "answered").map(({ tier }) => tier)).size
}

async function until(isSo: () => Promise<boolean>, problem: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`${problem} after ${PATIENCE_MS} ms`)
    await pause(50)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

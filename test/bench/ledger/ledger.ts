import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Redis } from "ioredis"
import pg from "pg"
import { type BudgetStatus, memoryBudget } from "tierwise"
import { redisBudget } from "tierwise/redis"
import { startOwnServices } from "../../services.ts"
import { atLeast, atMost, type Bar, type Bench, rounded } from "../bench.ts"
import { median, spread, throughput } from "../measure.ts"
import { type Crew, hireCrew } from "./crew.ts"
import { type Judgement, judge } from "./judge.ts"
import {
  bareScript,
  bareTransactions,
  limiterStep,
  makeBareDatabase,
  memoryLimiter,
  naive,
  pairOn,
  postgresLimiter,
  redisLimiter,
  type Speed,
  speedOf,
} from "./speed.ts"
import { openStore, prepareStore, SHARED, type StoreAddress, type StoreName } from "./stores.ts"
import { limitsOf, play, type Seen } from "./story.ts"
import { watched } from "./watched-client.ts"

const PROCESSES = 8
const CALLS = 1_000
const SEEDS = 20
/** About half of what is asked for. */
const LIMIT = 40_000_000

const ROUNDS = 5

/** So often one takes its turn after the other where they are compared: whatever the machine does in between hits both. */
const TURNS = 25

/** A ledger under load from all sides: is it right, and how fast is it beside what is not? */
export const bench: Bench = {
  async run(progress) {
    const folder = mkdtempSync(join(tmpdir(), "tierwise-bench-ledger-"))
    progress("starting Redis and PostgreSQL")
    await using services = await startOwnServices("redis", "postgres")
    const at: Readonly<Record<StoreName, string>> = {
      memory: "",
      sqlite: join(folder, "ledger.sqlite"),
      redis: services.url("redis"),
      postgres: services.url("postgres"),
    }
    try {
      await prepareStore({ store: "postgres", at: at.postgres })
      // Before the stories fill the servers with ledgers.
      const memory = await memorySpeed(progress)
      const sqlite = await sqliteSpeed(folder, progress)
      const redis = await redisSpeed(at.redis, progress)
      const postgres = await postgresSpeed(at.postgres, progress)
      const stories = await playAll(at, progress)
      return {
        figures: {
          processes: PROCESSES,
          calls: CALLS,
          seeds: SEEDS,
          stories,
          memory,
          sqlite,
          redis,
          postgres,
        },
        bars: [
          ...Object.entries(stories).flatMap(([store, story]) => storyBars(store, story)),
          atLeast("memory: reserve + settle per second", memory.perSecond.median, 300_000),
          atLeast("sqlite: of bare transactions, 8 processes", sqlite.ofBareInProcesses.median, 0.6),
          atLeast("sqlite: of bare transactions, one in flight", sqlite.ofBareAlone.median, 0.6),
          atMost("redis: reserve against a bare script, one in flight", redis.reserveOfBare.median, 1.5),
          atMost("redis: reserve against a bare script, 64 in flight", redis.reserveOfBareAt64.median, 1.5),
        ],
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

/** What all seeds of one store added up to. */
interface Story extends Judgement {
  readonly leaked: number
  /** How far the ledger's sum is from what was spent, over both scopes and all seeds, NanoUsd. */
  readonly astray: number
  readonly overrunAstray: number
  readonly pairsPerSecond: number
}

type Stories = Readonly<Record<StoreName, Story>>

async function playAll(
  at: Readonly<Record<StoreName, string>>,
  progress: (line: string) => void,
): Promise<Stories> {
  await using crew = hireCrew(PROCESSES)
  const stories: Partial<Record<StoreName, Story>> = {}
  for (const store of ["memory", ...SHARED] as const) {
    const tales: Tale[] = []
    for (let seed = 1; seed <= SEEDS; seed++) {
      const address = { store, at: at[store], ledger: `seed-${seed}-${randomUUID()}` }
      tales.push(await (store === "memory" ? inOneProcess(address, seed) : inProcesses(crew, address, seed)))
    }
    const story = added(tales)
    stories[store] = story
    progress(`${store}: ${JSON.stringify(story)}`)
  }
  return stories as Stories
}

interface Tale {
  readonly judged: Judgement
  readonly statuses: readonly BudgetStatus[]
  readonly ms: number
}

async function inOneProcess(address: StoreAddress, seed: number): Promise<Tale> {
  const limit = LIMIT / PROCESSES
  const store = await openStore(address, limitsOf(limit))
  const from = performance.now()
  const seen = await play(store.budget, { seed, calls: CALLS, name: "memory" })
  const ms = performance.now() - from
  const statuses = await store.budget.status({ tenant: "acme" })
  await store.close()
  return { judged: judge(seen, limit), statuses, ms }
}

async function inProcesses(crew: Crew, address: StoreAddress, seed: number): Promise<Tale> {
  await crew.all(() => ({ order: "open", address, limit: LIMIT }))
  const from = performance.now()
  const reports = await crew.all((worker) => ({
    order: "play",
    seed: seed * 1_000 + worker,
    calls: CALLS,
    name: `w${worker}`,
  }))
  const ms = performance.now() - from
  const store = await openStore(address, limitsOf(LIMIT))
  const statuses = await store.budget.status({ tenant: "acme" })
  await store.close()
  const seen: Seen[] = reports.flatMap((report) => report.seen)
  return { judged: judge(seen, LIMIT), statuses, ms }
}

function added(tales: readonly Tale[]): Story {
  const sum = (of: (tale: Tale) => number) => tales.reduce((total, tale) => total + of(tale), 0)
  const offBy = ({ statuses }: Tale, of: (status: BudgetStatus) => number, truth: number) =>
    statuses.reduce((total, status) => total + Math.abs(of(status) - truth), 0)
  const pairs = sum(({ judged }) => judged.grants + judged.refusals)
  return {
    grants: sum(({ judged }) => judged.grants),
    refusals: sum(({ judged }) => judged.refusals),
    broken: sum(({ judged }) => judged.broken),
    needless: sum(({ judged }) => judged.needless),
    spent: sum(({ judged }) => judged.spent),
    overrun: sum(({ judged }) => judged.overrun),
    leaked: sum(({ statuses }) => statuses.reduce((held, status) => held + status.held, 0)),
    astray: sum((tale) => offBy(tale, ({ spent }) => spent, tale.judged.spent)),
    overrunAstray: sum((tale) => offBy(tale, ({ overrun }) => overrun, tale.judged.overrun)),
    pairsPerSecond: Math.round((pairs / sum(({ ms }) => ms)) * 1_000),
  }
}

function storyBars(store: string, story: Story): Bar[] {
  return [
    atMost(`${store}: grants that broke the limit`, story.broken, 0),
    atMost(`${store}: holds left after all were closed`, story.leaked, 0),
    atMost(`${store}: refusals that would have fitted`, story.needless, 0),
    atMost(`${store}: NanoUsd between ledger and attempts`, story.astray, 0),
    atMost(`${store}: NanoUsd between overruns booked and injected`, story.overrunAstray, 0),
    // A story in which nobody is refused, or nobody overruns, would prove nothing.
    atLeast(`${store}: refusals`, story.refusals, SEEDS),
    atLeast(`${store}: NanoUsd injected beyond holds`, story.overrun, SEEDS),
  ]
}

/** A ledger that nothing runs dry. */
const PLENTY = [
  { scope: "tenant", window: "day" as const, usd: 1_000_000 },
  { scope: "global", window: "day" as const, usd: 1_000_000 },
]

async function memorySpeed(progress: (line: string) => void) {
  const budget = memoryBudget({ limits: PLENTY })
  const pair = pairOn(budget)
  const limiter = limiterStep(memoryLimiter())
  const unsafe = naive(undefined)
  const [ledger, limited, naively]: [Speed[], Speed[], Speed[]] = [[], [], []]
  const rates: number[] = []
  await throughput(100_000, CALLS, pair)
  for (let turn = 0; turn < TURNS; turn++) rates.push(await throughput(100_000, CALLS, pair))
  for (let round = 0; round < ROUNDS; round++) {
    ledger.push(await speedOf(50_000, CALLS, pair))
    limited.push(await speedOf(50_000, CALLS, limiter))
    naively.push(await speedOf(50_000, CALLS, unsafe.step))
  }
  await unsafe.close()
  // To look at the clock before and after each of them costs a tenth of such a step.
  const figures = {
    ...summed(ledger),
    perSecond: spread(rates),
    rateLimiterFlexible: summed(limited),
    naive: summed(naively),
  }
  progress(`memory: ${JSON.stringify(figures)}`)
  return figures
}

async function sqliteSpeed(folder: string, progress: (line: string) => void) {
  const path = join(folder, "speed.sqlite")
  const store = await openStore({ store: "sqlite", at: path, ledger: "speed" }, PLENTY)
  const pair = pairOn(store.budget)
  makeBareDatabase(join(folder, "bare.sqlite"))
  const bare = bareTransactions(join(folder, "bare.sqlite"))
  const bareTwice = async () => {
    await bare.step()
    await bare.step()
  }
  const [alone, together, bareAlone]: [Speed[], Speed[], Speed[]] = [[], [], []]
  await speedOf(2_000, 1, pair)
  for (let turn = 0; turn < TURNS; turn++) {
    bareAlone.push(await speedOf(600, 1, bareTwice))
    alone.push(await speedOf(600, 1, pair))
    together.push(await speedOf(2_000, CALLS, pair))
  }
  bare.close()
  await store.close()
  const contended = await contendedSpeed(folder)
  const ratio = (ours: readonly Speed[], theirs: readonly Speed[]) =>
    spread(ours.map(({ perSecond }, round) => perSecond / (theirs[round]?.perSecond ?? 0)))
  const figures = {
    pairsOneInFlight: summed(alone),
    pairsThousandInFlight: summed(together),
    bareTransactionPairs: summed(bareAlone),
    ofBareAlone: ratio(alone, bareAlone),
    ofBareTogether: ratio(together, bareAlone),
    ...contended,
  }
  progress(`sqlite: ${JSON.stringify(figures)}`)
  return figures
}

/** Eight processes with a thousand calls at once, against eight that make as many bare transactions. */
async function contendedSpeed(folder: string) {
  await using crew = hireCrew(PROCESSES)
  const path = join(folder, "contended-bare.sqlite")
  makeBareDatabase(path)
  const ratios: number[] = []
  const [ours, theirs]: [number[], number[]] = [[], []]
  // The first round warms the processes up.
  for (let round = -1; round < ROUNDS; round++) {
    const address = {
      store: "sqlite",
      at: join(folder, "contended.sqlite"),
      ledger: `round-${round}`,
    } as const
    await crew.all(() => ({ order: "open", address, limit: 1_000_000_000 }))
    const paired = await timed(() =>
      crew.all((worker) => ({ order: "pairs", count: CALLS, name: `w${worker}` })),
    )
    // Two transactions for each pair: one for the hold, one for the settlement.
    const bare = await timed(() => crew.all(() => ({ order: "bare", path, count: 2 * CALLS })))
    if (round < 0) continue
    ratios.push(bare / paired)
    ours.push(rounded((PROCESSES * CALLS * 1_000) / paired))
    theirs.push(rounded((PROCESSES * CALLS * 1_000) / bare))
  }
  return {
    ofBareInProcesses: spread(ratios),
    pairsInProcesses: median(ours),
    bareTransactionPairsInProcesses: median(theirs),
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now()
  await work()
  return performance.now() - from
}

async function redisSpeed(url: string, progress: (line: string) => void) {
  const client = new Redis(url)
  const observed = watched(client)
  const budget = redisBudget({ client: observed.client, limits: PLENTY, ledger: `speed-${randomUUID()}` })
  const pair = pairOn(budget)
  let next = 0
  const reserve = () =>
    budget.reserve({
      id: `reserve-${next++}`,
      scopes: { tenant: "acme" },
      amount: { money: 1 as never, tokens: 1 },
    })
  await reserve()
  const bare = await bareScript(client, observed.seen())
  const limiter = limiterStep(redisLimiter(client))
  const unsafe = naive(url)
  const [pairs, limited, naively]: [Speed[], Speed[], Speed[]] = [[], [], []]
  await speedOf(2_000, 1, pair)
  // As Redis comes, nothing is written to its log: what the disk costs is no cost of a script.
  await client.config("SET", "appendonly", "no")
  const reserves = await besideBare(reserve, bare)
  await client.config("SET", "appendonly", "yes")
  const logged = await besideBare(reserve, bare)
  for (let round = 0; round < ROUNDS; round++) {
    pairs.push(await speedOf(5_000, CALLS, pair))
    limited.push(await speedOf(5_000, CALLS, limiter))
    naively.push(await speedOf(5_000, CALLS, unsafe.step))
  }
  await unsafe.close()
  client.disconnect()
  const figures = {
    ...reserves,
    appendOnly: logged,
    pairsThousandInFlight: summed(pairs),
    rateLimiterFlexible: summed(limited),
    naive: summed(naively),
  }
  progress(`redis: ${JSON.stringify(figures)}`)
  return figures
}

/** A reserve against a script that does nothing: how long each takes alone, and how many there are with 64 in flight. */
async function besideBare(reserve: () => Promise<unknown>, bare: () => Promise<unknown>) {
  const [ours, bares, oursAt64, baresAt64]: [Speed[], Speed[], Speed[], Speed[]] = [[], [], [], []]
  for (let turn = 0; turn < TURNS; turn++) {
    bares.push(await speedOf(400, 1, bare))
    ours.push(await speedOf(400, 1, reserve))
    baresAt64.push(await speedOf(2_000, 64, bare))
    oursAt64.push(await speedOf(2_000, 64, reserve))
  }
  return {
    reserveOfBare: spread(ours.map(({ p50Ms }, turn) => p50Ms / (bares[turn]?.p50Ms ?? 0))),
    reserveOfBareAt64: spread(
      oursAt64.map(({ perSecond }, turn) => (baresAt64[turn]?.perSecond ?? 0) / perSecond),
    ),
    reserve: summed(ours),
    bareScript: summed(bares),
  }
}

async function postgresSpeed(url: string, progress: (line: string) => void) {
  const store = await openStore({ store: "postgres", at: url, ledger: `speed-${randomUUID()}` }, PLENTY)
  const pool = new pg.Pool({ connectionString: url, max: 2 })
  const pair = pairOn(store.budget)
  const limiter = limiterStep(await postgresLimiter(pool))
  const [alone, together, limited]: [Speed[], Speed[], Speed[]] = [[], [], []]
  await speedOf(500, 1, pair)
  for (let round = 0; round < ROUNDS; round++) {
    alone.push(await speedOf(500, 1, pair))
    together.push(await speedOf(2_000, CALLS, pair))
    limited.push(await speedOf(2_000, CALLS, limiter))
  }
  await store.close()
  await pool.end()
  const figures = {
    pairsOneInFlight: summed(alone),
    pairsThousandInFlight: summed(together),
    rateLimiterFlexible: summed(limited),
  }
  progress(`postgres: ${JSON.stringify(figures)}`)
  return figures
}

function summed(speeds: readonly Speed[]) {
  return {
    perSecond: spread(speeds.map(({ perSecond }) => perSecond)),
    p50Ms: rounded(median(speeds.map(({ p50Ms }) => p50Ms))),
    p99Ms: rounded(median(speeds.map(({ p99Ms }) => p99Ms))),
  }
}

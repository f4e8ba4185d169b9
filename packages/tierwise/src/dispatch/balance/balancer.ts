import { ConfigError } from "../../spec/errors.ts"
import type { BalanceKind } from "../../spec/traffic.ts"
import { type CallInFlight, type LatencyStats, latencyStats, type TargetStats } from "./latency-stats.ts"
import { rendezvousDraw, sessionHashOf } from "./rendezvous.ts"

/** Who is brought into order: a deployment. */
export interface Balanced {
  /** Its stats and its session draws hang on it. */
  readonly id: string
  /** Share of the calls, 0 or more. 0: last, behind everybody who has one. */
  readonly weight: number
  /** Of the same work for each, in any unit; only `cheapest` asks for it. Undefined: the dearest. */
  readonly price?: number | undefined
}

export interface OrderOptions {
  /**
   * Calls of one session go to the same one as long as it is there, by weight and whatever the kind, because its prompt cache
   * is warm; when it cannot, all go to the same next one.
   */
  readonly session?: string | undefined
  /** A call to whoever comes first follows: the next order is to know of it. Default true. */
  readonly takesTurn?: boolean | undefined
}

/** Says who of several equals is asked first. */
export interface Balancer {
  /**
   * All of them, who is to be asked first in front; the others follow for the case that it cannot. `among` must hold each id
   * once, and is not changed.
   */
  order<B extends Balanced>(among: readonly B[], options?: OrderOptions): readonly B[]
  /** A call to this id begins. `least-in-flight` and `lowest-latency` know nothing else. */
  began(id: string): CallInFlight
  statsOf(id: string): TargetStats
}

export interface BalancerOptions {
  /** Epoch ms. */
  readonly now: () => number
  /** In [0, 1). */
  readonly random: () => number
  /** What is measured; default: its own. Several balancers over the same keys share one. */
  readonly stats?: LatencyStats
}

/**
 * Brings those into order that could all answer, say one tier's. Equals come in an order drawn by weight, each time anew: the
 * smallest `-ln(draw) / weight` first (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", Information
 * Processing Letters 97(5), 2006).
 *
 * @throws ConfigError for a kind that there is not.
 */
export function balancer(
  kind: BalanceKind,
  { now, random, stats = latencyStats({ now }) }: BalancerOptions,
): Balancer {
  if (!Object.hasOwn(RANKINGS, kind)) {
    const kinds = Object.keys(RANKINGS).join(", ")
    throw new ConfigError("balance", `"${kind}" is no way to balance`, `give one of ${kinds}`)
  }
  const { rank, prefer, settle } = RANKINGS[kind]({ now, random, stats })

  function ordered<B extends Balanced>(among: readonly B[], draw: (id: string) => number, rank: Rank): B[] {
    const ranks = rank(among)
    return sorted(
      among.map((one, index): Ranked<B> => {
        const takesPart = one.weight > 0
        return {
          one,
          rank: takesPart ? (ranks[index] ?? Infinity) : Infinity,
          tie: takesPart ? -Math.log(draw(one.id)) / one.weight : Infinity,
        }
      }),
    )
  }

  return {
    order(among, { session, takesTurn = true } = DEFAULTS) {
      if (among.length < 2) return among
      if (session !== undefined) {
        const hash = sessionHashOf(session)
        return ordered(among, (id) => rendezvousDraw(hash, id), allEqual)
      }
      const inOrder = ordered(among, random, rank)
      prefer?.(inOrder)
      if (takesTurn) settle?.(inOrder)
      return inOrder
    },
    began: (id) => stats.began(id),
    statsOf: (id) => stats.of(id),
  }
}

const DEFAULTS: OrderOptions = {}

/** One number for each, the smallest first. Called once for each order. */
type Rank = (among: readonly Balanced[]) => readonly number[]

/** How a kind decides. */
interface Ranking {
  readonly rank: Rank
  /** Has the last word on an order. */
  readonly prefer?: (inOrder: Balanced[]) => void
  /** Remembers that a call follows it. */
  readonly settle?: (inOrder: readonly Balanced[]) => void
}

const RANKINGS: Readonly<Record<BalanceKind, (options: Required<BalancerOptions>) => Ranking>> = {
  cheapest: () => ({ rank: (among) => among.map(({ price }) => price ?? Infinity) }),
  weighted: () => ({ rank: allEqual }),
  "round-robin": inTurn,
  "least-in-flight": ({ stats, now }) => {
    const picks = justPicked(stats)
    return {
      rank: (among) => {
        const at = now()
        return among.map(({ id, weight }) => (picks.of(id, at).inFlight + 1) / weight)
      },
      settle: ([first]) => picks.pick(first, now()),
    }
  },
  "lowest-latency": ({ stats, now, random }) => {
    const picks = justPicked(stats)
    return {
      rank: (among) => {
        const at = now()
        return among.map(({ id, weight }) => expectedWait(picks.of(id, at)) / weight)
      },
      prefer: (inOrder) => preferBetterOfTwo(inOrder, random),
      settle: ([first]) => picks.pick(first, now()),
    }
  },
}

/** About as long as it takes from an order to its call, ms: then the call itself is counted. */
const PICKED_FOR_MS = 5

/**
 * The stats, with those calls as in flight that were just sent there and have not begun: of many that come at once, each would
 * else find the same one idle.
 */
function justPicked(stats: LatencyStats) {
  let picked = new Map<string, number>()
  let since = 0
  return {
    of(id: string, at: number): TargetStats {
      if (Math.abs(at - since) >= PICKED_FOR_MS) picked = new Map()
      const known = stats.of(id, at)
      const more = picked.get(id)
      return more === undefined ? known : { ...known, inFlight: known.inFlight + more }
    },
    pick(first: Balanced | undefined, at: number): void {
      if (first === undefined) return
      if (picked.size === 0) since = at
      picked.set(first.id, (picked.get(first.id) ?? 0) + 1)
    },
  }
}

function allEqual(among: readonly Balanced[]): readonly number[] {
  return among.map(() => 0)
}

/**
 * Smooth weighted round robin, as nginx has done it since 2012 (ngx_http_upstream_round_robin.c): at each turn
 * everybody gains its weight, and whoever comes first pays what all gained together. With equal weights everybody comes first
 * once in each round.
 */
function inTurn(): Ranking {
  const gained = new Map<string, number>()
  return {
    rank: (among) => among.map(({ id, weight }) => -((gained.get(id) ?? 0) + weight)),
    settle(inOrder) {
      const total = inOrder.reduce((sum, { weight }) => sum + weight, 0)
      for (const [place, { id, weight }] of inOrder.entries()) {
        gained.set(id, (gained.get(id) ?? 0) + weight - (place === 0 ? total : 0))
      }
    },
  }
}

/** Longer than any wait that was measured. */
const UNKNOWN_WAIT_MS = 1e12

/**
 * How long one more call would take there, ms, relative to the others, as Finagle has it: the latency for each that is ahead
 * of it and for itself. Where nothing is known one call may find out, and the next ones wait for what it says.
 */
function expectedWait({ inFlight, ewmaLatencyMs }: TargetStats): number {
  if (ewmaLatencyMs !== undefined) return ewmaLatencyMs * (inFlight + 1)
  return inFlight === 0 ? 0 : UNKNOWN_WAIT_MS * inFlight
}

/**
 * Puts the better of two drawn at random in front (Mitzenmacher, "The power of two choices in randomized load balancing", IEEE
 * Transactions on Parallel and Distributed Systems 12(10), 2001): if all routers took the best they knew, they would all
 * run to the same one until its figures change.
 */
function preferBetterOfTwo(inOrder: Balanced[], random: () => number): void {
  const count = inOrder.filter(({ weight }) => weight > 0).length
  if (count < 3) return
  const one = Math.floor(random() * count)
  const other = (one + 1 + Math.floor(random() * (count - 1))) % count
  const [better] = inOrder.splice(Math.min(one, other), 1)
  if (better !== undefined) inOrder.unshift(better)
}

interface Ranked<B> {
  readonly one: B
  readonly rank: number
  readonly tie: number
}

/** By insertion: they are few. Equal ranks and ties stay as they were. */
function sorted<B>(entries: readonly Ranked<B>[]): B[] {
  const inOrder: Ranked<B>[] = []
  for (const entry of entries) {
    let index = inOrder.length
    while (index > 0 && comesBefore(entry, inOrder[index - 1])) index--
    inOrder.splice(index, 0, entry)
  }
  return inOrder.map(({ one }) => one)
}

function comesBefore(entry: Ranked<unknown>, other: Ranked<unknown> | undefined): boolean {
  if (other === undefined) return false
  return entry.rank < other.rank || (entry.rank === other.rank && entry.tie < other.tie)
}

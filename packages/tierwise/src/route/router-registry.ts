import { withSignal } from "../dispatch/with-signal.ts"
import type { Deployment } from "../spec/catalog.ts"
import { ConfigError } from "../spec/errors.ts"
import type { HealthReport } from "../spec/health.ts"
import type { Tier } from "../spec/request.ts"
import { checkDeployment } from "./check-options.ts"
import type { DeploymentOptions } from "./router-options.ts"
import type { Lineup } from "./router-parts.ts"
import type { DeploymentMetrics, TrafficControl, TrafficCounts } from "./traffic.ts"

/** One version of a deployment in the list. Plain JSON. */
export interface DeploymentStatus {
  readonly id: string
  readonly tier: Tier
  readonly version: string | undefined
  /** `draining`: it takes no new calls. */
  readonly state: "active" | "draining"
  /** Tries under way. */
  readonly inFlight: number
  /** Its name in the router's health book: the id, with the version if it has one. */
  readonly healthKey: string
  readonly health: HealthReport
  readonly metrics: DeploymentMetrics
}

/**
 * Who is called, changed while calls are made. A change holds from the next call on; a call that has begun keeps the
 * deployments it began with, so that none fails because of it. All routers that were made of one with `withConfig` or
 * `bindTools` share it.
 */
export interface DeploymentRegistry {
  /**
   * Takes calls from now on. Returns its id.
   *
   * @throws ConfigError if it cannot be, or its id is taken.
   */
  add(deployment: DeploymentOptions): string
  /**
   * It takes no new calls. Resolves when no call is under way any more that could still ask it. It stays in the list.
   *
   * @throws ConfigError for an id that is not there, or whose tier would have nobody left; the signal's reason if it aborts
   * first, and then it goes on draining.
   */
  drain(id: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /**
   * The new version takes new calls from now on, in its place; the old one drains beside it and is then forgotten, with its
   * breaker, limits and metrics. Resolves when it is. It keeps its id unless the new one names another.
   *
   * @throws ConfigError if the new one cannot be, or its id is another's; then nothing changes.
   */
  replace(id: string, by: DeploymentOptions): Promise<void>
  /**
   * Drains it, and then forgets it, with its breaker, limits and metrics. Resolves when it is.
   *
   * @throws ConfigError for an id that is not there, or whose tier would have nobody left.
   */
  remove(id: string): Promise<void>
  /** All that take calls, in their order, then those that drain. */
  list(): readonly DeploymentStatus[]
}

/** One step of several that are taken at once. `path` says where the options stand, for errors. */
export type RegistryChange =
  | { readonly add: DeploymentOptions; readonly path: string }
  | { readonly replace: string; readonly by: DeploymentOptions; readonly path: string }
  | { readonly remove: string }
  | { readonly drain: string }

/** The registry as the router's own parts know it. */
export interface RouterRegistry {
  readonly registry: DeploymentRegistry
  /** Who takes new calls. */
  lineup(): Lineup
  /** A call begins with the lineup of this moment. Returns what ends it; only the first time counts. */
  began(): () => void
  /** All of them or none. @throws ConfigError naming the first that cannot be. */
  change(changes: readonly RegistryChange[]): void
  /** As they were given, of those who take new calls. */
  given(): readonly DeploymentOptions[]
  /** Of whoever takes new calls, or was drained and is still in the list. */
  has(id: string): boolean
  countsOf(deployment: Deployment): TrafficCounts | undefined
  /** Told of each lineup that follows. */
  onChange(listener: (lineup: Lineup) => void): void
}

export interface RouterRegistryOptions {
  readonly control: TrafficControl
  /** Those it begins with. */
  readonly given: readonly DeploymentOptions[]
  /** `id`: what it is called if it does not say so. @throws ConfigError below `path`. */
  readonly read: (given: DeploymentOptions, path: string, id: string | undefined) => Deployment
  /** @throws ConfigError for a set of deployments that cannot be, such as one without anybody in some tier. */
  readonly lineUp: (deployments: readonly Deployment[]) => Lineup
}

/** One version of one deployment. */
interface Entry {
  readonly deployment: Deployment
  readonly given: DeploymentOptions
  /** Where it stood when it came. */
  readonly path: string
}

/** Who is there. */
interface Roster {
  /** In the order of the lineup. */
  readonly active: readonly Entry[]
  /** Take no new calls, and stay in the list. */
  readonly resting: readonly Entry[]
}

/** A lineup and the calls that began with it. */
interface Period {
  readonly lineup: Lineup
  readonly members: ReadonlySet<Entry>
  calls: number
}

/** @throws ConfigError for deployments that cannot be. */
export function routerRegistry({ control, given, read, lineUp }: RouterRegistryOptions): RouterRegistry {
  const listeners: ((lineup: Lineup) => void)[] = []
  const counts = new WeakMap<Entry, TrafficCounts>()
  const byDeployment = new WeakMap<Deployment, Entry>()
  /** Forgotten when they have drained; in the order in which they left. */
  const leaving = new Set<Entry>()
  /** Of whoever is not active. */
  const drained = new Map<Entry, PromiseWithResolvers<void>>()
  /** Before the present one, with calls under way. */
  const past = new Set<Period>()
  const entryOf = (given: DeploymentOptions, path: string, id?: string): Entry => ({
    deployment: read(given, path, id),
    given,
    path,
  })
  const first = given.map((options, index) => entryOf(options, `deployments[${index}]`))
  checkIds([], first)
  let roster: Roster = { active: first, resting: [] }
  let present = periodOf(first)
  for (const entry of first) take(entry)

  function periodOf(entries: readonly Entry[]): Period {
    const lineup = lineUp(entries.map(({ deployment }) => deployment))
    return { lineup, members: new Set(entries), calls: 0 }
  }

  function take(entry: Entry): void {
    counts.set(entry, control.take(entry.deployment, entry.path))
    byDeployment.set(entry.deployment, entry)
  }

  function change(changes: readonly RegistryChange[]): void {
    const newcomers: Entry[] = []
    const come = (given: DeploymentOptions, path: string, id?: string): Entry => {
      checkDeployment(given, path)
      const entry = entryOf(given, path, id)
      newcomers.push(entry)
      return entry
    }
    const next = changes.reduce((before, step) => stepped(before, step, come), roster)
    const before = [...roster.active, ...roster.resting]
    const after = new Set([...next.active, ...next.resting])
    checkIds(
      [...after].filter((entry) => !newcomers.includes(entry)),
      newcomers,
    )
    checkTiers(roster.active, next.active)
    const period = periodOf(next.active)
    // Nothing can go wrong from here on.
    for (const entry of newcomers) take(entry)
    if (present.calls > 0) past.add(present)
    roster = next
    present = period
    for (const entry of before) {
      if (period.members.has(entry)) continue
      if (!drained.has(entry)) drained.set(entry, Promise.withResolvers())
      if (!after.has(entry)) leaving.add(entry)
    }
    letGo()
    for (const listener of listeners) listener(period.lineup)
  }

  /** Whoever can be asked by no call any more has drained. */
  function letGo(): void {
    for (const [entry, { resolve }] of drained) {
      if ([...past].some(({ members }) => members.has(entry))) continue
      resolve()
      if (!leaving.delete(entry)) continue
      drained.delete(entry)
      control.forget(entry.deployment)
    }
  }

  function began(): () => void {
    const period = present
    period.calls++
    let isOpen = true
    return () => {
      if (!isOpen) return
      isOpen = false
      period.calls--
      if (period.calls === 0 && past.delete(period)) letGo()
    }
  }

  function statusOf(entry: Entry): DeploymentStatus {
    const { id, tier, version } = entry.deployment
    const known = counts.get(entry) as TrafficCounts
    return {
      id,
      tier,
      version,
      state: stateOf(entry),
      inFlight: known.inFlight(),
      healthKey: known.healthKey,
      health: control.health.report(known.healthKey),
      metrics: known.metrics(),
    }
  }

  const stateOf = (entry: Entry) => (present.members.has(entry) ? "active" : "draining")
  /** Undefined: it has ended, and is forgotten. */
  const endOf = (entry: Entry): Promise<void> | undefined => drained.get(entry)?.promise

  function has(id: string): boolean {
    return [...roster.active, ...roster.resting].some(({ deployment }) => deployment.id === id)
  }

  /** One that is on its way out already, if nobody else has its id. */
  function alreadyLeaving(id: string): Entry | undefined {
    return has(id) ? undefined : [...leaving].findLast(({ deployment }) => deployment.id === id)
  }

  const registry: DeploymentRegistry = {
    add(deployment) {
      change([{ add: deployment, path: "deployment" }])
      return (roster.active.at(-1) as Entry).deployment.id
    },
    async drain(id, { signal } = {}) {
      const entry = alreadyLeaving(id) ?? find(roster, id)
      if (roster.active.includes(entry)) change([{ drain: id }])
      await withSignal(Promise.resolve(endOf(entry)), signal)
    },
    async replace(id, by) {
      const old = find(roster, id)
      change([{ replace: id, by, path: "deployment" }])
      await endOf(old)
    },
    async remove(id) {
      const entry = alreadyLeaving(id) ?? find(roster, id)
      if (!leaving.has(entry)) change([{ remove: id }])
      await endOf(entry)
    },
    list: () => [...roster.active, ...roster.resting, ...leaving].map(statusOf),
  }

  return {
    registry,
    lineup: () => present.lineup,
    began,
    change,
    has,
    given: () => roster.active.map(({ given }) => given),
    countsOf(deployment) {
      const entry = byDeployment.get(deployment)
      return entry && counts.get(entry)
    },
    onChange: (listener) => void listeners.push(listener),
  }
}

type Come = (given: DeploymentOptions, path: string, id?: string) => Entry

function stepped({ active, resting }: Roster, step: RegistryChange, come: Come): Roster {
  if ("add" in step) return { active: [...active, come(step.add, step.path)], resting }
  if ("replace" in step) {
    const old = find({ active, resting }, step.replace)
    const entry = come(step.by, step.path, step.replace)
    return active.includes(old)
      ? { active: active.map((one) => (one === old ? entry : one)), resting }
      : { active: [...active, entry], resting: without(old, resting) }
  }
  const gone = find({ active, resting }, "drain" in step ? step.drain : step.remove)
  const rest = without(gone, resting)
  return { active: without(gone, active), resting: "drain" in step ? [...rest, gone] : rest }
}

function without(entry: Entry, entries: readonly Entry[]): readonly Entry[] {
  return entries.filter((one) => one !== entry)
}

function find({ active, resting }: Roster, id: string): Entry {
  const all = [...active, ...resting]
  const found = all.find(({ deployment }) => deployment.id === id)
  if (found !== undefined) return found
  const ids = all.map(({ deployment }) => deployment.id).join(", ")
  throw new ConfigError("id", `no deployment is called "${id}"`, `use one of ${ids}`)
}

function checkIds(others: readonly Entry[], newcomers: readonly Entry[]): void {
  const taken = new Set(others.map(({ deployment }) => deployment.id))
  for (const { deployment, path } of newcomers) {
    const { id } = deployment
    if (taken.has(id)) throw new ConfigError(`${path}.id`, `"${id}" is there twice`, "give each its own name")
    taken.add(id)
  }
}

function checkTiers(before: readonly Entry[], after: readonly Entry[]): void {
  const left = new Set(after.map(({ deployment }) => deployment.tier))
  const emptied = before.find(({ deployment }) => !left.has(deployment.tier))
  if (emptied === undefined) return
  const { tier } = emptied.deployment
  const fix = "add another one to it first, or replace this one"
  throw new ConfigError("deployments", `the tier "${tier}" would have nobody left`, fix)
}

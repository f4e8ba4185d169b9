import { checkedOutages, checkedRates, checkedScript } from "./fault-checks.ts"
import type { Fault, FaultRate, Outage, ScriptedFault } from "./faults.ts"
import { randomOf } from "./random.ts"

/** What goes wrong in which call: a fault in line comes first, then an outage, then chance. */
export interface FaultPlan {
  /** Adds to the line. @throws SimulatorConfigError for a fault that cannot be meant; none is added then. */
  script(faults: readonly ScriptedFault[]): void
  /** Replaces the rates. @throws SimulatorConfigError for one that cannot be meant; those from before stay then. */
  setRates(rates: readonly FaultRate[]): void
  /** Replaces the outages. @throws SimulatorConfigError for one that cannot be meant; those from before stay then. */
  setOutages(outages: readonly Outage[]): void
  /** Empties the line, the rates and the outages. */
  heal(): void
  /** The fault for a call of this model. Asking counts as the call. */
  take(model: string): Fault | undefined
}

export interface FaultPlanOptions {
  readonly modelIds: readonly string[]
  readonly seed: number
  /** Epoch ms; outages are counted from the first look. */
  readonly now: () => number
  readonly faultRates: readonly FaultRate[]
  readonly outages: readonly Outage[]
}

export function faultPlan({ modelIds, seed, now, ...given }: FaultPlanOptions): FaultPlan {
  const startedAt = now()
  const calls = new Map<string, number>()
  let waiting: { fault: ScriptedFault; left: number }[] = []
  let rates = checkedRates(given.faultRates, modelIds)
  let outages = checkedOutages(given.outages, modelIds)

  const scripted = (model: string): Fault | undefined => {
    const next = waiting.find(({ fault }) => isFor(model, fault))
    if (next === undefined) return undefined
    next.left -= 1
    if (next.left === 0) waiting = waiting.filter((entry) => entry !== next)
    return next.fault
  }
  const drawn = (model: string, call: number): Fault | undefined => {
    if (rates.length === 0) return undefined
    // By the number of the call among those of its model: other models' calls move nothing.
    let chance = randomOf(seed, "fault-rates", model, call).next()
    return rates.find((rate) => {
      if (!isFor(model, rate)) return false
      chance -= rate.share
      return chance < 0
    })
  }
  return {
    script: (faults) => {
      waiting.push(...checkedScript(faults, modelIds).map((fault) => ({ fault, left: fault.times ?? 1 })))
    },
    setRates: (next) => {
      rates = checkedRates(next, modelIds)
    },
    setOutages: (next) => {
      outages = checkedOutages(next, modelIds)
    },
    heal: () => {
      waiting = []
      rates = []
      outages = []
    },
    take: (model) => {
      const call = (calls.get(model) ?? 0) + 1
      calls.set(model, call)
      const elapsedMs = now() - startedAt
      return (
        scripted(model) ??
        outages.find((outage) => isFor(model, outage) && isUnderWay(outage, elapsedMs)) ??
        drawn(model, call)
      )
    },
  }
}

function isFor(model: string, fault: { readonly model?: string | undefined }): boolean {
  return fault.model === undefined || fault.model === model
}

function isUnderWay(
  { fromMs = 0, toMs = Number.POSITIVE_INFINITY, everyMs }: Outage,
  elapsedMs: number,
): boolean {
  const at = everyMs === undefined ? elapsedMs : elapsedMs % everyMs
  return fromMs <= at && at < toMs
}

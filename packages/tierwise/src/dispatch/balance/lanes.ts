import { ConfigError } from "../../spec/errors.ts"
import type { LaneSettings, TrafficLimit } from "../../spec/traffic.ts"

/** What of a deployment its lanes are made from. */
export interface Laned<S extends LaneSettings> {
  readonly id: string
  readonly weight: number
  readonly limits?: TrafficLimit | undefined
  /** Several keys, accounts or regions for one model. Default: one lane that is the deployment. */
  readonly lanes?: readonly S[] | undefined
}

/** One way to a deployment, with limits, a circuit breaker and stats of its own. */
export interface Lane<S extends LaneSettings = LaneSettings> {
  /** `<deployment>#<lane>`, or the deployment's id if it has no lanes: the key of its breaker, limits and stats. */
  readonly id: string
  readonly deploymentId: string
  /** Its part of the deployment's weight: more keys do not make a deployment come first more often. */
  readonly weight: number
  /** Its own, or else the deployment's, which then hold for this lane by itself. */
  readonly limits: TrafficLimit
  /** As they were given; undefined for a deployment without lanes. */
  readonly settings: S | undefined
}

/**
 * The lanes of a deployment, at least one, in the order in which they were given.
 *
 * @param path Where the lanes stand, for errors. Default `lanes`.
 * @throws ConfigError for an empty list, a name that is empty, taken or has a `#`, and a weight below 0, or of 0 for all.
 */
export function lanesOf<S extends LaneSettings>(deployment: Laned<S>, path = "lanes"): readonly Lane<S>[] {
  const { id, weight, limits = {}, lanes } = deployment
  if (lanes === undefined) return [{ id, deploymentId: id, weight, limits, settings: undefined }]
  checkLanes(lanes, path)
  const total = lanes.reduce((sum, lane) => sum + (lane.weight ?? 1), 0)
  return lanes.map((settings) => ({
    id: `${id}#${settings.name}`,
    deploymentId: id,
    weight: (weight * (settings.weight ?? 1)) / total,
    limits: settings.limits ?? limits,
    settings,
  }))
}

function checkLanes(lanes: readonly LaneSettings[], path: string): void {
  if (lanes.length === 0) throw new ConfigError(path, "there is none", "give at least one, or leave it out")
  const names = new Set<string>()
  for (const [index, { name, weight = 1 }] of lanes.entries()) {
    checkName(name, names, `${path}[${index}].name`)
    names.add(name)
    if (!(weight >= 0 && weight < Infinity)) {
      throw new ConfigError(`${path}[${index}].weight`, `${weight} is not a weight`, "give 0 or more")
    }
  }
  if (lanes.every(({ weight = 1 }) => weight === 0)) {
    throw new ConfigError(path, "every weight is 0", "give at least one lane a weight above 0")
  }
}

function checkName(name: string, taken: ReadonlySet<string>, path: string): void {
  if (name === "") throw new ConfigError(path, "it is empty", "give the lane a name, such as eu-1")
  if (name.includes("#")) {
    throw new ConfigError(path, `"${name}" has a #, which stands before lanes in ids`, "leave it out")
  }
  if (taken.has(name)) {
    throw new ConfigError(path, `another lane is called "${name}"`, "give each lane a name of its own")
  }
}

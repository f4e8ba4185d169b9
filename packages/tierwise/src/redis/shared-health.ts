import { ConfigError } from "../spec/errors.ts"
import type { HealthChanges, HealthStore, SharedCircuit, SharedCooldown, SharedStep } from "../spec/health.ts"
import { HEALTH_SCRIPT } from "./health-script.ts"
import { inTime } from "./in-time.ts"
import { type RedisClient, type RunScript, scriptOn } from "./redis-client.ts"

export interface RedisHealthOptions {
  /**
   * Of `@redis/client` (or `redis`) 5 or 6: a client, a pool or a cluster, connected by you; or of `ioredis` 5: a client or
   * a cluster. It stays yours. Give it an `error` listener, or a lost connection ends the process.
   */
  readonly client: RedisClient
  /** Processes that give the same name share their health. 1 to 64 letters, digits and `. _ : -`. Default `tierwise`. */
  readonly name?: string | undefined
  /** How long one step may take, ms; then the process goes on with what it knows by itself. Default 500. */
  readonly timeoutMs?: number | undefined
}

const DEFAULT_NAME = "tierwise"
const DEFAULT_TIMEOUT_MS = 500

/** The longest that a timer of JavaScript can wait, ms. */
const LONGEST_TIMEOUT_MS = 2_147_483_647

/**
 * Breakers and cooldowns that processes on many machines share, in Redis 7 or newer. Each step is one call of one Lua
 * script, by Redis's clock: those of the processes may differ.
 *
 * All lies in two keys of one hash slot, `{tierwise-health:<name>}…`, so it works on a cluster and behind the client's own
 * key prefix. They expire by themselves, and it is no harm if Redis forgets them: each process goes on with what it knows.
 * Keys of targets and the reasons of cooldowns are kept as they are.
 *
 * @throws ConfigError for what is no client, no name or no time.
 */
export function redisHealth(options: RedisHealthOptions): HealthStore {
  const name = validName(options.name ?? DEFAULT_NAME)
  const ask = inTime(validTimeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS))
  const run = scriptOf(options.client)
  const tag = `{tierwise-health:${name}}`
  const keys = [tag, `${tag}:changes`]

  async function step(...args: string[]): Promise<Answer> {
    const answer = await ask(() => run(keys, args))
    if (!Array.isArray(answer)) throw new Error(`the script answered ${JSON.stringify(answer)}`)
    return answer as Answer
  }

  return {
    name: `redis:${name}`,

    async tripped(key, { known, openForMs }) {
      return stepFrom(await step("tripped", key, `${known}`, whole(openForMs)))
    },

    async claimProbe(key, { known, probe, leaseMs, failedProbes }) {
      return stepFrom(await step("claim", key, `${known}`, probe, whole(leaseMs), `${failedProbes}`))
    },

    async probeEnded(key, { known, probe, how, openForMs, failedProbes }) {
      return stepFrom(await step("ended", key, `${known}`, probe, how, whole(openForMs), `${failedProbes}`))
    },

    async cool(key, forMs, because) {
      return cooldownFrom(await step("cool", key, whole(forMs), because))
    },

    async warm(key) {
      return cooldownFrom(await step("warm", key))
    },

    async changesSince(since): Promise<HealthChanges> {
      const [version, ...changes] = await step("changes", "", `${since}`)
      const rows = changes as unknown as readonly Answer[]
      return {
        version: Number(version),
        circuits: rows.filter(([kind]) => kind === "circuit").map(circuitFrom),
        cooldowns: rows.filter(([kind]) => kind === "pause").map(cooldownFrom),
      }
    },
  }
}

/** What the script answers: texts and integers, which a client may be told to give as text. */
type Answer = readonly (string | number)[]

function stepFrom(answer: Answer): SharedStep {
  return { done: answer[0] === "done", circuit: circuitFrom(answer) }
}

function circuitFrom([
  ,
  key,
  version,
  state,
  openForMs,
  failedProbes,
  probeForMs,
  probe,
]: Answer): SharedCircuit {
  return {
    key: `${key}`,
    version: Number(version),
    state: state === "closed" ? "closed" : "open",
    openForMs: Number(openForMs),
    failedProbes: Number(failedProbes),
    probeForMs: Number(probeForMs),
    probe: `${probe}`,
  }
}

function cooldownFrom([, key, version, forMs, isCalledOff, because]: Answer): SharedCooldown {
  return {
    key: `${key}`,
    version: Number(version),
    forMs: Number(forMs),
    isCalledOff: Number(isCalledOff) === 1,
    because: `${because}`,
  }
}

/** A script counts whole ms. What is longer than any clock counts is as good as for ever. */
function whole(ms: number): string {
  return `${Math.min(Math.ceil(ms), Number.MAX_SAFE_INTEGER)}`
}

function scriptOf(client: RedisClient): RunScript {
  try {
    return scriptOn(client, HEALTH_SCRIPT)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError("health.client", error.problem, error.fix, { cause: error })
  }
}

function validName(name: string): string {
  if (typeof name === "string" && /^[\w.:-]{1,64}$/.test(name)) return name
  const fix = "give 1 to 64 letters, digits, dots, colons, dashes or underscores"
  throw new ConfigError("health.name", `${JSON.stringify(name)} is no name`, fix)
}

function validTimeout(timeoutMs: number): number {
  if (timeoutMs > 0 && timeoutMs <= LONGEST_TIMEOUT_MS) return timeoutMs
  const fix = "give a positive number of milliseconds"
  throw new ConfigError("health.timeoutMs", `${timeoutMs} is not a duration`, fix)
}

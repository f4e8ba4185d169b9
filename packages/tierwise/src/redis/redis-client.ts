import { ConfigError } from "../spec/errors.ts"

/** A client, pool or cluster of `@redis/client` (or `redis`) 5 or 6. */
export interface NodeRedisClient {
  evalSha(sha1: string, options: NodeRedisScript): Promise<unknown>
  eval(script: string, options: NodeRedisScript): Promise<unknown>
}

export interface NodeRedisScript {
  keys: string[]
  arguments: string[]
}

/** A client or cluster of `ioredis` 5. */
export interface IoRedisClient {
  evalsha(sha1: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>
  eval(script: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>
}

/** Either is known by its methods: `evalSha` is of `@redis/client`, `evalsha` of `ioredis`. */
export type RedisClient = NodeRedisClient | IoRedisClient

/** Runs a script with these keys and arguments. */
export type RunScript = (keys: string[], args: string[]) => Promise<unknown>

/**
 * A script on a client. It is sent by its hash, and whole where the server does not know it: the first time, and after a
 * restart.
 *
 * @throws ConfigError for what is no client.
 */
export function scriptOn(client: RedisClient, script: string): RunScript {
  const { byHash, whole } = waysOf(client)
  let hash: string | undefined
  const run: RunScript = async (keys, args) => {
    hash ??= await sha1(script)
    return send(hash, keys, args)
  }
  const send = (hash: string, keys: string[], args: string[]) =>
    byHash(hash, keys, args).then(undefined, (error: unknown) => {
      // The script did not run: only then is it said once more.
      if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error
      return whole(script, keys, args)
    })
  return (keys, args) => (hash === undefined ? run(keys, args) : send(hash, keys, args))
}

type Way = (script: string, keys: string[], args: string[]) => Promise<unknown>

function waysOf(client: RedisClient): { readonly byHash: Way; readonly whole: Way } {
  const known = (client as Partial<NodeRedisClient & IoRedisClient> | undefined) ?? {}
  if (typeof known.eval === "function" && typeof known.evalSha === "function") {
    const node = client as NodeRedisClient
    return {
      byHash: (hash, keys, args) => node.evalSha(hash, { keys, arguments: args }),
      whole: (script, keys, args) => node.eval(script, { keys, arguments: args }),
    }
  }
  if (typeof known.eval === "function" && typeof known.evalsha === "function") {
    const io = client as IoRedisClient
    return {
      byHash: (hash, keys, args) => io.evalsha(hash, keys.length, ...keys, ...args),
      whole: (script, keys, args) => io.eval(script, keys.length, ...keys, ...args),
    }
  }
  const fix = "pass a client of @redis/client 5 or 6, or of ioredis 5"
  throw new ConfigError("budget.client", "it has neither evalSha() nor evalsha()", fix)
}

async function sha1(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")
}

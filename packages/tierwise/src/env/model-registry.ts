import { DEFAULT_TIERS } from "../route/resolve-options.ts"
import type { DeploymentOptions } from "../route/router-options.ts"
import type { RegistryChange, RouterRegistry } from "../route/router-registry.ts"
import type { PriceTable } from "../spec/catalog.ts"
import { ConfigError, messageOf, TierwiseError } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"
import { fetchDocument } from "./fetch-document.ts"
import { keptCopy } from "./kept-copy.ts"
import type { Env } from "./load-model.ts"
import { isPrivateAddress } from "./providers.ts"
import { deploymentOf, pathOf, type RegistryDocument, readDocument } from "./registry-document.ts"

/** A service that says which models there are. */
export interface ModelRegistryOptions {
  /** Where the document is; https, but for servers in a private network. Default: `MODEL_REGISTRY_URL`. */
  readonly url?: string | undefined
  /** How often it is asked for what is new, ms, give or take a tenth; 100 or more. Default 30,000. */
  readonly everyMs?: number | undefined
  /** What one answer may take, ms. Default 10,000. */
  readonly timeoutMs?: number | undefined
  /** The longest document, bytes. Default 1,048,576. */
  readonly mostBytes?: number | undefined
  /**
   * A file that keeps the last good document, for a start while the service cannot be reached. Default:
   * `MODEL_REGISTRY_FILE`, else none.
   */
  readonly keepIn?: string | undefined
  /** Sent with each request, such as `authorization`. Default: none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Hosts, with their ports, that the document may send calls to: `["eu.example.com", "10.0.0.7:8000"]`. Default: any. */
  readonly hosts?: readonly string[] | undefined
  /**
   * Told of a document that is refused (a ConfigError with path and fix), a service that is away, and a file that cannot be
   * written; of each once until it is over or another. Default: nobody is told, and everything stays as it is.
   */
  readonly onProblem?: ((error: Error) => void) | undefined
}

export interface ModelRegistryParts {
  readonly options: ModelRegistryOptions
  readonly env: Env
  readonly prices: PriceTable
  /** The router's own, if it was given any. */
  readonly tiers: readonly Tier[] | undefined
  /** In [0, 1). */
  readonly random: () => number
}

export interface ModelRegistry {
  /**
   * What `accept` makes of the document, or of the one that was kept if it cannot be had or is refused.
   *
   * @param accept Throws a ConfigError for models that no router could be made of.
   * @throws ConfigError if there is neither.
   */
  start<T>(accept: (started: Started) => T): Promise<T>
  /**
   * Asks for what is new, again and again, and tells the router. Returns what ends it, and resolves when the copy that is kept
   * is whole.
   */
  follow(registry: RouterRegistry): () => Promise<void>
}

export interface Started {
  /** Undefined: it does not say. */
  readonly tiers: readonly Tier[] | undefined
  readonly deployments: readonly DeploymentOptions[]
}

const DEFAULT_EVERY_MS = 30_000
const LEAST_EVERY_MS = 100
const DEFAULT_TIMEOUT_MS = 10_000
const DEFAULT_MOST_BYTES = 1_048_576
const MOST_TIMER_MS = 2 ** 31 - 1

/** @throws ConfigError naming the option or the variable that is wrong. */
export function modelRegistry(parts: ModelRegistryParts, url: string, urlPath: string): ModelRegistry {
  const { options, env, prices, random } = parts
  checkUrl(url, urlPath)
  const everyMs = within("everyMs", options.everyMs ?? DEFAULT_EVERY_MS, LEAST_EVERY_MS, MOST_TIMER_MS / 2)
  const timeoutMs = within("timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS, 1, MOST_TIMER_MS)
  const mostBytes = within("mostBytes", options.mostBytes ?? DEFAULT_MOST_BYTES, 1, Number.MAX_SAFE_INTEGER)
  const { headers = {}, hosts, keepIn } = options
  const stop = new AbortController()
  const settings = { url, headers, timeoutMs, mostBytes, signal: stop.signal }
  const kept = keepIn === undefined ? undefined : keptCopy(keepIn)
  const problems = problemsTo(options.onProblem)
  let { tiers } = parts
  /** Of the document that is in use; undefined: it is a kept one, or has none. */
  let etag: string | undefined
  /** What each deployment was made of, by id. */
  let inUse: ReadonlyMap<string, string> = new Map()
  let timer: ReturnType<typeof setTimeout> | undefined
  /** The latest. */
  let polling: Promise<void> | undefined

  const read = (text: string) => readDocument(text, { tiers, hosts })
  const build = async (document: RegistryDocument) =>
    Promise.all(document.deployments.map((one, index) => deploymentOf(one, pathOf(index), { env, prices })))

  function use(document: RegistryDocument): void {
    tiers ??= document.tiers ?? DEFAULT_TIERS
    inUse = textsOf(document)
  }

  async function keep(text: string): Promise<void> {
    try {
      await kept?.write(text)
      problems.over("file")
    } catch (cause) {
      const fix = "check the path and its permissions"
      const problem = `the document cannot be kept there (${messageOf(cause)})`
      problems.tell("file", new ConfigError("registry.keepIn", problem, fix, { cause }))
    }
  }

  async function startFrom<T>(text: string, accept: (started: Started) => T): Promise<T> {
    const document = read(text)
    const deployments = await build(document)
    const accepted = accept({ tiers: document.tiers, deployments })
    use(document)
    return accepted
  }

  async function startFromUrl<T>(accept: (started: Started) => T): Promise<T> {
    const fetched = await ask(undefined)
    if (fetched === undefined) throw away(new Error("it answered 304 to a first question"))
    const accepted = await startFrom(fetched.text, accept)
    etag = fetched.etag
    await keep(fetched.text)
    return accepted
  }

  /** Undefined: nothing was kept that a router could be made of. */
  async function startFromFile<T>(
    accept: (started: Started) => T,
  ): Promise<{ readonly accepted: T } | undefined> {
    try {
      const text = await kept?.read()
      return text === undefined ? undefined : { accepted: await startFrom(text, accept) }
    } catch {
      // What is wrong with the service is the first thing to mend.
      return undefined
    }
  }

  async function ask(known: string | undefined) {
    try {
      return await fetchDocument(settings, known)
    } catch (error) {
      throw away(error)
    }
  }

  function away(cause: unknown): ConfigError {
    const { cause: reason } = cause as { cause?: unknown }
    const why = reason instanceof Error ? `${messageOf(cause)}: ${reason.message}` : messageOf(cause)
    const fix = "start the service, or check the address"
    return new ConfigError(urlPath, `the model registry ${shown(url)} cannot be read (${why})`, fix, {
      cause,
    })
  }

  async function update(registry: RouterRegistry): Promise<void> {
    const fetched = await ask(etag)
    if (fetched === undefined) return
    const document = read(fetched.text)
    const changes = await changesTo(document, registry)
    // A router that was closed meanwhile stays as it is.
    stop.signal.throwIfAborted()
    if (changes.length > 0) registry.change(changes)
    use(document)
    etag = fetched.etag
    await keep(fetched.text)
  }

  /** Models are built for what is new only. */
  async function changesTo(
    document: RegistryDocument,
    registry: RouterRegistry,
  ): Promise<readonly RegistryChange[]> {
    const next = textsOf(document)
    const gone = [...inUse.keys()].filter((id) => !next.has(id) && registry.has(id))
    const changed = document.deployments
      .map((one, index) => ({ one, path: pathOf(index) }))
      .filter(({ one }) => inUse.get(one.id) !== next.get(one.id))
    const built = await Promise.all(
      changed.map(async ({ one, path }) => ({
        path,
        options: await deploymentOf(one, path, { env, prices }),
      })),
    )
    return [
      ...built.map(({ path, options }): RegistryChange => {
        const { id } = options as { readonly id: string }
        const isOurs = inUse.has(id) && registry.has(id)
        return isOurs ? { replace: id, by: options, path } : { add: options, path }
      }),
      ...gone.map((id) => ({ remove: id })),
    ]
  }

  async function poll(registry: RouterRegistry): Promise<void> {
    try {
      await update(registry)
      problems.over("document")
    } catch (error) {
      if (stop.signal.aborted) return
      problems.tell("document", error as Error)
    }
  }

  function waitForNext(registry: RouterRegistry): void {
    if (stop.signal.aborted) return
    timer = setTimeout(
      () => {
        polling = poll(registry)
        void polling.then(() => waitForNext(registry))
      },
      everyMs * (0.9 + 0.2 * random()),
    )
    ;(timer as { unref?: () => void }).unref?.()
  }

  return {
    async start(accept) {
      try {
        return await startFromUrl(accept)
      } catch (error) {
        if (!TierwiseError.isInstance(error)) throw error
        const started = await startFromFile(accept)
        if (started === undefined) throw error
        problems.tell("document", error)
        return started.accepted
      }
    },
    follow(registry) {
      waitForNext(registry)
      return async () => {
        stop.abort(new Error("the router was closed"))
        clearTimeout(timer)
        await polling
      }
    },
  }
}

function textsOf({ deployments }: RegistryDocument): ReadonlyMap<string, string> {
  return new Map(deployments.map((one) => [one.id, JSON.stringify(one)]))
}

/** Each is told once, until it is over or another. */
function problemsTo(onProblem: ModelRegistryOptions["onProblem"]) {
  const told = new Map<string, string>()
  return {
    tell(kind: string, error: Error): void {
      if (told.get(kind) === error.message) return
      told.set(kind, error.message)
      try {
        onProblem?.(error)
      } catch {
        // Whoever is told has no say in it.
      }
    },
    over: (kind: string) => void told.delete(kind),
  }
}

function checkUrl(url: string, path: string): void {
  if (!URL.canParse(url)) throw new ConfigError(path, `"${shown(url)}" is no URL`, "give one, with https://")
  const { protocol } = new URL(url)
  if (protocol === "https:" || (protocol === "http:" && isPrivateAddress(url))) return
  const problem = `${shown(url)} could be changed on its way`
  throw new ConfigError(path, problem, "give an https URL; http is for private networks")
}

/** Without what may be a secret in it. */
function shown(url: string): string {
  if (!URL.canParse(url)) return url
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

function within(name: keyof ModelRegistryOptions, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value
  throw new ConfigError(`registry.${name}`, `${value} does not fit`, `give a number from ${least} to ${most}`)
}

import { listeners } from "../dispatch/health/listeners.ts"
import { DEFAULT_TIERS } from "../route/resolve-options.ts"
import type { DeploymentOptions } from "../route/router-options.ts"
import type { RegistryChange, RouterRegistry } from "../route/router-registry.ts"
import type { PriceTable } from "../spec/catalog.ts"
import { ConfigError, messageOf, TierwiseError } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"
import type { RouteObserver } from "../spec/telemetry.ts"
import { notify } from "../telemetry/notify.ts"
import { holdsCredentials, isSafeOnItsWay, originsOf, shown } from "./address.ts"
import { type Away, type Fetched, fetchDocument } from "./fetch-document.ts"
import { keptCopy } from "./kept-copy.ts"
import type { Env } from "./load-model.ts"
import { type CheckedDocument, deploymentOf, pathOf, readDocument } from "./registry-document.ts"

/** A service that says which models there are. */
export interface ModelRegistryOptions {
  /**
   * Where the document is; https, but for servers in a private network; without user name and password. Default:
   * `MODEL_REGISTRY_URL`.
   */
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
  /**
   * Hosts that the document may send calls to, with a port unless it is the usual one: `["eu.example.com", "10.0.0.7:8000"]`.
   * Default: any.
   */
  readonly hosts?: readonly string[] | undefined
  /**
   * Told of a document that is refused (a ConfigError with path and fix), a service that is away, and a file that cannot be
   * written; of each once until it is over or another. What it throws or rejects with is ignored. Default: nobody is told but
   * the router's observers, and everything stays as it is.
   */
  readonly onProblem?: ((error: Error) => void) | undefined
}

export interface ModelRegistryParts {
  readonly options: ModelRegistryOptions
  readonly env: Env
  readonly prices: PriceTable
  /** The router's own, if it was given any. */
  readonly tiers: readonly Tier[] | undefined
  /** Of the router. */
  readonly observers: readonly RouteObserver[]
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
  readonly tiers: readonly Tier[]
  readonly deployments: readonly DeploymentOptions[]
}

/** What went wrong. One of each kind can last at a time, and its code stays the same as long as it does. */
interface Problem {
  readonly kind: "service" | "document" | "file"
  readonly code: string
  readonly error: Error
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
  const { hosts, keepIn } = options
  if (hosts !== undefined) originsOf(hosts)
  const stop = new AbortController()
  const headers = headersFrom(options.headers ?? {})
  const settings = { url, headers, timeoutMs, mostBytes, signal: stop.signal }
  const kept = keepIn === undefined ? undefined : keptCopy(keepIn)
  const problems = problemsTo(parts.observers, options.onProblem)
  const defaultTiers = parts.tiers ?? DEFAULT_TIERS
  let { tiers } = parts
  /** Of the document that is in use; undefined: it is a kept one, or has none. */
  let etag: string | undefined
  /** The document that is in use, as it came. */
  let inUseText: string | undefined
  /** What each deployment was made of, by id. */
  let inUse: ReadonlyMap<string, string> = new Map()
  let timer: ReturnType<typeof setTimeout> | undefined
  /** The latest. */
  let polling: Promise<void> | undefined

  const read = (text: string) => readDocument(text, { defaultTiers, tiers, hosts })
  const build = async ({ deployments }: CheckedDocument) =>
    Promise.all(deployments.map((one, index) => deploymentOf(one, pathOf(index), { env, prices })))

  function use(document: CheckedDocument, text: string): void {
    tiers = document.tiers
    inUse = textsOf(document)
    inUseText = text
  }

  /** Also what could not be kept before. */
  async function keep(): Promise<void> {
    if (kept === undefined || inUseText === undefined) return
    try {
      await kept.write(inUseText)
      problems.over("file")
    } catch (cause) {
      const { code = messageOf(cause) } = cause as { code?: string }
      const fix = "check the path and its permissions"
      const problem = `the document cannot be kept there (${messageOf(cause)})`
      problems.tell({
        kind: "file",
        code,
        error: new ConfigError("registry.keepIn", problem, fix, { cause }),
      })
    }
  }

  async function startFrom<T>(text: string, accept: (started: Started) => T): Promise<T> {
    const document = read(text)
    const deployments = await build(document)
    const accepted = accept({ tiers: document.tiers, deployments })
    use(document, text)
    return accepted
  }

  async function startFromUrl<T>(
    accept: (started: Started) => T,
  ): Promise<{ readonly accepted: T } | { readonly problem: Problem }> {
    // Nothing is unchanged where no ETag was sent.
    const fetched = (await fetchDocument(settings, undefined)) as Exclude<Fetched, { outcome: "unchanged" }>
    if (fetched.outcome === "away") return { problem: serviceProblem(fetched) }
    try {
      const accepted = await startFrom(fetched.text, accept)
      etag = fetched.etag
      return { accepted }
    } catch (error) {
      if (!TierwiseError.isInstance(error)) throw error
      return { problem: documentProblem(error) }
    }
  }

  /** @throws the error of what kept it from a start with the service, if nothing was kept that a router could be made of. */
  async function startFromFile<T>(
    accept: (started: Started) => T,
    problem: Problem,
  ): Promise<{ readonly accepted: T }> {
    try {
      const text = await kept?.read()
      if (text !== undefined) {
        const accepted = await startFrom(text, accept)
        problems.tell(problem)
        return { accepted }
      }
    } catch {
      // What is wrong with the service is the first thing to mend.
    }
    throw problem.error
  }

  function serviceProblem({ because, code }: Away): Problem {
    const problem = `the model registry ${shown(url)} cannot be read (${because})`
    const error = new ConfigError(urlPath, problem, "start the service, or check the address")
    return { kind: "service", code, error }
  }

  /** Undefined: there is none. */
  async function update(registry: RouterRegistry): Promise<Problem | undefined> {
    const fetched = await fetchDocument(settings, etag)
    if (fetched.outcome === "away") return serviceProblem(fetched)
    problems.over("service")
    if (fetched.outcome === "unchanged") return undefined
    try {
      const document = read(fetched.text)
      const changes = await changesTo(document, registry)
      // A router that was closed meanwhile stays as it is.
      stop.signal.throwIfAborted()
      if (changes.length > 0) registry.change(changes)
      use(document, fetched.text)
      etag = fetched.etag
      return undefined
    } catch (error) {
      return documentProblem(error as Error)
    }
  }

  /** Models are built for what is new only. */
  async function changesTo(
    document: CheckedDocument,
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
    const problem = await update(registry)
    if (problem === undefined) problems.over("document")
    else if (!stop.signal.aborted) problems.tell(problem)
    await keep()
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
      const first = await startFromUrl(accept)
      const { accepted } = "accepted" in first ? first : await startFromFile(accept, first.problem)
      await keep()
      return accepted
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

function textsOf({ deployments }: CheckedDocument): ReadonlyMap<string, string> {
  return new Map(deployments.map((one) => [one.id, JSON.stringify(one)]))
}

function documentProblem(error: Error): Problem {
  return { kind: "document", code: error.message, error }
}

/** Each is told once, until it is over or another. */
function problemsTo(observers: readonly RouteObserver[], onProblem: ModelRegistryOptions["onProblem"]) {
  const told = new Map<Problem["kind"], string>()
  const { add, tell } = listeners<Error>()
  add(({ message }) => notify(observers, { type: "registry-failed", error: message }))
  if (onProblem !== undefined) add(onProblem)
  return {
    tell({ kind, code, error }: Problem): void {
      if (told.get(kind) === code) return
      told.set(kind, code)
      tell(error)
    },
    over: (kind: Problem["kind"]) => void told.delete(kind),
  }
}

function checkUrl(url: string, path: string): void {
  // Not quoted: what does not parse may hold a password all the same.
  if (!URL.canParse(url)) throw new ConfigError(path, "it is no URL", "give one, with https://")
  if (holdsCredentials(url)) {
    const fix = "leave them out, and send an authorization with registry.headers"
    throw new ConfigError(path, "it holds a user name or a password", fix)
  }
  const { protocol } = new URL(url)
  if (/^https?:$/.test(protocol) && isSafeOnItsWay(url)) return
  const problem = `${shown(url)} could be changed on its way`
  throw new ConfigError(path, problem, "give an https URL; http is for private networks")
}

/** Checked here, where the message is ours: others quote the value, which may be a secret. */
function headersFrom(given: Readonly<Record<string, string>>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(given)) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name))
      throw new ConfigError("registry.headers", "one of them has no header's name", "check their names")
    if (typeof value !== "string" || !isHeaderValue(value)) {
      const fix = "give a text of one line, without characters beyond Latin-1"
      throw new ConfigError(`registry.headers.${name}`, "its value cannot be sent", fix)
    }
    headers.append(name, value)
  }
  return headers
}

function isHeaderValue(value: string): boolean {
  try {
    new Headers().append("x", value)
    return true
  } catch {
    return false
  }
}

function within(name: keyof ModelRegistryOptions, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value
  throw new ConfigError(`registry.${name}`, `${value} does not fit`, `give a number from ${least} to ${most}`)
}

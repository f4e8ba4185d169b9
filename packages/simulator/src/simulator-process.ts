import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { extname } from "node:path"
import { SimulatorConfigError } from "./errors.ts"
import { checkedOutages, checkedRates, checkedScript } from "./fault-checks.ts"
import type { FaultRate, Outage, ScriptedFault } from "./faults.ts"
import type { InvoiceLine } from "./invoice.ts"
import { DEFAULT_MODELS, type SimulatedModel } from "./models.ts"
import { type SimulatorOptions, validOptions } from "./options.ts"
import { readInvoices } from "./read-invoices.ts"

/** A provider in a process of its own, that many processes can call. Close it, or declare it with `await using`. */
export interface SimulatorProcess {
  /** What an OpenAI client takes: `http://127.0.0.1:PORT/v1`. Plain text, to be handed to other processes. */
  readonly baseUrl: string
  readonly pid: number
  readonly models: readonly SimulatedModel[]
  /** The lines of its bill that are kept, oldest first. @throws Error if it does not run any more. */
  invoices(): Promise<readonly InvoiceLine[]>
  /** As `Simulator.script`. @throws SimulatorConfigError for a fault that cannot be meant. */
  script(faults: readonly ScriptedFault[]): Promise<void>
  /** As `Simulator.setFaultRates`. @throws SimulatorConfigError for a rate that cannot be meant. */
  setFaultRates(rates: readonly FaultRate[]): Promise<void>
  /** As `Simulator.setOutages`. @throws SimulatorConfigError for an outage that cannot be meant. */
  setOutages(outages: readonly Outage[]): Promise<void>
  /** As `Simulator.heal`. */
  heal(): Promise<void>
  /** As `Simulator.refuse`. The process goes on. */
  refuse(forMs?: number): Promise<void>
  /** As `Simulator.resume`. @throws SimulatorConfigError if somebody else took the port meanwhile. */
  resume(): Promise<void>
  /** Ends open streams, then the process. Can be called again. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const GONE_WITHIN_MS = 5_000

/** As `SimulatorOptions`, without what cannot leave a process. */
export type SimulatorProcessOptions = Omit<SimulatorOptions, "now" | "sleep">

/**
 * Starts a provider in a process of its own, so that what it costs to simulate is not taken from what is measured. It
 * ends with the process that started it, however that ends.
 * @throws SimulatorConfigError for an option that cannot work, and for a port that is in use.
 */
export async function startSimulatorProcess(
  options: SimulatorProcessOptions = {},
): Promise<SimulatorProcess> {
  validOptions(options)
  // Without the flags of the process that starts it, which may be a test runner's.
  const child = fork(programUrl(), [], { execArgv: [], serialization: "json" })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  child.send(options)
  const told = await Promise.race([once(child, "message"), ended])
  const [news] = (told ?? []) as readonly (News | undefined)[]
  if (news === undefined || "isDone" in news)
    throw new Error("The simulator's process ended before it listened.")
  if ("path" in news) {
    await ended
    throw new SimulatorConfigError(news.path, news.problem, news.fix)
  }
  return asSimulatorProcess(child, ended, { models: options.models ?? DEFAULT_MODELS, ...news })
}

/** What the child says: first where it listens, then that an order is done; or why not. */
export type News =
  | { readonly baseUrl: string }
  | { readonly isDone: true }
  | { readonly path: string; readonly problem: string; readonly fix: string }

/** What a child is told that cannot be told over its port. */
export type Order =
  | { readonly order: "refuse"; readonly forMs?: number | undefined }
  | { readonly order: "resume" }

function asSimulatorProcess(
  child: ChildProcess,
  ended: Promise<void>,
  { baseUrl, models }: Pick<SimulatorProcess, "baseUrl" | "models">,
): SimulatorProcess {
  const close = async (): Promise<void> => {
    if (child.connected) child.disconnect()
    const late = setTimeout(() => child.kill("SIGKILL"), GONE_WITHIN_MS)
    await ended
    clearTimeout(late)
  }
  const modelIds = models.map(({ id }) => id)
  const obeyed = ordersTo(child, ended)
  // Lists are looked at here first, so that what cannot be meant is told as `Simulator` tells it.
  const post = async (path: string, body: unknown): Promise<void> => {
    const url = new URL(path, baseUrl)
    const response = await fetch(url, { method: "POST", body: JSON.stringify(body) })
    const text = await response.text()
    if (!response.ok) throw new Error(`POST ${url} answered ${response.status}: ${text}`)
  }
  return {
    baseUrl,
    models,
    pid: child.pid ?? 0,
    invoices: () => readInvoices(baseUrl),
    script: async (faults) => post("/faults", checkedScript(faults, modelIds)),
    setFaultRates: async (rates) => post("/fault-rates", checkedRates(rates, modelIds)),
    setOutages: async (outages) => post("/outages", checkedOutages(outages, modelIds)),
    heal: () => post("/heal", {}),
    refuse: (forMs) => obeyed({ order: "refuse", forMs }),
    resume: () => obeyed({ order: "resume" }),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Orders are carried out one after the other, so that each news is about the order before it. */
function ordersTo(child: ChildProcess, ended: Promise<void>): (order: Order) => Promise<void> {
  const carriedOut = async (order: Order): Promise<void> => {
    if (!child.connected) throw new Error("The simulator's process has ended.")
    child.send(order)
    const told = await Promise.race([once(child, "message"), ended])
    const [news] = (told ?? []) as readonly (News | undefined)[]
    if (news === undefined) throw new Error("The simulator's process has ended.")
    if ("path" in news) throw new SimulatorConfigError(news.path, news.problem, news.fix)
  }
  let last: Promise<void> = Promise.resolve()
  return (order) => {
    const done = last.then(() => carriedOut(order))
    last = done.catch(() => undefined)
    return done
  }
}

/** The child's program: a source beside this source, or built beside this build. */
function programUrl(): URL {
  const { href } = new URL("./simulator-child.ts", import.meta.url)
  return new URL(href.replace(/\.ts$/, extname(import.meta.url)))
}

import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { extname } from "node:path"
import { SimulatorConfigError } from "./errors.ts"
import { faultScript, type ScriptedFault } from "./faults.ts"
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
  if (news === undefined) throw new Error("The simulator's process ended before it listened.")
  if ("path" in news) {
    await ended
    throw new SimulatorConfigError(news.path, news.problem, news.fix)
  }
  return asSimulatorProcess(child, ended, { models: options.models ?? DEFAULT_MODELS, ...news })
}

/** What the child says once: where it listens, or why it does not. */
export type News =
  | { readonly baseUrl: string }
  | { readonly path: string; readonly problem: string; readonly fix: string }

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
  return {
    baseUrl,
    models,
    pid: child.pid ?? 0,
    invoices: () => readInvoices(baseUrl),
    script: (faults) => postFaults({ baseUrl, models }, faults),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Looked at here first, so that what cannot be meant is told as `Simulator.script` tells it. */
async function postFaults(
  { baseUrl, models }: Pick<SimulatorProcess, "baseUrl" | "models">,
  faults: readonly ScriptedFault[],
): Promise<void> {
  faultScript(models.map(({ id }) => id)).add(faults)
  const url = new URL("/faults", baseUrl)
  const response = await fetch(url, { method: "POST", body: JSON.stringify(faults) })
  if (!response.ok) throw new Error(`POST ${url} answered ${response.status}: ${await response.text()}`)
}

/** The child's program: a source beside this source, or built beside this build. */
function programUrl(): URL {
  const { href } = new URL("./simulator-child.ts", import.meta.url)
  return new URL(href.replace(/\.ts$/, extname(import.meta.url)))
}

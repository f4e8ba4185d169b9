import { randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { type ChatDesk, chatDesk, sendJson } from "./chat-completions.ts"
import { type Door, openDoor } from "./door.ts"
import { SimulatorConfigError } from "./errors.ts"
import { type FaultPlan, faultPlan } from "./fault-plan.ts"
import type { FaultRate, Outage, ScriptedFault } from "./faults.ts"
import { type Bill, type InvoiceLine, openBill } from "./invoice.ts"
import { invoicesPage } from "./invoices-page.ts"
import type { SimulatedModel } from "./models.ts"
import { type SimulatorOptions, type SimulatorSettings, validOptions } from "./options.ts"
import { type JsonObject, type JsonValue, parseJson, WireError } from "./protocol.ts"
import { type RequestLog, requestLog, type SeenRequest } from "./request-log.ts"

/** A running provider. Close it, or declare it with `await using`. */
export interface Simulator {
  /** What an OpenAI client takes: `http://127.0.0.1:PORT/v1`. */
  readonly baseUrl: string
  readonly models: readonly SimulatedModel[]
  /** One line for every request that named a known model, in the order they ended; the newest 100,000. */
  invoices(): readonly InvoiceLine[]
  /** Bodies seen, refused ones too, oldest first; the newest 1,000, and of those no more than 16 MB. */
  requests(): readonly SeenRequest[]
  /**
   * Says what happens to the next calls. Faults wait in line; each is used by the first call it matches.
   * @throws SimulatorConfigError for a fault that cannot be meant; none of the list is added then.
   */
  script(faults: readonly ScriptedFault[]): void
  /**
   * Says what happens to a share of the calls from now on, instead of what was said before.
   * @throws SimulatorConfigError for a rate that cannot be meant; the rates from before stay then.
   */
  setFaultRates(rates: readonly FaultRate[]): void
  /**
   * Says what happens when, in milliseconds since the start, instead of what was said before. An outage without times
   * begins now and lasts.
   * @throws SimulatorConfigError for an outage that cannot be meant; the outages from before stay then.
   */
  setOutages(outages: readonly Outage[]): void
  /** Forgets all faults: those in line, the rates and the outages. What is under way stays as it is. */
  heal(): void
  /**
   * Breaks all connections, and refuses new ones as a dead machine does, until `resume`.
   * @param forMs Real milliseconds after which it resumes by itself. Default: it does not.
   */
  refuse(forMs?: number): Promise<void>
  /** Takes connections again, on the same port. @throws SimulatorConfigError if somebody else took it meanwhile. */
  resume(): Promise<void>
  /** Ends open streams and idle connections at once, and frees the port. Can be called again. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts an OpenAI-compatible provider on this machine.
 * @throws SimulatorConfigError for an option that cannot work, and for a port that is in use.
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const settings = validOptions(options)
  const bill = openBill()
  const faults = faultPlan({ ...settings, modelIds: settings.models.map(({ id }) => id) })
  const log = requestLog()
  const server = createServer((request, response) => {
    serve(request, response, house).catch((error: unknown) => response.destroy(error as Error))
  })
  const door = await openDoor(server, settings)
  const house: House = { settings, bill, faults, log, door, desk: chatDesk({ settings, faults, bill }) }
  return asSimulator(house)
}

interface House {
  readonly settings: SimulatorSettings
  readonly bill: Bill
  readonly faults: FaultPlan
  readonly log: RequestLog
  readonly door: Door
  readonly desk: ChatDesk
}

// Far above any context window; a body without end must not fill the memory.
const MOST_BODY_BYTES = 32 * 1024 * 1024

function asSimulator({ settings, bill, faults, log, door }: House): Simulator {
  return {
    baseUrl: door.baseUrl,
    models: settings.models,
    invoices: () => bill.lines(),
    requests: () => log.seen(),
    script: (list) => faults.script(list),
    setFaultRates: (rates) => faults.setRates(rates),
    setOutages: (outages) => faults.setOutages(outages),
    heal: () => faults.heal(),
    refuse: async (forMs) => door.refuse(checkedRefusal(forMs)),
    resume: () => door.resume(),
    close: () => door.close(),
    [Symbol.asyncDispose]: () => door.close(),
  }
}

/** @throws SimulatorConfigError for a time that cannot be waited. */
function checkedRefusal(forMs: number | undefined): number | undefined {
  if (forMs === undefined || (forMs >= 1 && forMs <= LONGEST_REFUSAL_MS)) return forMs
  throw new SimulatorConfigError(
    "forMs",
    `${forMs} is no such time`,
    `give milliseconds from 1 to ${LONGEST_REFUSAL_MS}`,
  )
}

const LONGEST_REFUSAL_MS = 3_600_000

async function serve(request: IncomingMessage, response: ServerResponse, house: House): Promise<void> {
  const requestId = requestIdOf(request)
  response.setHeader("x-request-id", requestId)
  try {
    await routed(request, response, requestId, house)
  } catch (error) {
    if (response.headersSent || response.destroyed) {
      response.destroy()
      return
    }
    const refused =
      error instanceof WireError ? error : new WireError(500, String(error), { type: "server_error" })
    sendJson(response, refused.status, refused.body)
  }
}

async function routed(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  house: House,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://simulator")
  const path = pathname.replace(/(?<=.)\/$/, "")
  const take = POSTS[path]
  if (take !== undefined) {
    if (request.method !== "POST") throw notAllowed(request, "POST")
    await take(request, response, requestId, house)
    return
  }
  const page = pageAt(path, searchParams, house)
  if (page === undefined) {
    throw new WireError(
      404,
      `Unknown request URL: ${request.method} ${path}. Please check the URL for typos.`,
      {
        code: "unknown_url",
      },
    )
  }
  if (request.method !== "GET") throw notAllowed(request, "GET")
  sendJson(response, 200, page)
}

/** Takes a POST and answers it. */
type Taker = (
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  house: House,
) => Promise<void>

const POSTS: Readonly<Record<string, Taker>> = {
  "/v1/chat/completions": chat,
  "/faults": listTaker(({ faults }, list) => faults.script(list as readonly ScriptedFault[])),
  "/fault-rates": listTaker(({ faults }, list) => faults.setRates(list as readonly FaultRate[])),
  "/outages": listTaker(({ faults }, list) => faults.setOutages(list as readonly Outage[])),
  "/heal": heal,
  "/refuse": refuse,
}

async function chat(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  house: House,
): Promise<void> {
  const body = await bodyOf(request)
  house.log.add({ requestId, at: house.settings.now(), body })
  const leaving = new AbortController()
  const left = (): void => {
    if (!response.writableFinished) leaving.abort(new Error("the connection was closed"))
  }
  if (response.closed) left()
  else response.once("close", left)
  await house.desk.handle({ requestId, body, response, signal: leaving.signal })
}

/** `Simulator.script` and the like for another process. */
function listTaker(put: (house: House, list: readonly unknown[]) => void): Taker {
  return async (request, response, _requestId, house) => {
    const list = parseJson(await bodyOf(request))
    if (!Array.isArray(list)) throw new WireError(400, "The body must be a list of faults.")
    sayingWhatIsWrong(() => put(house, list))
    sendJson(response, 200, { object: "list", data: list as readonly JsonValue[] })
  }
}

async function heal(
  request: IncomingMessage,
  response: ServerResponse,
  _requestId: string,
  { faults }: House,
): Promise<void> {
  await bodyOf(request)
  faults.heal()
  sendJson(response, 200, { healed: true })
}

/** `Simulator.refuse` for another process, which could not ask for an end: it has to say for how long. */
async function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  _requestId: string,
  { door }: House,
): Promise<void> {
  const order = parseJson(await bodyOf(request)) as { readonly forMs?: unknown } | null
  const forMs = sayingWhatIsWrong(() => checkedRefusal(Number(order?.forMs ?? Number.NaN)))
  response.once("close", () => void door.refuse(forMs))
  sendJson(response, 200, { refuses: true, forMs })
}

function sayingWhatIsWrong<T>(attempt: () => T): T {
  try {
    return attempt()
  } catch (error) {
    if (!(error instanceof SimulatorConfigError)) throw error
    throw new WireError(400, error.message, { param: error.path, code: "invalid_value" })
  }
}

function pageAt(
  path: string,
  query: URLSearchParams,
  { settings, bill, desk }: House,
): JsonValue | undefined {
  if (path === "/health") return { status: "ok", models: settings.models.map(({ id }) => id) }
  if (path === "/invoices") return invoicesPage(bill, query, desk.open())
  if (path === "/v1/models") return { object: "list", data: settings.models.map(modelPage) }
  const [, id] = /^\/v1\/models\/(.+)$/.exec(path) ?? []
  const model = settings.models.find((candidate) => candidate.id === id)
  return model === undefined ? undefined : modelPage(model)
}

/** OpenAI's fields, and what a caller of a simulator wants to know. */
function modelPage({ id, price, contextWindow, maxOutputTokens }: SimulatedModel): JsonObject {
  return {
    id,
    object: "model",
    created: 0,
    owned_by: "simulator",
    context_window: contextWindow,
    max_output_tokens: maxOutputTokens,
    price: { ...price, longContext: [price.longContext ?? []].flat().map((step) => ({ ...step })) },
  }
}

function notAllowed(request: IncomingMessage, allowed: string): WireError {
  return new WireError(405, `Not allowed to ${request.method} on this URL: use ${allowed}.`, {
    code: "method_not_allowed",
  })
}

function requestIdOf(request: IncomingMessage): string {
  const given = [request.headers["x-request-id"], request.headers["x-client-request-id"]]
  return given.find(isRequestId) ?? `req_${randomUUID().replaceAll("-", "")}`
}

/** OpenAI takes up to 512 ASCII characters for an `x-client-request-id`. */
function isRequestId(given: string | string[] | undefined): given is string {
  return typeof given === "string" && /^[\x21-\x7e]{1,512}$/.test(given)
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  if (Number(request.headers["content-length"] ?? 0) > MOST_BODY_BYTES) throw tooLarge()
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > MOST_BODY_BYTES) throw tooLarge()
    parts.push(part)
  }
  return Buffer.concat(parts).toString("utf8")
}

function tooLarge(): WireError {
  return new WireError(413, `The body is larger than ${MOST_BODY_BYTES} bytes.`, {
    code: "request_too_large",
  })
}

import { randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { type ChatDesk, chatDesk, sendJson } from "./chat-completions.ts"
import { SimulatorConfigError } from "./errors.ts"
import { type FaultScript, faultScript, type ScriptedFault } from "./faults.ts"
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
  const faults = faultScript(settings.models.map(({ id }) => id))
  const log = requestLog()
  const house: House = { settings, bill, faults, log, desk: chatDesk({ settings, faults, bill }) }
  const server = createServer((request, response) => {
    serve(request, response, house).catch((error: unknown) => response.destroy(error as Error))
  })
  await listening(server, settings)
  return asSimulator(server, house)
}

interface House {
  readonly settings: SimulatorSettings
  readonly bill: Bill
  readonly faults: FaultScript
  readonly log: RequestLog
  readonly desk: ChatDesk
}

// Far above any context window; a body without end must not fill the memory.
const MOST_BODY_BYTES = 32 * 1024 * 1024

async function listening(server: Server, { port, host }: SimulatorSettings): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(asConfigError(error, port, host)))
    server.listen(port, host, resolve)
  })
}

function asConfigError(error: NodeJS.ErrnoException, port: number, host: string): Error {
  if (error.code === "EADDRINUSE")
    return new SimulatorConfigError(
      "port",
      `${port} is in use on ${host}`,
      "choose another, or 0 for any free one",
      { cause: error },
    )
  if (error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND")
    return new SimulatorConfigError("host", `${host} is not an address of this machine`, "use 127.0.0.1", {
      cause: error,
    })
  if (error.code === "EACCES")
    return new SimulatorConfigError(
      "port",
      `${port} may not be opened by this user`,
      "choose one above 1023",
      { cause: error },
    )
  return error
}

function asSimulator(server: Server, house: House): Simulator {
  const { address, port, family } = server.address() as AddressInfo
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => {
    closed ??= new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
    return closed
  }
  return {
    baseUrl: `http://${family === "IPv6" ? `[${address}]` : address}:${port}/v1`,
    models: house.settings.models,
    invoices: () => house.bill.lines(),
    requests: () => house.log.seen(),
    script: (faults) => house.faults.add(faults),
    close,
    [Symbol.asyncDispose]: close,
  }
}

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

const POSTS: Readonly<Record<string, Taker>> = { "/v1/chat/completions": chat, "/faults": script }

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

/** `Simulator.script` for another process. */
async function script(
  request: IncomingMessage,
  response: ServerResponse,
  _requestId: string,
  { faults }: House,
): Promise<void> {
  const list = parseJson(await bodyOf(request))
  if (!Array.isArray(list)) throw new WireError(400, "The body must be a list of faults.")
  try {
    faults.add(list as readonly ScriptedFault[])
  } catch (error) {
    if (!(error instanceof SimulatorConfigError)) throw error
    throw new WireError(400, error.message, { param: error.path, code: "invalid_value" })
  }
  sendJson(response, 200, { object: "list", data: list as readonly JsonValue[] })
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

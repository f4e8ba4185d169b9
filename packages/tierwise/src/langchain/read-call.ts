import type { BaseMessage } from "@langchain/core/messages"
import { mergeConfigs, type RunnableConfig } from "@langchain/core/runnables"
import { toJsonSchema } from "@langchain/core/utils/json_schema"
import { InvalidRequestError, messageOf } from "../spec/errors.ts"
import type { Gate, ResponseFormat, RouteHints, RouteRequest } from "../spec/request.ts"
import type { StructuredOutput } from "./call-model.ts"
import { checkAllIsSent, checkNoDearer } from "./check-quotable.ts"

/** The call options that are for the router; everything else is the provider's. */
export const HINTS: ReadonlySet<string> = new Set([
  "tier",
  "taskType",
  "agentSpec",
  "preference",
  "capabilities",
  "contextLength",
  "scopes",
  "labels",
  "maxOutputTokens",
  "deadlineMs",
  "session",
  "priority",
  "attributes",
] satisfies (keyof RouteHints)[])

type Options = Readonly<Record<string, unknown>>

/** Options that are tables: a call adds to what was bound before, so that it cannot lose the tenant by naming the user. */
const TABLES: readonly string[] = ["scopes", "labels", "attributes", "providerOptions"]

/** LangChain's merge, key by key also for the router's own tables. */
export function mergeOptions<T extends object>(bound: T, given: T | undefined): T {
  if (given === undefined || Object.keys(bound).length === 0) return { ...(given ?? bound) }
  const merged = mergeConfigs(bound as RunnableConfig, given as RunnableConfig) as Record<string, unknown>
  const [before, after] = [bound, given] as [Options, Options]
  for (const name of TABLES) joinTable(merged, name, before[name], after[name])
  const hints = [before, after].map(({ configurable }) => (configurable as Options | undefined)?.["tierwise"])
  if (isTable(hints[0]) && isTable(hints[1])) {
    merged["configurable"] = {
      ...(merged["configurable"] as object),
      tierwise: mergeOptions(hints[0], hints[1]),
    }
  }
  return merged as T
}

function joinTable(into: Record<string, unknown>, name: string, before: unknown, after: unknown): void {
  if (isTable(before) && isTable(after)) into[name] = { ...before, ...after }
}

function isTable(value: unknown): value is Options {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

export interface ReadCall {
  readonly request: RouteRequest
  /** For the provider's package. */
  readonly callOptions: Options
  readonly gate: Gate | undefined
  /** LangChain's own option: here, tries at one candidate after the first. The packages themselves never retry. */
  readonly maxRetries: number | undefined
}

/** Takes the router's hints out of the call options. Hints on the call win over those under `configurable.tierwise`. */
export function readCall(
  messages: readonly BaseMessage[],
  options: Options,
  configurable: Options | undefined,
  structured: StructuredOutput | undefined,
): ReadCall {
  const { tools, providerOptions, gate, maxRetries, ...given } = options
  const hints: Record<string, unknown> = {}
  const callOptions: Record<string, unknown> = { ...(providerOptions as Options | undefined) }
  for (const [name, said] of Object.entries(given)) {
    if (!HINTS.has(name)) callOptions[name] = said
    else if (said !== undefined) hints[name] = said
  }
  checkNoDearer(callOptions)
  checkAllIsSent(callOptions)
  const configuredHints = checkedHints(configurable?.["tierwise"])
  for (const [name, configured] of Object.entries(configuredHints)) {
    if (!HINTS.has(name) || configured === undefined) continue
    if (TABLES.includes(name)) joinTable(hints, name, configured, hints[name])
    hints[name] ??= configured
  }
  const responseFormat = structured ? formatOf(structured) : askedFormat(callOptions)
  const request: RouteRequest = {
    ...hints,
    messages,
    ...(tools !== undefined && { tools: checkedTools(tools) }),
    ...(responseFormat && { responseFormat }),
  }
  return {
    request,
    callOptions,
    gate: checkedGate(gate ?? configuredHints["gate"]),
    maxRetries: checkedRetries(maxRetries),
  }
}

/** Nothing but hints lives under `configurable.tierwise`: what else is there is misspelt. */
function checkedHints(hints: unknown): Options {
  if (hints === undefined) return {}
  if (!isTable(hints)) {
    throw new InvalidRequestError(
      "configurable.tierwise",
      "it is not an object",
      'give hints, e.g. { tier: "heavy" }',
    )
  }
  const unknown = Object.keys(hints).find((name) => !HINTS.has(name) && name !== "gate")
  if (unknown === undefined) return hints
  const path = `configurable.tierwise.${unknown}`
  throw new InvalidRequestError(path, "there is no such hint", `use one of ${[...HINTS, "gate"].join(", ")}`)
}

function checkedTools(tools: unknown): readonly unknown[] {
  if (Array.isArray(tools)) return tools
  throw new InvalidRequestError("tools", "it is not a list", "give a list of tools")
}

function checkedGate(gate: unknown): Gate | undefined {
  if (gate === undefined || gate === "off" || gate === "full") return gate
  throw new InvalidRequestError("gate", `${JSON.stringify(gate)} is no way to gate`, 'use "off" or "full"')
}

/** @throws InvalidRequestError for what is no number of tries. */
export function checkedRetries(maxRetries: unknown): number | undefined {
  if (maxRetries === undefined) return undefined
  if (typeof maxRetries === "number" && Number.isSafeInteger(maxRetries) && maxRetries >= 0) return maxRetries
  throw new InvalidRequestError(
    "maxRetries",
    `${JSON.stringify(maxRetries)} does not fit`,
    "give a whole number, 0 or more",
  )
}

function formatOf({ schema, config }: StructuredOutput): ResponseFormat {
  const json = jsonSchemaOf(schema, "schema")
  const name = config["name"] ?? json["title"]
  return { name: typeof name === "string" ? name : "extract", schema: json }
}

/** OpenAI's `response_format`, as agents pass it. */
function askedFormat({ response_format: format }: Options): ResponseFormat | undefined {
  const { type, json_schema: asked } = (format ?? {}) as { type?: unknown; json_schema?: Options }
  if (type !== "json_schema" || asked === undefined) return undefined
  const { name, schema } = asked
  return {
    name: typeof name === "string" ? name : "extract",
    schema: jsonSchemaOf(schema, "response_format.json_schema.schema"),
  }
}

function jsonSchemaOf(schema: unknown, path: string): Options {
  try {
    return toJsonSchema(schema as never)
  } catch (error) {
    const fix = "use a schema that JSON Schema can express, without dates or functions"
    throw new InvalidRequestError(path, `it cannot be written as JSON Schema (${messageOf(error)})`, fix)
  }
}

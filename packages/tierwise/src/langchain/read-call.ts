import type { BaseMessage } from "@langchain/core/messages"
import { type JsonSchema7Type, toJsonSchema } from "@langchain/core/utils/json_schema"
import type { ResponseFormat, RouteHints, RouteRequest } from "../spec/request.ts"
import type { StructuredOutput } from "./call-model.ts"

/** The call options that are for the router; everything else is the provider's. */
const HINTS = [
  "tier",
  "taskType",
  "agentSpec",
  "preference",
  "capabilities",
  "contextLength",
  "scopes",
  "labels",
  "maxOutputTokens",
  "attributes",
] as const satisfies readonly (keyof RouteHints)[]

type Options = Readonly<Record<string, unknown>>

/** Takes the router's hints out of the call options. Hints on the call win over those under `configurable.tierwise`. */
export function readCall(
  messages: readonly BaseMessage[],
  options: Options,
  configurable: Options | undefined,
  structured: StructuredOutput | undefined,
): { readonly request: RouteRequest; readonly callOptions: Options } {
  const { tools, providerOptions, ...given } = options
  const callOptions: Record<string, unknown> = { ...(providerOptions as Options | undefined), ...given }
  const fromConfig = (configurable?.["tierwise"] ?? {}) as Options
  const hints: Record<string, unknown> = {}
  for (const name of HINTS) {
    const value = callOptions[name] ?? fromConfig[name]
    delete callOptions[name]
    if (value !== undefined) hints[name] = value
  }
  const responseFormat = structured ? formatOf(structured) : askedFormat(callOptions)
  const request: RouteRequest = {
    ...hints,
    messages,
    ...(Array.isArray(tools) && { tools }),
    ...(responseFormat && { responseFormat }),
  }
  return { request, callOptions }
}

function formatOf({ schema, config }: StructuredOutput): ResponseFormat {
  const json = toJsonSchema(schema as never) as JsonSchema7Type & Options
  const name = config["name"] ?? json["title"]
  return { name: typeof name === "string" ? name : "extract", schema: json }
}

/** OpenAI's `response_format`, as agents pass it. */
function askedFormat({ response_format: format }: Options): ResponseFormat | undefined {
  const { type, json_schema: asked } = (format ?? {}) as { type?: unknown; json_schema?: Options }
  if (type !== "json_schema" || asked === undefined) return undefined
  const { name, schema } = asked
  return { name: typeof name === "string" ? name : "extract", schema: toJsonSchema(schema as never) }
}

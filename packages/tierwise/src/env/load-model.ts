import { responseHeaders } from "../dispatch/limits/response-headers.ts"
import type { DeploymentOptions } from "../route/router-options.ts"
import { ConfigError } from "../spec/errors.ts"
import { PROVIDERS, type Provider } from "./providers.ts"

export type Env = Readonly<Record<string, string | undefined>>

/** `provider/model`, or `provider/model@http://server/v1`. */
export interface ModelName {
  readonly provider: string
  readonly model: string
  readonly baseUrl: string | undefined
  /** The variable that holds the API key. Undefined: the provider's usual ones. */
  readonly keyVariable?: string | undefined
}

/** @throws ConfigError naming `variable` if the provider is missing or unknown. */
export function parseModelName(name: string, variable: string): ModelName {
  const slash = name.indexOf("/")
  const provider = slash === -1 ? "" : name.slice(0, slash)
  if (!Object.hasOwn(PROVIDERS, provider)) {
    const known = Object.keys(PROVIDERS).join(", ")
    throw new ConfigError(
      variable,
      `"${name}" names no known provider`,
      `write provider/model with one of ${known}`,
    )
  }
  const rest = name.slice(slash + 1)
  const at = rest.search(/@https?:\/\//)
  const model = at === -1 ? rest : rest.slice(0, at)
  if (model === "") throw new ConfigError(variable, `"${name}" names no model`, "write provider/model")
  return { provider, model, baseUrl: at === -1 ? undefined : rest.slice(at + 1) }
}

/** A model, and the headers of its answers where they can be heard. */
export type LoadedModel = Pick<DeploymentOptions, "model" | "headers">

/**
 * Builds the chat model, loading its package only now.
 * @throws ConfigError saying what to install or which variable to set.
 */
export async function loadModel(
  { provider: name, model, baseUrl, keyVariable }: ModelName,
  variable: string,
  env: Env,
): Promise<LoadedModel> {
  const provider = PROVIDERS[name] as Provider
  const url = baseUrl ?? presentIn(env, provider.baseUrl?.variable) ?? provider.baseUrl?.otherwise
  if (name === "openai-compatible" && url === undefined) {
    const fix = `set ${provider.baseUrl?.variable}, or write ${name}/${model}@http://server/v1`
    throw new ConfigError(variable, `nobody says where ${name}/${model} is served`, fix)
  }
  const keys = keyVariable === undefined ? provider.keys : [keyVariable]
  const apiKey = keys.map((key) => presentIn(env, key)).find((key) => key !== undefined)
  if (apiKey === undefined && keys.length > 0) {
    throw new ConfigError(variable, `${name}/${model} needs an API key`, `set ${keys.join(" or ")}`)
  }
  const Model = await load(provider, variable)
  const headers = provider.takesFetch ? responseHeaders() : undefined
  const fields = provider.fields({ model, apiKey, baseUrl: url, fetch: headers?.fetch })
  return { model: new Model(fields as never), headers }
}

async function load(provider: Provider, variable: string): Promise<Awaited<ReturnType<Provider["load"]>>> {
  try {
    return await provider.load()
  } catch (cause) {
    const code = (cause as { code?: unknown }).code
    if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") throw cause
    const problem = `it needs the package ${provider.package}, which is not installed`
    throw new ConfigError(variable, problem, `npm install ${provider.package}`, { cause })
  }
}

/** A variable that is set to nothing is not set. */
export function presentIn(env: Env, variable: string | undefined): string | undefined {
  const value = variable === undefined ? undefined : env[variable]?.trim()
  return value === "" ? undefined : value
}

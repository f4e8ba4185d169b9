import type { BaseChatModel } from "@langchain/core/language_models/chat_models"

/** What `MODEL_…=provider/model` needs to become a chat model. */
export interface Provider {
  /** The npm package it comes from. */
  readonly package: string
  readonly load: () => Promise<ChatModelClass>
  /** Variables one of which must hold the API key; none: no key is needed. */
  readonly keys: readonly string[]
  /** Where the server is: the variable that says so, and what counts without it. */
  readonly baseUrl?: { readonly variable: string; readonly otherwise?: string | undefined } | undefined
  /** Self-hosted models have no price list: they are priced by cost weight (row E2). `if-private`: by its address. */
  readonly selfHosted: boolean | "if-private"
  /** The provider's name in the price data; default: the one used here. */
  readonly priceId?: string | undefined
  /** Its package calls a fetch that it is given, so that the headers of its answers are heard. */
  readonly takesFetch: boolean
  readonly fields: (given: ProviderFields) => Record<string, unknown>
}

export interface ProviderFields {
  readonly model: string
  readonly apiKey: string | undefined
  readonly baseUrl: string | undefined
  /** Undefined where `takesFetch` is false. */
  readonly fetch: typeof globalThis.fetch | undefined
}

type ChatModelClass = new (fields: never) => BaseChatModel

const openAiFields: Provider["fields"] = ({ model, apiKey, baseUrl, fetch }) => ({
  model,
  // The OpenAI client refuses to start without a key; servers that need none ignore it.
  apiKey: apiKey ?? "not-needed",
  configuration: { fetch, ...(baseUrl !== undefined && { baseURL: baseUrl }) },
})

const chatOpenAI = {
  package: "@langchain/openai",
  load: async () => (await import("@langchain/openai")).ChatOpenAI,
  takesFetch: true,
  fields: openAiFields,
}

const community = {
  package: "@langchain/community",
  selfHosted: false,
  takesFetch: false,
  fields: ({ model, apiKey }: ProviderFields) => ({ model, apiKey }),
}

export const PROVIDERS: Readonly<Record<string, Provider>> = {
  ollama: {
    package: "@langchain/ollama",
    load: async () => (await import("@langchain/ollama")).ChatOllama,
    keys: [],
    baseUrl: { variable: "OLLAMA_BASE_URL", otherwise: "http://127.0.0.1:11434" },
    selfHosted: true,
    takesFetch: true,
    fields: ({ model, baseUrl, fetch }) => ({ model, baseUrl, fetch }),
  },
  vllm: {
    ...chatOpenAI,
    keys: [],
    baseUrl: { variable: "VLLM_BASE_URL", otherwise: "http://127.0.0.1:8000/v1" },
    selfHosted: true,
  },
  "openai-compatible": {
    ...chatOpenAI,
    keys: [],
    baseUrl: { variable: "OPENAI_COMPATIBLE_BASE_URL" },
    selfHosted: "if-private",
  },
  openai: {
    ...chatOpenAI,
    keys: ["OPENAI_API_KEY"],
    baseUrl: { variable: "OPENAI_BASE_URL" },
    selfHosted: false,
  },
  anthropic: {
    package: "@langchain/anthropic",
    load: async () => (await import("@langchain/anthropic")).ChatAnthropic,
    keys: ["ANTHROPIC_API_KEY"],
    baseUrl: { variable: "ANTHROPIC_BASE_URL" },
    selfHosted: false,
    takesFetch: true,
    fields: ({ model, apiKey, baseUrl, fetch }) => ({
      model,
      apiKey,
      clientOptions: { fetch },
      ...(baseUrl !== undefined && { anthropicApiUrl: baseUrl }),
    }),
  },
  togetherai: {
    ...community,
    load: async () => (await import("@langchain/community/chat_models/togetherai")).ChatTogetherAI,
    keys: ["TOGETHER_AI_API_KEY"],
    priceId: "together",
  },
  fireworks: {
    ...community,
    load: async () => (await import("@langchain/community/chat_models/fireworks")).ChatFireworks,
    keys: ["FIREWORKS_API_KEY"],
  },
  deepinfra: {
    ...community,
    load: async () => (await import("@langchain/community/chat_models/deepinfra")).ChatDeepInfra,
    keys: ["DEEPINFRA_API_TOKEN"],
  },
  moonshot: {
    ...community,
    load: async () => (await import("@langchain/community/chat_models/moonshot")).ChatMoonshot,
    keys: ["MOONSHOT_API_KEY"],
    priceId: "moonshotai",
  },
  perplexity: {
    ...community,
    load: async () => (await import("@langchain/community/chat_models/perplexity")).ChatPerplexity,
    keys: ["PERPLEXITY_API_KEY"],
  },
  novita: {
    ...community,
    load: async () => (await import("@langchain/community/chat_models/novita")).ChatNovitaAI,
    keys: ["NOVITA_API_KEY"],
  },
}

/** True if nobody else can be billing for this server: it is on this machine or in a private network. */
export function isPrivateAddress(baseUrl: string | undefined): boolean {
  if (baseUrl === undefined || !URL.canParse(baseUrl)) return false
  const { hostname } = new URL(baseUrl)
  return PRIVATE_HOSTS.some((pattern) => pattern.test(hostname))
}

const PRIVATE_HOSTS: readonly RegExp[] = [
  /^127(?:\.\d+){3}$/,
  /^10(?:\.\d+){3}$/,
  /^192\.168(?:\.\d+){2}$/,
  /^172\.(?:1[6-9]|2\d|3[01])(?:\.\d+){2}$/,
  /^\[(?:::1|f[cd][0-9a-f]{2}:.*)\]$/,
  // A name without a dot is resolved by the machine or its network: localhost, a compose service.
  /^[^.:]+$/,
  /\.(?:local|internal|lan)$/,
]

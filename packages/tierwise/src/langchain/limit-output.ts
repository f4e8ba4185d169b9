import type { BaseChatModel } from "@langchain/core/language_models/chat_models"

/**
 * The field in which each provider package keeps its output cap: OpenAI, Anthropic and most others; Ollama; Google.
 * LangChain has no call option for it.
 */
const LIMIT_FIELDS = ["maxTokens", "numPredict", "maxOutputTokens"] as const

/** ChatOpenAI is a facade over two models, and its `withConfig` rebuilds it from `fields`. */
const FACADE_PARTS = ["completions", "responses"] as const

type Fields = Record<string, unknown>

/** The name of the model's output-cap field, or undefined: its output cannot be capped, so its cost has no bound. */
export function outputLimitField(model: BaseChatModel): string | undefined {
  return LIMIT_FIELDS.find((field) => field in model)
}

/** The cap the user has set on the model itself, in tokens. */
export function ownOutputLimit(model: BaseChatModel): number | undefined {
  const field = outputLimitField(model)
  const limit = field === undefined ? undefined : (model as unknown as Fields)[field]
  return typeof limit === "number" && limit > 0 ? limit : undefined
}

/** Answers per call: `n` of OpenAI-like models, which `modelKwargs` overrides. */
export function completionsPerCall(model: BaseChatModel): number {
  const { n, modelKwargs } = model as unknown as { n?: unknown; modelKwargs?: Fields }
  const asked = modelKwargs?.["n"] ?? n
  return typeof asked === "number" && asked > 1 ? asked : 1
}

/** Extra parameters that would go past the cap. */
const LIMIT_PARAMETERS = ["max_tokens", "max_completion_tokens", "max_output_tokens"] as const

/** Why the output of this model cannot be capped from outside; undefined if it can. */
export function outputLimitObstacle(model: BaseChatModel): string | undefined {
  if (outputLimitField(model) === undefined) return "it has no maxTokens, numPredict or maxOutputTokens"
  for (const extra of ["modelKwargs", "invocationKwargs"]) {
    const kwargs = (model as unknown as Fields)[extra] as Fields | undefined
    const past = LIMIT_PARAMETERS.find((name) => kwargs?.[name] !== undefined)
    if (past !== undefined) return `its ${extra}.${past} would go past the cap`
  }
  return hasPrivateFields(model) ? "its class has #private fields, which a view of it cannot read" : undefined
}

/** JavaScript's own private fields cannot be detected on an object, only in the source of its classes. */
function hasPrivateFields(model: object): boolean {
  for (let at = Object.getPrototypeOf(model) as object | null; at !== null; at = Object.getPrototypeOf(at)) {
    if (at === Object.prototype) return false
    if (/\bthis\.#[A-Za-z_$]/.test(String(at.constructor))) return true
  }
  return false
}

/** Caps the output of models; see `limitOutput`. */
export type OutputLimiter = (model: BaseChatModel, maxTokens: number) => BaseChatModel

/** Views kept per model: a router uses one or two caps, a caller who names a new one each time is served all the same. */
const VIEWS_PER_MODEL = 16

/** A limiter that keeps its views: a provider package builds its HTTP client on a view's first call. */
export function outputLimiter(): OutputLimiter {
  const views = new WeakMap<BaseChatModel, Map<number, BaseChatModel>>()
  return (model, maxTokens) => {
    const known = views.get(model) ?? new Map<number, BaseChatModel>()
    views.set(model, known)
    let view = known.get(maxTokens)
    if (view === undefined) {
      if (known.size >= VIEWS_PER_MODEL) known.clear()
      view = outputLimitObstacle(model) === undefined ? limitOutput(model, maxTokens) : model
      known.set(maxTokens, view)
    }
    return view
  }
}

/**
 * The same model with another output cap: a view that delegates to it, so that its concurrency limit and any subclass
 * behaviour stay shared; packages that build their HTTP client late build one per view. The model itself is not changed.
 */
export function limitOutput<M extends object>(model: M, maxTokens: number): M {
  const field = LIMIT_FIELDS.find((name) => name in model)
  if (field === undefined) return model
  const view = Object.create(model) as M & Fields
  set(view, field, maxTokens)
  const parts = FACADE_PARTS.filter((part) => typeof (model as Fields)[part] === "object")
  for (const part of parts) set(view, part, limitOutput((model as Fields)[part] as object, maxTokens))
  const { fields } = model as Fields
  if (typeof fields === "object" && fields !== null) {
    const limited = { ...fields, maxCompletionTokens: undefined, [field]: maxTokens }
    set(view, "fields", Object.assign(limited, Object.fromEntries(parts.map((part) => [part, view[part]]))))
  }
  return view
}

function set(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true })
}

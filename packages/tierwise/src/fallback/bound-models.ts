import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { Runnable } from "@langchain/core/runnables"
import { isChatModel } from "../langchain/is-chat-model.ts"
import { toolsIn, unitedTools } from "./united-tools.ts"

/** What LangChain's `withConfig`, `withRetry` and some packages' `bindTools` make of a model. */
interface Binding extends Runnable {
  readonly bound: Runnable
  readonly config: Options
  readonly kwargs: Options | undefined
}

type Options = Readonly<Record<string, unknown>>

/** Duck-typed like `isChatModel`; a RunnableEach also has a `bound`, but binds no options to it. */
function isBinding(runnable: unknown): runnable is Binding {
  const { bound, config } = (runnable ?? {}) as Partial<Binding>
  return typeof bound?.invoke === "function" && typeof config === "object"
}

/** The chat model that a runnable is, or that it binds options to; undefined for anything else. */
export function chatModelOf(runnable: unknown): BaseChatModel | undefined {
  if (isBinding(runnable)) return chatModelOf(runnable.bound)
  return isChatModel(runnable) ? runnable : undefined
}

/**
 * The runnable with these tools, bound by its model in its provider's own form. Tools that it had before stay, and so
 * does everything else that is bound to it.
 */
export function withTools(runnable: Runnable, tools: readonly unknown[], kwargs: Options): Runnable {
  if (isBinding(runnable)) {
    const own = toolsIn(runnable.config, runnable.kwargs)
    return rebound(runnable, withTools(runnable.bound, unitedTools(own, tools), kwargs), Object.keys(kwargs))
  }
  const model = runnable as BaseChatModel
  const own = toolsIn((model as { readonly defaultOptions?: Options }).defaultOptions)
  const bound = model.bindTools?.([...unitedTools(own, tools)] as never[], kwargs)
  return bound as unknown as Runnable
}

/**
 * The runnable under a schema, through its model's own `withStructuredOutput`. A package whose models take no schema once
 * tools are bound (their `bindTools` gives a plain binding) is asked for the schema alone: it replaces the tools, as in
 * LangChain's own base class.
 */
export function withSchema(
  runnable: Runnable,
  schema: unknown,
  config: object | undefined,
  tools: readonly unknown[],
  kwargs: Options,
): Runnable {
  if (isBinding(runnable)) {
    const all = unitedTools(toolsIn(runnable.config, runnable.kwargs), tools)
    return rebound(runnable, withSchema(runnable.bound, schema, config, all, kwargs), ["tool_choice"])
  }
  const bound = tools.length === 0 ? runnable : withTools(runnable, tools, kwargs)
  const able = "withStructuredOutput" in bound ? bound : runnable
  return (able as BaseChatModel).withStructuredOutput(schema as never, config)
}

/** The same binding around something else. What `bound` has by now, `replaced` and the tools, is bound no second time. */
function rebound(binding: Binding, bound: Runnable, replaced: readonly string[]): Runnable {
  const kept = (options: Options | undefined) =>
    Object.fromEntries(
      Object.entries(options ?? {}).filter(([name]) => name !== "tools" && !replaced.includes(name)),
    )
  const clone = Object.create(Object.getPrototypeOf(binding) as object) as Runnable
  return Object.assign(clone, binding, { bound, config: kept(binding.config), kwargs: kept(binding.kwargs) })
}

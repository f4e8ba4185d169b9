import type { InferInteropZodOutput, InteropZodObject } from "@langchain/core/utils/types"
import { type AgentMiddleware, createMiddleware, type ModelRequest, type Runtime } from "langchain"
import { z } from "zod"
import { HINTS, mergeOptions } from "../langchain/read-call.ts"
import { RouterChatModel } from "../router-chat-model.ts"
import { ConfigError } from "../spec/errors.ts"
import type { AgentSpec, RouteHints } from "../spec/request.ts"
import { type AgentStepKind, stepKindOf } from "./agent-step.ts"
import { heldBy } from "./hold-in.ts"
import { type ChoiceOptions, routerOfChoices } from "./router-of-choices.ts"

/** What the middleware reads of an agent's context when no `contextSchema` is given: any hint, under `tierwise`. */
export type RouterContext = z.ZodObject<{ tierwise: z.ZodOptional<z.ZodType<RouteHints, RouteHints>> }>

/** What the middleware reads of an agent's state when no `stateSchema` is given. Tools may set it for the next step. */
export type RouterState = z.ZodObject<{ taskType: z.ZodOptional<z.ZodString> }>

/** One model call of an agent, as the user's own functions see it. */
export interface AgentStep<State extends InteropZodObject, Context extends InteropZodObject> {
  readonly kind: AgentStepKind
  /** The fields of `stateSchema`, and the messages. */
  readonly state: InferInteropZodOutput<State> & Pick<ModelRequest, "messages">
  /** `runtime.context` has the fields of `contextSchema`. */
  readonly runtime: Runtime<InferInteropZodOutput<Context>>
  readonly request: Pick<
    ModelRequest,
    "messages" | "systemMessage" | "tools" | "toolChoice" | "modelSettings"
  >
}

/** How an agent's steps are told to the router. What stands further down wins over what stands above it. */
export interface StepOptions<
  State extends InteropZodObject = RouterState,
  Context extends InteropZodObject = RouterContext,
> {
  /** The tiers this agent must or may have. Default: all. */
  readonly agentSpec?: AgentSpec | undefined
  /** Hints by the kind of step, e.g. `{ "tool-results": { taskType: "skill_invocation" } }`. Default: none. */
  readonly steps?: Readonly<Partial<Record<AgentStepKind, RouteHints>>> | undefined
  /** Default: `taskType`, which a tool or another middleware may set; read by itself. */
  readonly stateSchema?: State | undefined
  /** Default: `tierwise`, with any hints; read by itself. */
  readonly contextSchema?: Context | undefined
  /** What kind of task a step is, for the policy's task types. Undefined: what state and context say. */
  readonly taskTypeOf?: ((step: AgentStep<State, Context>) => string | undefined) | undefined
  /** Any other hint, e.g. `({ runtime }) => ({ scopes: { tenant: runtime.context.tenant } })`. */
  readonly hintsOf?: ((step: AgentStep<State, Context>) => RouteHints) | undefined
}

export type RouterMiddlewareOptions<
  State extends InteropZodObject = RouterState,
  Context extends InteropZodObject = RouterContext,
> = StepOptions<State, Context> & ({ readonly router: RouterChatModel } | ChoiceOptions)

/** The middleware, and the router it puts in the place of the agent's model. */
export type RouterMiddleware<
  State extends InteropZodObject,
  Context extends InteropZodObject,
> = AgentMiddleware<State, Context, InferInteropZodOutput<Context>, readonly [], readonly []> & {
  readonly router: RouterChatModel
}

/**
 * Routes each model call of an agent: the router answers in place of the agent's model, and is told what kind of step it
 * is, by state, context, `modelSettings` of another middleware, and the user's own functions. `modelSettings` that are
 * hints (`{ tier: "heavy" }`) are for the router and reach no provider.
 *
 * A model that another middleware brings in after the router has failed, such as `modelFallbackMiddleware`, is called as
 * it is.
 *
 * With `choices` instead of a router, a `decider` model chooses by criteria in words.
 *
 * @throws ConfigError for a router that is none, and for choices that cannot work.
 */
export function routerMiddleware<
  State extends InteropZodObject = RouterState,
  Context extends InteropZodObject = RouterContext,
>(options: RouterMiddlewareOptions<State, Context>): RouterMiddleware<State, Context> {
  const router = routerFrom(options)
  const firstTries = new WeakMap<object, FirstTry>()
  const middleware = createMiddleware({
    name: "RouterMiddleware",
    stateSchema: options.stateSchema ?? defaultState,
    contextSchema: options.contextSchema ?? defaultContext,
    wrapModelCall: async (request, handler) => {
      const { hints: settings, rest: modelSettings } = splitSettings(request.modelSettings)
      const offered = heldBy(request.model)
      const origin = offered?.origin ?? request.model
      const first = firstTries.get(request.state.messages)
      if (first !== undefined && first.origin !== origin) return handler({ ...request, modelSettings })

      const step = {
        kind: stepKindOf(request),
        state: request.state,
        runtime: request.runtime,
        request,
      } as unknown as AgentStep<State, Context>
      const hinted = router.withConfig(mergedHints([...hintsFor(options, step), settings]))
      const model = offered === undefined ? hinted : await offered.holder.hold(hinted)
      try {
        return await handler({ ...request, model, modelSettings })
      } catch (error) {
        firstTries.set(request.state.messages, { origin })
        throw error
      }
    },
  })
  return Object.assign(middleware as unknown as RouterMiddleware<State, Context>, { router })
}

/** The model in whose place the router failed in this step: another one after it was brought in on purpose. */
interface FirstTry {
  readonly origin: unknown
}

const defaultState: RouterState = z.object({ taskType: z.string().optional() })
const defaultContext: RouterContext = z.object({ tierwise: z.custom<RouteHints>(isObject).optional() })

function routerFrom(
  options: Partial<{ readonly router: RouterChatModel }> | ChoiceOptions = {},
): RouterChatModel {
  if ("choices" in options) return routerOfChoices(options)
  if (options.router instanceof RouterChatModel) return options.router
  throw new ConfigError(
    "router",
    "it is no RouterChatModel",
    "give a RouterChatModel, or choices and a decider",
  )
}

/** In rising order. */
function hintsFor<State extends InteropZodObject, Context extends InteropZodObject>(
  { agentSpec, steps, taskTypeOf, hintsOf }: StepOptions<State, Context>,
  step: AgentStep<State, Context>,
): readonly RouteHints[] {
  const { taskType: fromState } = step.state as { readonly taskType?: unknown }
  const { tierwise: fromContext } = (step.runtime.context ?? {}) as { readonly tierwise?: unknown }
  return [
    { agentSpec },
    steps?.[step.kind] ?? {},
    { taskType: typeof fromState === "string" ? fromState : undefined },
    isObject(fromContext) ? fromContext : {},
    { taskType: taskTypeOf?.(step) },
    hintsOf?.(step) ?? {},
  ]
}

function mergedHints(hints: readonly RouteHints[]): RouteHints {
  return hints.map(said).reduce((before, after) => mergeOptions(before, after), {})
}

function said(hints: RouteHints): RouteHints {
  return Object.fromEntries(Object.entries(hints).filter(([, value]) => value !== undefined))
}

type Settings = Readonly<Record<string, unknown>>

/** Hints among another middleware's `modelSettings`, and the rest. */
function splitSettings(settings: Settings | undefined): {
  readonly hints: RouteHints
  readonly rest: Settings
} {
  const entries = Object.entries(settings ?? {})
  return {
    hints: Object.fromEntries(entries.filter(([name]) => HINTS.has(name))),
    rest: Object.fromEntries(entries.filter(([name]) => !HINTS.has(name))),
  }
}

function isObject(value: unknown): value is RouteHints {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { type BaseMessage, RemoveMessage } from "@langchain/core/messages"
import { type AgentMiddleware, createMiddleware } from "langchain"
import { z } from "zod"
import { isChatModel } from "../langchain/is-chat-model.ts"
import { ratesOf } from "../pricing/rates.ts"
import { RouterChatModel } from "../router-chat-model.ts"
import type { BudgetStore } from "../spec/budget.ts"
import type { Price } from "../spec/catalog.ts"
import { type BudgetExceededError, ConfigError, InvalidRequestError, TierwiseError } from "../spec/errors.ts"
import { type Amount, usdToNano } from "../spec/money.ts"
import {
  type AgentAccounts,
  type AgentLimit,
  type AgentLimits,
  type AgentScopes,
  agentAccounts,
} from "./agent-accounts.ts"
import { type Holder, heldBy, holdIn, markHeld } from "./hold-in.ts"
import { MeteredModel } from "./metered-model.ts"
import {
  accountIn,
  errorFor,
  exhaustionOf,
  type OnExhausted,
  questionFor,
  stopMessage,
} from "./stop-message.ts"
import { unmetered } from "./unmetered.ts"

export interface BudgetMiddlewareOptions extends AgentLimits {
  /** Default `error`. */
  readonly onExhausted?: OnExhausted | undefined
  /**
   * What a model charges that is not routed; a function of the model where there are several. A router knows its own
   * prices. Without it such a model is refused with a ConfigError.
   */
  readonly price?: Price | ((model: BaseChatModel) => Price | undefined) | undefined
  /** Output cap in tokens for a model that is not routed. Default: the model's own, else 4,096. */
  readonly maxOutputTokens?: number | undefined
  /** Ids of runs. Default: random UUIDs. */
  readonly newId?: (() => string) | undefined
}

/** The middleware, and what it keeps: `budget.status({ thread: "t-1" })`. */
export type BudgetMiddleware = AgentMiddleware<undefined, undefined, unknown, readonly [], readonly []> & {
  readonly budget: BudgetStore
}

const balance = z.object({
  money: z.number(),
  tokens: z.number(),
  raises: z.record(z.string(), z.object({ money: z.number(), tokens: z.number() })),
})

/** Private: what begins with `_` stays out of the agent's input and output, and goes into its checkpoints. */
const stateSchema = z.object({
  _tierwiseRun: z.object({ id: z.string(), balance: balance.optional() }).optional(),
  _tierwiseThread: balance.optional(),
})

type State = z.output<typeof stateSchema>

/**
 * Limits what a run of an agent, and a thread, may spend. Each model call's money is held before it is made and replaced
 * by its cost afterwards, on every way out; a call that does not fit is not made. Works with a routed model, whose
 * attempts are each held for, beside the router's own budget; and with any other chat model that has a `price`.
 *
 * A thread is a `thread_id`; without one each run is a thread of its own. What was spent is kept in this process, and in
 * the agent's state, from where another process takes it over if there is a checkpointer.
 *
 * @throws ConfigError for limits that are missing or no limits; during a run, for a model without a price.
 */
export function budgetMiddleware(options: BudgetMiddlewareOptions): BudgetMiddleware {
  const { onExhausted = "error", newId = () => crypto.randomUUID() } = options
  checkOnExhausted(onExhausted)
  const accounts = agentAccounts(options)
  const limitsMoney = [options.perRun, options.perThread].some((limit) => limit?.usd !== undefined)
  const otherRates =
    options.price === undefined || typeof options.price === "function"
      ? undefined
      : ratesOf(options.price, "price")
  const holderFor = holders(options, accounts)

  /** Brings the accounts up to what the checkpoint knows. */
  function scopesOf(state: State, threadId: unknown): AgentScopes {
    const run = state._tierwiseRun?.id ?? newId()
    const thread = typeof threadId === "string" && threadId !== "" ? threadId : run
    accounts.restore("run", run, state._tierwiseRun?.balance)
    accounts.restore("thread", thread, state._tierwiseThread)
    return { run, thread }
  }

  const stateFor = ({ run, thread }: AgentScopes): State => ({
    _tierwiseRun: { id: run, balance: accounts.balanceOf("run", run) },
    _tierwiseThread: accounts.balanceOf("thread", thread),
  })

  const middleware = createMiddleware({
    name: "BudgetMiddleware",
    stateSchema,

    beforeAgent: (state) => {
      const leftover = unfinished(state.messages)
      const begun = { _tierwiseRun: { id: newId() } }
      return leftover === undefined ? begun : { ...begun, messages: [leftover] }
    },

    wrapModelCall: async (request, handler) => {
      const scopes = scopesOf(request.state, request.runtime.configurable?.thread_id)
      const watch = accounts.watch(scopes.run)
      try {
        const model = await holderFor(scopes).hold(request.model)
        const answer = await handler({ ...request, model })
        const past = unmetered({ answer, watch, rates: otherRates, limitsMoney })
        if (past !== undefined) {
          await accounts.store.book({ id: crypto.randomUUID(), scopes, amount: past })
        }
        // A retry closer to the model may have made a message of the refusal: nobody has answered all the same.
        const swallowed = past === undefined && watch.answered.size === 0 ? watch.refused : undefined
        if (swallowed === undefined) return answer
        return stopMessage(swallowed.refusal, swallowed.quote, onExhausted, newId())
      } catch (error) {
        const refused = refusedBy(error, scopes)
        if (refused === undefined) throw error
        return stopMessage(refused.refusal, refused.quote, onExhausted, newId())
      }
    },

    afterModel: {
      canJumpTo: ["model"],
      hook: (state, runtime) => {
        const scopes = scopesOf(state, runtime.configurable?.thread_id)
        const stop = state.messages.at(-1)
        const exhaustion = exhaustionOf(stop)
        if (stop?.id === undefined || exhaustion === undefined) return stateFor(scopes)
        if (onExhausted === "error") throw errorFor(exhaustion)
        if (onExhausted === "end") return stateFor(scopes)
        const answer = checkedAnswer(runtime.interrupt?.(questionFor(exhaustion)))
        if (answer === "stop") {
          const { refusal, quote } = errorFor(exhaustion)
          return { ...stateFor(scopes), messages: [stopMessage(refusal, quote, "end", stop.id)] }
        }
        const { scope, id } = accountIn(exhaustion.refusal)
        accounts.raise(scope, id, stop.id, answer)
        return { ...stateFor(scopes), messages: [new RemoveMessage({ id: stop.id })], jumpTo: "model" }
      },
    },

    afterAgent: (state, runtime) => {
      const scopes = scopesOf(state, runtime.configurable?.thread_id)
      const after = stateFor(scopes)
      accounts.forget(scopes.run)
      return after
    },
  })
  return Object.assign(middleware as unknown as BudgetMiddleware, { budget: accounts.store })
}

/** For each call, what makes its model hold; the models made for it are kept. */
function holders(
  { price, maxOutputTokens }: BudgetMiddlewareOptions,
  accounts: AgentAccounts,
): (scopes: AgentScopes) => Holder {
  const hold = holdIn(accounts.store, (run, recordId) => accounts.answered(run, recordId))
  const metered = new WeakMap<BaseChatModel, MeteredModel>()

  function meteredModel(model: BaseChatModel): MeteredModel | undefined {
    const known = metered.get(model)
    if (known !== undefined) return known
    const charged = typeof price === "function" ? price(model) : price
    if (charged === undefined) return undefined
    const made = new MeteredModel(model, charged, maxOutputTokens)
    metered.set(model, made)
    return made
  }

  return (scopes) => {
    const holder: Holder = {
      async hold(given) {
        const model = await chatModelOf(given)
        const router = model instanceof RouterChatModel ? model : meteredModel(model)
        const held = router === undefined ? withoutPrice(model) : hold(router, scopes)
        return markHeld(held, { holder, origin: heldBy(given)?.origin ?? given })
      },
    }
    return holder
  }
}

/** `initChatModel` and agents that name their model by a string make it when it is needed. */
async function chatModelOf(given: unknown): Promise<BaseChatModel> {
  const { _getModelInstance: make } = given as { readonly _getModelInstance?: () => Promise<unknown> }
  const model = typeof make === "function" ? await make.call(given) : given
  if (isChatModel(model)) return model
  throw new ConfigError(
    "model",
    "it is a chain around a chat model, and its money cannot be held",
    "give the agent the chat model itself",
  )
}

/** Not refused before it is called: a router may yet be put in its place. */
function withoutPrice(model: BaseChatModel): BaseChatModel {
  const bindTools = () => {
    throw new ConfigError(
      "price",
      `what ${model.getName()} charges is unknown`,
      "give budgetMiddleware a price, or the agent a RouterChatModel",
    )
  }
  return Object.create(model, { bindTools: { value: bindTools } }) as BaseChatModel
}

/** The refusal of a limit of ours; that of a router's own budget is an error like any other. */
function refusedBy(error: unknown, { run, thread }: AgentScopes): BudgetExceededError | undefined {
  const found = TierwiseError.find(error)
  if (found?.code !== "budget-exceeded") return undefined
  const exceeded = found as BudgetExceededError
  return [`run:${run}`, `thread:${thread}`].includes(exceeded.refusal.scope) ? exceeded : undefined
}

/** A stop that a run ended with by an error, or that nobody has answered, is no part of the conversation. */
function unfinished(messages: readonly BaseMessage[]): RemoveMessage | undefined {
  const stop = messages.findLast((message) => exhaustionOf(message) !== undefined)
  if (stop?.id === undefined || exhaustionOf(stop)?.onExhausted === "end") return undefined
  return new RemoveMessage({ id: stop.id })
}

function checkOnExhausted(given: OnExhausted): void {
  if (["error", "end", "ask"].includes(given)) return
  throw new ConfigError("onExhausted", `"${given}" is not known`, "use error, end or ask")
}

/** @throws InvalidRequestError for a resumption that says neither how much nor stop. */
function checkedAnswer(answer: unknown): Amount | "stop" {
  if (answer === "stop") return answer
  const { usd, tokens } = (typeof answer === "object" && answer !== null ? answer : {}) as AgentLimit
  const isMoney = usd === undefined || (Number.isFinite(usd) && usd > 0)
  const isTokens = tokens === undefined || (Number.isSafeInteger(tokens) && tokens > 0)
  if ((usd === undefined && tokens === undefined) || !isMoney || !isTokens) {
    const fix = 'resume with { usd }, { tokens } or "stop"'
    throw new InvalidRequestError("resume", "it does not say how much more may be spent", fix)
  }
  return { money: usdToNano(usd ?? 0), tokens: tokens ?? 0 }
}

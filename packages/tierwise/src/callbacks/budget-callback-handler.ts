import {
  BaseCallbackHandler,
  type HandleLLMNewTokenCallbackFields,
  type NewTokenIndices,
} from "@langchain/core/callbacks/base"
import type { ChatModelStreamEvent } from "@langchain/core/language_models/event"
import type { Serialized } from "@langchain/core/load/serializable"
import { AIMessageChunk, type BaseMessage, HumanMessage } from "@langchain/core/messages"
import type { LLMResult } from "@langchain/core/outputs"
import { REQUEST_SCOPE } from "../budget/limits.ts"
import { tell } from "../budget/tell.ts"
import type { Hold } from "../dispatch/dispatch-options.ts"
import { readFeatures } from "../features/read-features.ts"
import { DEFAULT_MEDIA_TOKENS, quote } from "../pricing/quote.ts"
import { holdMoney } from "../route/hold-money.ts"
import { BudgetExceededError } from "../spec/errors.ts"
import type { RequestFeatures, Scopes } from "../spec/request.ts"
import {
  type BudgetCallbackHandlerOptions,
  checkHandlerOptions,
  type RatesOfCalled,
  ratesByModel,
} from "./budget-handler-options.ts"
import { type CallGroup, callGroupOf, type OpenHold } from "./call-group.ts"
import { answersOf, type CalledModel, calledModel, outputLimitOf, sizeBeside } from "./called-model.ts"
import { type RunMeter, runMeter, type Spent } from "./run-meter.ts"

const DEFAULT_MAX_OUTPUT_TOKENS = 4_096

/** Runs that have begun and not ended. One that is forgotten is booked at its quote, when its hold expires. */
const MOST_OPEN_RUNS = 10_000

/** After its caller has aborted a call LangChain tells of its failure at once, or, where nobody reads on, never. */
const ABORT_GRACE_MS = 1_000

/** A run as LangChain tells of its start. */
interface StartedRun {
  readonly runId: string
  readonly messages: readonly BaseMessage[]
  readonly model: CalledModel
  readonly signal: AbortSignal | undefined
}

/** A run whose money is held. */
interface OpenRun extends OpenHold {
  readonly hold: Hold
  readonly meter: RunMeter
  readonly signal: AbortSignal | undefined
  /** False: its caller had gone before it began, and its package asks nobody. */
  readonly wasSent: boolean
  /** Ends what waits for its caller to abort it. */
  readonly letGo: () => void
}

/**
 * Holds the money of every model call before it is made, and books what it did cost when it has ended: for any chat model or
 * LLM of LangChain, alone, in chains, agents and graphs. Give it like any callback handler, to a model's constructor or to a
 * call; in two places it counts once.
 *
 * A call that does not fit in the budget is not made: it throws `BudgetExceededError`. Nor is one while the store is down
 * (`BudgetUnavailableError`), or one whose price nobody knows (`ConfigError`). LangChain prints what a handler throws.
 *
 * What is booked is the usage that the provider reports; without a report what was seen of the answer, as an estimate, or the
 * quote if nothing was seen. A failed call costs nothing, unless the provider may have billed it: see `FAILURE_HANDLING`.
 * An answer out of a model's `cache` costs nothing; money is held until LangChain has found it.
 *
 * A call that a router makes is left alone if the router has held its money in this handler's ledger, the one of the same
 * name. A router without a budget, or with another one, has each of its calls counted here, and a call that is refused
 * sends the router to its next candidate.
 *
 * What LangChain tells no handler cannot be counted:
 * - a reader who stops reading a model's stream without aborting it: neither end nor error is told. The hold expires and is
 *   booked at its quote, as `unconfirmed`;
 * - a run that another handler refuses by throwing at its start: the same;
 * - a model's `streamEvents` without a `version`: no handler hears of it, and nothing is held or booked.
 *
 * The first and the last do not happen to a router, and none of them to one that has the budget itself.
 *
 * A call that takes longer than its hold lives is booked at its quote until it ends, and corrected then.
 */
export class BudgetCallbackHandler extends BaseCallbackHandler {
  override readonly name = "tierwise-budget"
  private readonly options: BudgetCallbackHandlerOptions
  private readonly ratesOf: RatesOfCalled
  /** Oldest first. */
  private readonly runs = new Map<string, OpenRun>()

  /** @throws ConfigError for a budget, price or figure that cannot work. */
  constructor(options: BudgetCallbackHandlerOptions) {
    super({ raiseError: true, _awaitHandler: true })
    checkHandlerOptions(options)
    this.options = options
    this.ratesOf = ratesByModel(options)
  }

  /** Itself: a copy would not know what is held. */
  override copy(): this {
    return this
  }

  /** @throws BudgetExceededError, BudgetUnavailableError or ConfigError: then nobody is called. */
  override async handleChatModelStart(
    serialized: Serialized,
    messages: BaseMessage[][],
    runId: string,
    _parentRunId?: string,
    extraParams?: Record<string, unknown>,
    _tags?: string[],
    metadata?: Record<string, unknown>,
  ): Promise<void> {
    const model = calledModel(serialized, extraParams, metadata)
    await this.start({ runId, messages: messages.flat(), model, signal: signalOf(extraParams) }, extraParams)
  }

  /** @throws BudgetExceededError, BudgetUnavailableError or ConfigError: then nobody is called. */
  override async handleLLMStart(
    serialized: Serialized,
    prompts: string[],
    runId: string,
    _parentRunId?: string,
    extraParams?: Record<string, unknown>,
    _tags?: string[],
    metadata?: Record<string, unknown>,
  ): Promise<void> {
    const messages = prompts.map((prompt) => new HumanMessage(prompt))
    const model = calledModel(serialized, extraParams, metadata)
    await this.start({ runId, messages, model, signal: signalOf(extraParams) }, extraParams)
  }

  override handleLLMNewToken(
    token: string,
    _at: NewTokenIndices,
    runId: string,
    _parentRunId?: string,
    _tags?: string[],
    fields?: HandleLLMNewTokenCallbackFields,
  ): void {
    const run = this.runs.get(runId)
    if (run === undefined) return
    const { chunk } = fields ?? {}
    const message = chunk !== undefined && "message" in chunk ? chunk.message : new AIMessageChunk(token)
    this.safely(() => run.meter.see(message as AIMessageChunk))
  }

  override handleChatModelStreamEvent(event: ChatModelStreamEvent, runId: string): void {
    const run = this.runs.get(runId)
    if (run === undefined || event.event !== "content-block-delta") return
    const { text, reasoning, args } = event.delta as Partial<Record<"text" | "reasoning" | "args", unknown>>
    const words = [text, reasoning, args].find((said) => typeof said === "string")
    if (words !== undefined) this.safely(() => run.meter.see(new AIMessageChunk(words)))
  }

  override async handleLLMEnd(
    result: LLMResult,
    runId: string,
    _parentRunId?: string,
    _tags?: string[],
    extraParams?: Record<string, unknown>,
  ): Promise<void> {
    await this.close(runId, ({ meter }) => (isCached(extraParams) ? undefined : meter.ended(result)))
  }

  override async handleLLMError(
    error: unknown,
    runId: string,
    _parentRunId?: string,
    _tags?: string[],
    extraParams?: Record<string, unknown>,
  ): Promise<void> {
    await this.close(runId, ({ meter, signal, wasSent }) => {
      const mayBeBilled = wasSent && !isCached(extraParams)
      return mayBeBilled ? meter.failed(error, signal?.aborted === true) : undefined
    })
  }

  private async start(run: StartedRun, extraParams: object | undefined): Promise<void> {
    const { budget } = this.options
    if (isRecalled(run.model) || isHeldIn(budget.name, run.model)) return
    const group = callGroupOf(extraParams)
    if (!group.claim(budget.name, run.runId)) return
    const open = await group.join(this.hold(run, group))
    if (open === undefined) return
    const [oldest] = this.runs.size < MOST_OPEN_RUNS ? [] : this.runs.keys()
    if (oldest !== undefined) this.take(oldest)
    // A caller may have named two calls alike; the earlier one's end cannot be told from this one's.
    this.take(run.runId)
    this.runs.set(run.runId, open)
  }

  private async hold({ runId, messages, model, signal }: StartedRun, group: CallGroup): Promise<OpenRun> {
    const { budget, maxOutputTokens = DEFAULT_MAX_OUTPUT_TOKENS, quoteInput = "upper-bound" } = this.options
    const scopes = { [REQUEST_SCOPE]: runId, ...this.scopesOf(model) }
    const rates = await this.ratesOf(model)
    const features = featuresOf(messages, model)
    const perAnswer = outputLimitOf(model) ?? maxOutputTokens
    const completions = answersOf(model)
    const mediaTokens = { ...DEFAULT_MEDIA_TOKENS, ...this.options.mediaTokens }
    const amount = quote(features, rates, {
      maxOutputTokens: perAnswer,
      completions,
      quoteInput,
      mediaTokens,
    })
    const onProblem = (error: unknown) => this.problem(error)
    const outcome = await holdMoney({ budget, scopes, signal: undefined, onProblem }, { quote: amount })
    if (!outcome.granted) throw new BudgetExceededError(outcome.refusal, amount)
    const { hold } = outcome
    return {
      hold,
      meter: runMeter({ features, rates, quote: amount, maxOutputTokens: perAnswer * completions }, group),
      signal,
      wasSent: signal?.aborted !== true,
      letGo: onAbort(signal, () => void this.close(runId, ({ meter }) => meter.failed(undefined, true))),
      drop: async () => {
        this.take(runId)
        await hold.release()
      },
    }
  }

  private scopesOf({ metadata }: CalledModel): Scopes {
    const { scopes = {} } = this.options
    return typeof scopes === "function" ? scopes(metadata) : scopes
  }

  /** A run ends once, however often it is told. What `count` finds was spent is booked; undefined gives the hold back. */
  private async close(runId: string, count: (run: OpenRun) => Spent | undefined): Promise<void> {
    const run = this.take(runId)
    if (run === undefined) return
    let spent: Spent | undefined
    try {
      spent = count(run)
    } catch (error) {
      this.problem(error)
      spent = run.meter.quoted()
    }
    await (spent === undefined ? run.hold.release() : run.hold.settle(spent))
  }

  private take(runId: string): OpenRun | undefined {
    const run = this.runs.get(runId)
    this.runs.delete(runId)
    run?.letGo()
    return run
  }

  /** Of a handler that can refuse, LangChain throws whatever it throws. */
  private safely(count: () => void): void {
    try {
      count()
    } catch (error) {
      this.problem(error)
    }
  }

  private problem(error: unknown): void {
    tell(this.options.onProblem, error)
  }
}

function featuresOf(messages: readonly BaseMessage[], model: CalledModel): RequestFeatures {
  const { features } = readFeatures({ messages })
  const beside = sizeBeside(model)
  const inputTokens = features.inputTokens + beside.tokens
  return { ...features, inputTokens, inputBytes: features.inputBytes + beside.bytes }
}

/** Calls back when the caller has aborted and nothing else was heard in the meantime. Returns what ends that. */
function onAbort(signal: AbortSignal | undefined, silent: () => void): () => void {
  if (signal === undefined || signal.aborted) return () => {}
  let timer: ReturnType<typeof setTimeout> | undefined
  const wait = () => {
    timer = setTimeout(silent, ABORT_GRACE_MS)
  }
  signal.addEventListener("abort", wait, { once: true })
  return () => {
    signal.removeEventListener("abort", wait)
    clearTimeout(timer)
  }
}

/** A router marks the calls whose money it holds. */
function isHeldIn(ledger: string, { metadata }: CalledModel): boolean {
  return metadata["tierwise_ledger"] === ledger
}

/** A router's cached answer is told as a run of a model that calls nobody. */
function isRecalled({ serialized }: CalledModel): boolean {
  return serialized.id.at(-1) === "RecalledModel"
}

/** LangChain's mark of an end, or a failure, that its cache has made. */
function isCached(extraParams: Record<string, unknown> | undefined): boolean {
  return extraParams?.["cached"] === true
}

function signalOf(extraParams: Record<string, unknown> | undefined): AbortSignal | undefined {
  const { signal } = (extraParams?.["options"] ?? {}) as { readonly signal?: unknown }
  return signal instanceof AbortSignal ? signal : undefined
}

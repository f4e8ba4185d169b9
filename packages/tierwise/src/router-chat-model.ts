import type { Callbacks } from "@langchain/core/callbacks/manager"
import type {
  BaseLanguageModelInput,
  StructuredOutputMethodOptions,
} from "@langchain/core/language_models/base"
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BaseChatModelParams,
  type BindToolsInput,
  type LangSmithParams,
} from "@langchain/core/language_models/chat_models"
import type { ModelProfile } from "@langchain/core/language_models/profile"
import type { AIMessageChunk, BaseMessage } from "@langchain/core/messages"
import { OutputParserException } from "@langchain/core/output_parsers"
import { type Runnable, type RunnableConfig, RunnableLambda } from "@langchain/core/runnables"
import { convertToOpenAITool } from "@langchain/core/utils/function_calling"
import { optionsKey } from "./cache/cache-key.ts"
import { CompositeChatModel } from "./composite-chat-model.ts"
import { linkedAbort } from "./dispatch/linked-abort.ts"
import { type FromEnvOptions, readEnvironment } from "./env/options-from-env.ts"
import type { Invocation, StructuredOutput } from "./langchain/call-model.ts"
import { type ChainRun, startChainRun } from "./langchain/chain-run.ts"
import { HINTS, mergeOptions, readCall } from "./langchain/read-call.ts"
import { metadataChunk, withReplyMetadata } from "./langchain/reply.ts"
import type { StructuredSchema } from "./langchain/structured-schema.ts"
import {
  type CallsUnderWay,
  type CallUnderWay,
  type CloseOptions,
  type CloseReport,
  callsUnderWay,
  SETTLE_WITHIN_MS,
} from "./route/calls-under-way.ts"
import { isDeadline } from "./route/check-request.ts"
import type { CallQuote } from "./route/predict-cost.ts"
import { type OpenRouter, openRouter } from "./route/resolve-options.ts"
import type { Routed } from "./route/routed.ts"
import { DATA_OPTIONS, type RouterOptions } from "./route/router-options.ts"
import type { RouterParts } from "./route/router-parts.ts"
import type { DeploymentRegistry } from "./route/router-registry.ts"
import { type RunningDeadline, runningDeadline } from "./route/running-deadline.ts"
import { createHall, type Hall } from "./route.ts"
import { ConfigError, DeadlineExceededError } from "./spec/errors.ts"
import type { Snapshot } from "./spec/policy.ts"
import type { Gate, RouteHints, RouteRequest } from "./spec/request.ts"
import type { Plan } from "./spec/telemetry.ts"

/** Everything a chat model takes per call, the router's hints, and whatever the providers' packages take. */
export interface RouterCallOptions extends BaseChatModelCallOptions, RouteHints {
  /** Any form LangChain accepts; bound in the provider's own form once the deployment is known. */
  tools?: BindToolsInput[] | undefined
  /** OpenAI's; a `json_schema` in it counts as the schema the answer must follow. */
  response_format?: unknown
  /** Strict tool calling and strict schemas, where the provider has them. */
  strict?: boolean | undefined
  /** False: one tool call at a time, where the provider has the choice. */
  parallel_tool_calls?: boolean | undefined
  /** Replaces the router's own for this call. */
  gate?: Gate | undefined
  /** Tries at one candidate after the first. Replaces the router's own; the packages themselves never retry. */
  maxRetries?: number
  /** Whatever else a deployment's package takes per call, e.g. `{ reasoning_effort: "low" }`. */
  providerOptions?: Readonly<Record<string, unknown>> | undefined
}

export interface RouterChatModelFields extends RouterOptions {
  readonly callbacks?: Callbacks | undefined
  readonly tags?: string[] | undefined
  readonly metadata?: Record<string, unknown> | undefined
  readonly verbose?: boolean | undefined
  /** The form of a reply's content, LangChain's `v0` or `v1`. Default: the deployments' own. */
  readonly outputVersion?: "v0" | "v1" | undefined
}

interface Call {
  readonly request: RouteRequest
  readonly invocation: Invocation
  readonly run: ChainRun
  readonly underWay: CallUnderWay
  /** Fires when the call is to end: its caller's has, its deadline is over, or the router is closed. */
  readonly signal: AbortSignal
  /** Undefined: it may take as long as it takes. */
  readonly deadline: RunningDeadline | undefined
}

/** What a router walks through. */
export interface Rooms {
  readonly parts: RouterParts
  readonly hall: Hall
}

/** What all routers that were made of one have together. */
interface Life {
  readonly opened: OpenRouter
  readonly calls: CallsUnderWay
  /** What goes on beside calls: called when it closes, waited for at the end. They never reject. */
  readonly ends: (() => Promise<void>)[]
}

/** For the other doors of this package: what a router walks through, and a clone that walks through something else. */
export let roomsOf: (router: RouterChatModel) => Rooms
export let inRooms: (router: RouterChatModel, rooms: Rooms) => RouterChatModel

/**
 * A chat model that sends each call to the cheapest of its models that can do it, holds the money first, falls back
 * when a provider fails, and escalates when an answer is not good enough. Every reply says what happened under
 * `response_metadata.tierwise`.
 *
 * It opens a chain run, under which every provider call is one LLM run, so that tracers count each token once.
 *
 * @example
 * const model = new RouterChatModel({
 *   tiers: ["light", "heavy"],
 *   deployments: [
 *     { tier: "light", model: new ChatOpenAI({ model: "small" }), price: { inputPerMTok: 0.1, outputPerMTok: 0.4 } },
 *     { tier: "heavy", model: new ChatOpenAI({ model: "large" }), price: { inputPerMTok: 3, outputPerMTok: 12 } },
 *   ],
 * })
 * await model.invoke("Hello")
 *
 * @throws ConfigError, naming the option and the fix, for anything that cannot work.
 */
export class RouterChatModel extends CompositeChatModel<RouterCallOptions> {
  override lc_namespace: string[] = ["langchain", "chat_models", "tierwise"]
  /** With the lineup of the last call: `rooms` looks whether it is still the present one. */
  private walked: Rooms
  /** Shared with all that were made of this router. */
  private readonly life: Life
  private readonly own: Pick<RouterChatModelFields, "callbacks" | "tags" | "metadata" | "verbose">

  static override lc_name(): string {
    return "RouterChatModel"
  }

  static {
    roomsOf = (router) => router.rooms()
    inRooms = (router, walked) => Object.assign(router.withConfig({}), { walked })
  }

  /** Builds a router from the environment and `.env`; see `docs/guide/configuration.md` for the variables. */
  static async fromEnv(options: FromEnvOptions = {}): Promise<RouterChatModel> {
    const { options: read, registry } = await readEnvironment(options)
    const router = new RouterChatModel(read)
    const { ends, opened } = router.life
    if (registry !== undefined) ends.push(registry.follow(opened.registry))
    return router
  }

  constructor(fields: RouterChatModelFields) {
    checkFields(fields)
    const { callbacks, tags, metadata, verbose, outputVersion, ...options } = fields
    super(fields as BaseChatModelParams)
    const opened = openRouter(options)
    this.walked = { parts: opened.parts, hall: createHall(opened.parts) }
    this.life = { opened, calls: callsUnderWay(), ends: [() => opened.probing.end()] }
    this.own = { callbacks, tags, metadata, verbose }
    if (outputVersion !== undefined) this.defaultOptions = { outputVersion }
    // What holds code or state cannot be written down, and a router without its budget would be another router.
    this.lc_serializable = Object.entries(options).every(
      ([name, value]) => value === undefined || DATA_OPTIONS.has(name),
    )
    opened.probing.begin()
  }

  private rooms(): Rooms {
    const lineup = this.life.opened.registry.lineup()
    if (this.walked.parts.deployments !== lineup.deployments) {
      const parts = { ...this.walked.parts, ...lineup }
      this.walked = { parts, hall: createHall(parts) }
    }
    return this.walked
  }

  private get parts(): RouterParts {
    return this.rooms().parts
  }

  private get hall(): Hall {
    return this.rooms().hall
  }

  /** Who is called, and how they do. Deployments can come, go and be replaced while calls are made. */
  get registry(): DeploymentRegistry {
    return this.life.opened.registry.registry
  }

  /**
   * Resolves when every deployment that `warmUp` asks has been asked, well or not; at once without `warmUp`. Never rejects:
   * `registry.list()` says who is well.
   */
  async ready(): Promise<void> {
    await this.life.opened.probing.ready()
  }

  /**
   * Ends the router, and all that were made of it. From now on calls are refused with a RouterClosedError. Those under way go on
   * until they end, or the deadline is over: then they are cancelled with a RouterClosedError, also where nobody reads them, and
   * what they had made is booked. A request to a provider is aborted if its call had a signal or any time to keep to (`deadlineMs`,
   * a time-out); otherwise nobody waits for it any more, but it may keep the process alive until it is answered. Probes and the
   * polling of a model registry end at once.
   *
   * Resolves when every call has ended and its money is settled, and says how many there were. Called again it says the same,
   * and a shorter deadline counts. A budget, a cache or a health book that was given stays open.
   *
   * @throws ConfigError for a deadline that is none.
   */
  async close({ deadlineMs }: CloseOptions = {}): Promise<CloseReport> {
    checkDeadline(deadlineMs)
    const { opened, calls, ends } = this.life
    const { looseEnds } = opened.parts
    const closed = calls.close(deadlineMs)
    for (const end of ends.splice(0)) looseEnds.add(end())
    const report = await closed
    await looseEnds.tied(SETTLE_WITHIN_MS)
    opened.end()
    return report
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** The deployments as they are now, not as they were at first. */
  override toJSON(): ReturnType<BaseChatModel["toJSON"]> {
    const now = Object.assign(Object.create(Object.getPrototypeOf(this) as object) as this, this)
    const deployments = this.life.opened.registry.given()
    now.lc_kwargs = { ...this.lc_kwargs, deployments }
    now.lc_serializable &&= deployments.every(({ headers }) => headers === undefined)
    return super.toJSON.call(now)
  }

  override get lc_serializable_keys(): string[] {
    return [...DATA_OPTIONS, "tags", "metadata", "verbose", "outputVersion"]
  }

  override _llmType(): string {
    return "tierwise"
  }

  /** Names only: a deployment's own parameters may hold its key. */
  override _identifyingParams(): Record<string, unknown> {
    const { tiers, deployments } = this.parts
    return { tiers, deployments: deployments.map(({ id, tier }) => `${tier}: ${id}`) }
  }

  override get callKeys(): string[] {
    return [...new Set([...super.callKeys, ...CALL_KEYS])]
  }

  /** What was asked of the provider, for tracers: tools in the form that every one of them can read. */
  override invocationParams(options?: this["ParsedCallOptions"]): Record<string, unknown> {
    const { tools, ...rest } = (options ?? {}) as Partial<RouterCallOptions>
    return { ...rest, ...(tools && { tools: tools.map((tool) => convertToOpenAITool(tool as never)) }) }
  }

  /** A digest that tells tools and schemas apart, and does not see what a graph adds at run time. */
  override _getSerializedCacheKeyParametersForCall(options: this["ParsedCallOptions"]): string {
    const { request, callOptions } = readCall([], options, undefined, undefined)
    const { identity, cacheRules: rules } = this.parts
    // What cannot be compared equals nothing.
    return optionsKey({ request, callOptions }, { identity, sampled: false, rules }) ?? crypto.randomUUID()
  }

  override getLsParams(options: this["ParsedCallOptions"]): LangSmithParams {
    return this.lsParams(this.parts.tiers.join("|"), options, options.maxOutputTokens)
  }

  protected override profiles(): readonly ModelProfile[] {
    return this.parts.deployments.map(({ profile }) => profile as ModelProfile)
  }

  /** What the router would do with this input, without calling anybody: the plan every record of a live call holds. */
  async explain(
    input: BaseLanguageModelInput,
    options: Partial<RouterCallOptions> & { readonly snapshot?: Snapshot | undefined } = {},
  ): Promise<Plan> {
    const { snapshot, ...rest } = options
    return this.hall.plan(this.requestOf(input, rest), snapshot)
  }

  /**
   * What this call may cost, before it is made: the most, which is what a budget holds, and an estimate. Nobody is called.
   * @throws NoEligibleDeploymentError if nobody can take it.
   */
  async quote(input: BaseLanguageModelInput, options: Partial<RouterCallOptions> = {}): Promise<CallQuote> {
    return this.hall.quote(this.requestOf(input, options))
  }

  private requestOf(input: BaseLanguageModelInput, options: Partial<RouterCallOptions>): RouteRequest {
    const merged = mergeOptions(this.defaultOptions, options) as RouterCallOptions
    const [{ configurable }, callOptions] = this._separateRunnableConfigFromCallOptions(merged)
    return readCall(RouterChatModel.messagesOf(input), callOptions, configurable, undefined).request
  }

  /** @throws what the provider throws, an error of our own (`TierwiseError.isInstance`), or OutputParserException. */
  override async invoke(
    input: BaseLanguageModelInput,
    options?: Partial<RouterCallOptions>,
  ): Promise<AIMessageChunk> {
    return this.answer(input, options, undefined, ({ answer, reply }) => {
      if (answer.parseError !== undefined) throw new OutputParserException(answer.parseError)
      return withReplyMetadata(answer.message, reply) as unknown as AIMessageChunk
    })
  }

  override async *_streamIterator(
    input: BaseLanguageModelInput,
    options?: Partial<RouterCallOptions>,
  ): AsyncGenerator<AIMessageChunk> {
    const { request, invocation, run, underWay, deadline, signal } = await this.open(
      input,
      options,
      undefined,
    )
    const ended = this.life.opened.registry.began()
    const walking = this.hall.stream(request, invocation, deadline)
    let failure: unknown = new Error("the reader stopped reading")
    let output: AIMessageChunk | undefined
    let ending: Promise<void> | undefined
    const end = async () => {
      try {
        await walking.return(undefined as never)
        ended()
        await (output === undefined ? run.fail(told(failure, underWay, deadline)) : run.end(output))
      } finally {
        underWay.ended(output !== undefined)
      }
    }
    const endOnce = () => {
      ending ??= end()
      return ending
    }
    let isWithReader = false
    const onAbort = () => {
      // Whoever has stopped reading asks for no more, and would never learn of it.
      if (!isWithReader) return
      failure = signal.reason
      endOnce().catch(() => {})
    }
    signal.addEventListener("abort", onAbort, { once: true })
    try {
      let step = await walking.next()
      for (; step.done !== true; step = await walking.next()) {
        for await (const { message } of step.value) {
          isWithReader = true
          yield message as AIMessageChunk
          isWithReader = false
          signal.throwIfAborted()
        }
      }
      const { answer, reply } = step.value
      const last = metadataChunk(answer.message, reply)
      output = (answer.message as AIMessageChunk).concat(last)
      isWithReader = true
      yield last
    } catch (error) {
      failure = told(error, underWay, deadline)
      throw failure
    } finally {
      await endOnce()
    }
  }

  override bindTools(tools: BindToolsInput[], kwargs?: Partial<RouterCallOptions>): RouterChatModel {
    return this.withConfig({ ...kwargs, tools })
  }

  /**
   * Answers under a schema (zod or JSON Schema), through the chosen deployment's own `withStructuredOutput`. An answer
   * that breaks the schema escalates.
   *
   * @throws OutputParserException if the strongest allowed tier breaks it too (not with `includeRaw`).
   */
  override withStructuredOutput<Output extends Record<string, unknown> = Record<string, unknown>>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions,
  ): Runnable<BaseLanguageModelInput, Output>
  override withStructuredOutput<Output extends Record<string, unknown> = Record<string, unknown>>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions<true>,
  ): Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: Output }>
  override withStructuredOutput<Output extends Record<string, unknown>>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions<boolean>,
  ): Runnable<BaseLanguageModelInput, Output | { raw: BaseMessage; parsed: Output }> {
    const structured = { schema, config: { ...config } }
    const includeRaw = config?.includeRaw === true
    return RunnableLambda.from(async (input: BaseLanguageModelInput, options?: RunnableConfig) =>
      this.answer(input, options as Partial<RouterCallOptions>, structured, ({ answer, reply }) => {
        const raw = withReplyMetadata(answer.message, reply)
        if (includeRaw) return { raw, parsed: (answer.parsed ?? null) as Output }
        if (answer.parsed !== undefined) return answer.parsed as Output
        const problem = answer.parseError ?? "the answer calls tools before it gives what was asked for"
        throw new OutputParserException(problem, raw.text)
      }),
    ).withConfig({ runName: "StructuredOutput" })
  }

  /** One answered call under a run of its own; `finish` makes of it what is returned, and may still refuse it. */
  private async answer<T>(
    input: BaseLanguageModelInput,
    options: Partial<RouterCallOptions> | undefined,
    structured: StructuredOutput | undefined,
    finish: (routed: Routed) => T,
  ): Promise<T> {
    const { request, invocation, run, underWay, deadline } = await this.open(input, options, structured)
    const ended = this.life.opened.registry.began()
    let hasAnswered = false
    try {
      const finished = finish(await this.hall.generate(request, invocation, deadline).finally(ended))
      hasAnswered = true
      await run.end(finished)
      return finished
    } catch (error) {
      if (hasAnswered) throw error
      const failure = told(error, underWay, deadline)
      await run.fail(failure)
      throw failure
    } finally {
      underWay.ended(hasAnswered)
    }
  }

  /** Opens the router's own run and reads the call. */
  private async open(
    input: BaseLanguageModelInput,
    options: Partial<RouterCallOptions> | undefined,
    structured: StructuredOutput | undefined,
  ): Promise<Call> {
    const merged = mergeOptions(this.defaultOptions, options) as RouterCallOptions
    const [config, given] = this._separateRunnableConfigFromCallOptions(merged)
    const messages = RouterChatModel.messagesOf(input)
    const { request, ...call } = readCall(messages, given, config.configurable, structured)
    const { own } = this
    const { dispatch, deadlineMs: usualMs } = this.walked.parts
    const ms = isDeadline(request.deadlineMs) ? request.deadlineMs : usualMs
    let deadline: RunningDeadline | undefined
    const underWay = this.life.calls.began(() => {
      if (ms === undefined) return linkedAbort(config.signal)
      deadline = runningDeadline(ms, usualMs, dispatch.now, config.signal)
      return deadline
    })
    const { signal } = underWay
    const abortsPackage =
      config.signal !== undefined || deadline !== undefined || endsTries(this.walked.parts)
    try {
      const run = await startChainRun({
        config: abortsPackage ? { ...config, signal } : config,
        name: this.getName(),
        // Its name alone: the runs of its deployments say what they are, and a trace is no place for all of them.
        serialized: () => this.toJSONNotImplemented(),
        own,
        inputs: { messages },
      })
      const { childConfig, within } = run
      const invocation = { ...call, config: childConfig, signal, abortsPackage, within, structured }
      return { request, invocation, run, underWay, signal, deadline }
    } catch (error) {
      underWay.ended(false)
      throw error
    }
  }

  private static messagesOf(input: BaseLanguageModelInput): BaseMessage[] {
    return BaseChatModel._convertInputToPromptValue(input).toChatMessages()
  }
}

/** Whether a try may be ended though its caller waits: it takes too long, or another one was faster. */
function endsTries({ dispatch: { attemptTimeoutMs, stallTimeoutMs }, traffic }: RouterParts): boolean {
  return attemptTimeoutMs !== undefined || stallTimeoutMs !== undefined || traffic.hedging !== undefined
}

/** What came too late is told as that, also where nobody was at work on it. */
function told(error: unknown, underWay: CallUnderWay, deadline: RunningDeadline | undefined): unknown {
  const isRaw = deadline?.isOver() === true && error === deadline.signal.reason
  return underWay.told(isRaw ? new DeadlineExceededError([], deadline.ms, error) : error)
}

/** JavaScript callers may leave them out, whatever the types say. */
function checkFields(fields: unknown): void {
  if (typeof fields === "object" && fields !== null) return
  throw new ConfigError("options", "they are missing", "give at least { deployments: [...] }")
}

/** Timers take no more, and fire at once beyond. */
const MOST_TIMER_MS = 2 ** 31 - 1

function checkDeadline(ms: number | undefined): void {
  if (ms === undefined || (typeof ms === "number" && ms >= 0 && ms <= MOST_TIMER_MS)) return
  const fix = `give milliseconds from 0 to ${MOST_TIMER_MS}`
  throw new ConfigError("close.deadlineMs", `${ms} is no time to wait`, fix)
}

/** Call options of ours and of OpenAI-like packages, beside LangChain's own. */
const CALL_KEYS = [
  ...HINTS,
  "tools",
  "tool_choice",
  "response_format",
  "strict",
  "parallel_tool_calls",
  "gate",
  "maxRetries",
  "providerOptions",
]

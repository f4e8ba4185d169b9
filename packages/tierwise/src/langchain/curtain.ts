import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { CallbackManager, Callbacks } from "@langchain/core/callbacks/manager"
import { consumeCallback } from "@langchain/core/callbacks/promises"
import { AIMessage, type AIMessageFields } from "@langchain/core/messages"
import type { ChatGeneration, LLMResult } from "@langchain/core/outputs"
import { hasContent } from "./piece.ts"

/**
 * Who reads an answer's words while it is being made.
 *
 * Streaming handlers (LangGraph's stream modes, `streamEvents`, `streamLog`) show whatever a run does. Token readers are
 * plain handlers with `handleLLMNewToken`; they count and time runs too. Tracers read tokens as well, but show nobody.
 */
export interface Audience {
  readonly manager: CallbackManager
  readonly streaming: ReadonlySet<BaseCallbackHandler>
  readonly tokenReaders: ReadonlySet<BaseCallbackHandler>
}

/** The audience of a run's children, or undefined: nobody reads along. */
export function audienceOf(callbacks: Callbacks | undefined): Audience | undefined {
  // A run hands its children a manager; without one there is nobody to tell.
  if (callbacks === undefined || Array.isArray(callbacks)) return undefined
  const streaming = callbacks.handlers.filter((handler) => STREAMING_FLAGS.some((flag) => has(handler, flag)))
  const tokenReaders = callbacks.handlers.filter(
    (handler) =>
      !streaming.includes(handler) &&
      !isTracer(handler) &&
      WORDS.some((event) => typeof (handler as unknown as Handler)[event] === "function"),
  )
  if (streaming.length + tokenReaders.length === 0) return undefined
  return { manager: callbacks, streaming: new Set(streaming), tokenReaders: new Set(tokenReaders) }
}

/**
 * A curtain before the audience of one attempt that may still be thrown away. Tracers and counters see the attempt as it
 * happens; what would show its words is kept back until it is accepted (`raise`) or not (`drop`). Only one of the two
 * has an effect, and only once.
 */
export interface Curtain {
  /** For the attempt's run. */
  readonly callbacks: CallbackManager
  /** Plays everything that was kept back, in order. */
  readonly raise: () => Promise<void>
  /** Token readers are told that the run has ended, and none of its words. */
  readonly drop: () => Promise<void>
}

export function curtain({ manager, streaming, tokenReaders }: Audience): Curtain {
  const tape = new Tape([...streaming])
  // One view each: a manager hands down those of its handlers that are among the inheritable ones.
  const views = new Map([...tokenReaders].map((handler) => [handler, muted(handler)]))
  const callbacks = manager.copy()
  callbacks.handlers = behind(callbacks.handlers)
  callbacks.inheritableHandlers = behind(callbacks.inheritableHandlers)
  callbacks.addHandler(tape, true)

  function behind(handlers: readonly BaseCallbackHandler[]): BaseCallbackHandler[] {
    return handlers
      .filter((handler) => !streaming.has(handler))
      .map((handler) => views.get(handler) ?? handler)
  }

  const raise = async () => {
    const recorded = tape.take()
    const kept = recorded.filter(({ event }) => KEPT_FROM_READERS.has(event))
    for (const handler of streaming) await tell(handler, recorded)
    for (const handler of tokenReaders) await told(handler, kept)
  }
  const drop = async () => {
    const ends = tape.take().filter(({ event }) => event === "handleLLMEnd")
    for (const handler of tokenReaders) await told(handler, ends.map(withoutWords))
  }
  return { callbacks, raise, drop }
}

/** The same callbacks, and a call the moment somebody of the audience has been shown a word; and one whenever anything comes. */
export function whenShown(
  { manager, streaming }: Audience,
  onShown: () => void,
  onMoved: () => void = () => {},
): CallbackManager {
  const callbacks = manager.copy()
  callbacks.addHandler(new Watch([...streaming], onShown, onMoved), true)
  return callbacks
}

/** Waits until somebody has been shown a word, or the answer has ended. True: it was a word. */
export function shownBefore(shown: Promise<void>, answer: Promise<unknown>): Promise<boolean> {
  const ended = answer.then(
    () => false,
    () => false,
  )
  return Promise.race([shown.then(() => true), ended])
}

type Handler = Partial<Readonly<Record<string, unknown>>>

/** LangChain's two ways for a handler to say that it wants an answer streamed, also from `invoke`. */
const STREAMING_FLAGS = ["lc_prefer_streaming", "lc_prefer_chat_model_stream_events"] as const

/** Events that carry an answer's words piece by piece. */
const WORDS: readonly string[] = ["handleLLMNewToken", "handleChatModelStreamEvent"]

/** Kept back from token readers: the words, and the end, which comes after them. */
const KEPT_FROM_READERS: ReadonlySet<string> = new Set([...WORDS, "handleLLMEnd"])

const EVENTS: readonly string[] = [
  ...WORDS,
  "handleLLMStart",
  "handleChatModelStart",
  "handleLLMEnd",
  "handleLLMError",
  "handleChainStart",
  "handleChainEnd",
  "handleChainError",
  "handleToolStart",
  "handleToolEvent",
  "handleToolEnd",
  "handleToolError",
  "handleRetrieverStart",
  "handleRetrieverEnd",
  "handleRetrieverError",
  "handleAgentAction",
  "handleAgentEnd",
  "handleText",
  "handleCustomEvent",
]

interface Recorded {
  readonly event: string
  readonly args: readonly unknown[]
}

/** Stands in for the handlers behind the curtain: it asks for the same kind of streaming, and writes down what comes. */
class Tape extends BaseCallbackHandler {
  override readonly name = "tierwise-tape"
  private recorded: Recorded[] = []

  constructor(standsInFor: readonly BaseCallbackHandler[]) {
    super({ _awaitHandler: true })
    copyFlags(standsInFor, this)
    for (const event of EVENTS) {
      const record = (...args: unknown[]) => void this.recorded.push({ event, args })
      replace(this, event, record)
    }
  }

  take(): readonly Recorded[] {
    const { recorded } = this
    this.recorded = []
    return recorded
  }
}

interface Fields {
  readonly chunk?: { readonly message?: AIMessage | undefined } | undefined
}

/** Sees what is shown, and what comes. */
class Watch extends BaseCallbackHandler {
  override readonly name = "tierwise-watch"

  constructor(besides: readonly BaseCallbackHandler[], onShown: () => void, onMoved: () => void) {
    super({ _awaitHandler: true })
    copyFlags(besides, this)
    const onToken = (
      token: string,
      _at: unknown,
      _run: unknown,
      _parent: unknown,
      _tags: unknown,
      more?: Fields,
    ) => {
      onMoved()
      const message = more?.chunk?.message
      if (token !== "" || (message !== undefined && hasContent({ message }))) onShown()
    }
    replace(this, "handleLLMNewToken", onToken)
    const onEvent = ({ event }: { readonly event?: string }) => {
      onMoved()
      if (event === "content-block-delta") onShown()
    }
    replace(this, "handleChatModelStreamEvent", onEvent)
  }
}

/** As if it had been assigned: a view of a view of it must be allowed to differ. */
function replace(of: BaseCallbackHandler, name: string, value: unknown): void {
  Object.defineProperty(of, name, { value, writable: true, configurable: true, enumerable: true })
}

function copyFlags(from: readonly BaseCallbackHandler[], to: BaseCallbackHandler): void {
  for (const flag of STREAMING_FLAGS) {
    if (from.some((handler) => has(handler, flag))) replace(to, flag, true)
  }
}

/** A counter in the background is not waited for, as LangChain does not. */
async function told(handler: BaseCallbackHandler, recorded: readonly Recorded[]): Promise<void> {
  const telling = tell(handler, recorded)
  if (handler.awaitHandlers) await telling
  else telling.catch(() => {})
}

/** The end of a run with what it cost, and without what it said. */
function withoutWords({ event, args: [output, ...rest] }: Recorded): Recorded {
  const { generations, ...more } = output as LLMResult
  const silent = generations.map((group) =>
    group.map((generation) => silenced(generation as ChatGeneration | undefined)),
  )
  return { event, args: [{ ...more, generations: silent }, ...rest] }
}

/** A stream without any chunk has ended without a generation. */
function silenced({ message, generationInfo }: Partial<ChatGeneration> = {}): ChatGeneration {
  const { id, response_metadata, usage_metadata } = (message ?? {}) as Partial<AIMessage>
  const fields = { content: "", id, response_metadata: response_metadata ?? {}, usage_metadata }
  const info = generationInfo && { generationInfo }
  return { text: "", message: new AIMessage(fields as unknown as AIMessageFields), ...info }
}

/** A view of a handler that hears everything but what is kept back. */
function muted(handler: BaseCallbackHandler): BaseCallbackHandler {
  return new Proxy(handler, {
    get(target, name) {
      if (typeof name === "string" && KEPT_FROM_READERS.has(name)) return undefined
      const value: unknown = Reflect.get(target, name, target)
      // Bound, because a proxy has none of its target's #private fields.
      return typeof value === "function" ? (value.bind(target) as unknown) : value
    },
  })
}

/**
 * In the handler's turn, after what LangChain has still waiting for it; resolves when it has heard everything, because a
 * graph closes its stream when the answer is returned. One that throws is warned about, unless it asked to be heard.
 */
async function tell(handler: BaseCallbackHandler, recorded: readonly Recorded[]): Promise<void> {
  if (recorded.length === 0) return
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const playAll = async () => {
    for (const { event, args } of recorded) {
      const method = (handler as unknown as Handler)[event]
      if (typeof method !== "function") continue
      try {
        await method.apply(handler, args)
      } catch (error) {
        if (handler.raiseError) throw error
        console.warn(`Error in handler ${handler.constructor.name}, ${event}: ${String(error)}`)
      }
    }
  }
  await consumeCallback(() => playAll().then(resolve, reject), handler.awaitHandlers)
  await promise
}

function has(handler: BaseCallbackHandler, flag: string): boolean {
  return (handler as unknown as Handler)[flag] === true
}

function isTracer(handler: BaseCallbackHandler): boolean {
  return typeof (handler as unknown as Handler)["_createRunForChatModelStart"] === "function"
}

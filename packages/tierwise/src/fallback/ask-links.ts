import type { BaseLanguageModelInput } from "@langchain/core/language_models/base"
import type { Serialized } from "@langchain/core/load/serializable"
import type { AIMessageChunk } from "@langchain/core/messages"
import { coerceMessageLikeToMessage, isBaseMessage } from "@langchain/core/messages"
import type { Runnable, RunnableConfig } from "@langchain/core/runnables"
import { dispatch } from "../dispatch/dispatch.ts"
import { type ChainRun, startChainRun } from "../langchain/chain-run.ts"
import { audienceOf, shownBefore, whenShown } from "../langchain/curtain.ts"
import { historyFor } from "../langchain/history.ts"
import { hasContent } from "../langchain/piece.ts"
import type { Attempt } from "../spec/dispatch.ts"
import type { Tier } from "../spec/request.ts"
import { type ChainParts, type Link, settingsOf, startingAt } from "./chain-parts.ts"
import type { FallbackAnswer } from "./options.ts"

/** One call, as the chain's door has read it. */
export interface Call<Input, Output> {
  readonly parts: ChainParts<Input, Output>
  readonly input: Input
  readonly config: RunnableConfig
  readonly options: CallOptions
  /** The link's runnable for this call, with what is bound to it. */
  readonly prepare?: ((link: Link<Input, Output>) => Runnable<Input, Output>) | undefined
  readonly name: string
  /** Asked only when somebody listens. */
  readonly serialized: () => Serialized
}

/** The chain's own options; the others are for the links. */
export interface CallOptions {
  readonly preferredTier?: Tier | undefined
  readonly maxRetries?: unknown
  readonly [option: string]: unknown
}

/** Asks the links in order until one answers, under a run of the chain's own. */
export async function askLinks<Input, Output>(call: Call<Input, Output>): Promise<FallbackAnswer<Output>> {
  const opened = await open(call)
  const attempts: Attempt[] = []
  try {
    let answer: { readonly output: Output } | undefined
    for await (const piece of inOrder(opened, invoked, attempts)) if (piece !== SHOWN) answer = piece
    const { output } = answer as { readonly output: Output }
    await opened.run.end(output)
    const { deploymentId, tier } = attempts.at(-1) as Attempt
    return { output, answeredBy: { deploymentId, tier }, attempts }
  } catch (error) {
    await opened.run.fail(error)
    throw error
  }
}

/** The pieces of the first link whose answer opens. */
export async function* streamLinks<Input, Output>(
  call: Call<Input, Output>,
): AsyncGenerator<Output, void, undefined> {
  const opened = await open(call)
  let ended = false
  let failure: unknown = new Error("the reader stopped reading")
  const whole = new Whole<Output>()
  try {
    for await (const piece of inOrder(opened, streamed, [])) {
      if (piece === SHOWN) continue
      whole.add(piece.output, piece.link.runnable)
      yield piece.output
    }
    ended = true
  } catch (error) {
    failure = error
    throw error
  } finally {
    await (ended ? opened.run.end(whole.value) : opened.run.fail(failure))
  }
}

interface Opened<Input, Output> {
  readonly call: Call<Input, Output>
  readonly run: ChainRun
}

async function open<Input, Output>(call: Call<Input, Output>): Promise<Opened<Input, Output>> {
  const { config, name, serialized, input } = call
  const run = await startChainRun({ config, name, serialized, own: {}, inputs: { input } })
  return { call, run }
}

/** A piece of an answer, and whose it is; or notice that a handler has shown words, which cannot be taken back. */
type Piece<Input, Output> = { readonly output: Output; readonly link: Link<Input, Output> } | typeof SHOWN

const SHOWN = "shown"

/** One try at one link. */
interface Try<Input, Output> {
  readonly link: Link<Input, Output>
  readonly runnable: Runnable<Input, Output>
  readonly input: Input
  readonly options: RunnableConfig
}

type Way = <Input, Output>(tried: Try<Input, Output>) => AsyncGenerator<Piece<Input, Output>, void, undefined>

function inOrder<Input, Output>(
  { call, run }: Opened<Input, Output>,
  way: Way,
  attempts: Attempt[],
): AsyncGenerator<Piece<Input, Output>, void, undefined> {
  const { preferredTier, maxRetries, ...options } = call.options
  const { parts, input, prepare } = call
  return dispatch<Link<Input, Output>, Piece<Input, Output>>({
    candidates: startingAt(parts.links, preferredTier),
    // What cannot be bound is the caller's doing, and is thrown before the provider is asked.
    call: (link, signal) =>
      way({
        link,
        runnable: prepare?.(link) ?? link.runnable,
        input: inputFor(link, input),
        options: {
          ...options,
          ...run.childConfig,
          ...(signal && { signal }),
          // Their retries would multiply ours.
          ...(link.isProvider && { maxRetries: 0 }),
        } as RunnableConfig,
      }),
    opens,
    isProvider: ({ isProvider }) => isProvider,
    signal: run.childConfig.signal,
    settings: settingsOf(parts.settings, maxRetries),
    onAttempt: (attempt) => attempts.push(attempt),
  })
}

/** A conversation in a form that the link's model takes, whoever wrote the replies in it. */
function inputFor<Input, Output>(link: Link<Input, Output>, input: Input): Input {
  const model = link.model ?? link.under
  if (model === undefined || typeof input === "string") return input
  const given = input as Exclude<BaseLanguageModelInput, string>
  const messages = Array.isArray(given) ? given.map(coerceMessageLikeToMessage) : given.toChatMessages()
  return historyFor(messages, { model }) as Input
}

function opens<Input, Output>(piece: Piece<Input, Output>): boolean {
  if (piece === SHOWN || !isBaseMessage(piece.output)) return true
  return hasContent({ message: piece.output as unknown as AIMessageChunk })
}

async function* streamed<Input, Output>({ link, runnable, input, options }: Try<Input, Output>) {
  for await (const output of await runnable.stream(input, options)) yield { output, link }
}

/** One answer. A handler that shows its words as they are made, LangGraph's for one, makes of the call a stream. */
async function* invoked<Input, Output>({
  link,
  runnable,
  input,
  options,
}: Try<Input, Output>): AsyncGenerator<Piece<Input, Output>, void, undefined> {
  const audience = audienceOf(options.callbacks)
  if (audience === undefined || audience.streaming.size === 0) {
    yield { output: await runnable.invoke(input, options), link }
    return
  }
  const { promise: shown, resolve } = Promise.withResolvers<void>()
  const answer = runnable.invoke(input, { ...options, callbacks: whenShown(audience, resolve) })
  if (await shownBefore(shown, answer)) yield SHOWN
  yield { output: await answer, link }
}

/** A stream's pieces as one, for the run's end; undefined where they cannot be joined, as LangChain has it. */
class Whole<Output> {
  value: Output | undefined
  private joinable = true

  add(piece: Output, by: Runnable): void {
    if (!this.joinable) return
    try {
      // A parser's pieces replace each other; only the runnable knows.
      this.value = this.value === undefined ? piece : by._concatOutputChunks(this.value, piece)
    } catch {
      this.joinable = false
      this.value = undefined
    }
  }
}

import type { Callbacks } from "@langchain/core/callbacks/manager"
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base"
import type { Serialized } from "@langchain/core/load/serializable"
import type { AIMessageChunk } from "@langchain/core/messages"
import { coerceMessageLikeToMessage, isBaseMessage } from "@langchain/core/messages"
import type { Runnable, RunnableConfig } from "@langchain/core/runnables"
import { dispatch } from "../dispatch/dispatch.ts"
import { type ChainRun, startChainRun } from "../langchain/chain-run.ts"
import { audienceOf, shownBefore, whenShown } from "../langchain/curtain.ts"
import type { FinishReasons } from "../langchain/finish-reason.ts"
import { historyFor } from "../langchain/history.ts"
import { isRestart } from "../langchain/is-restart.ts"
import { hasContent } from "../langchain/piece.ts"
import { type RunningDeadline, runningDeadline } from "../route/running-deadline.ts"
import type { Attempt, FailureKind } from "../spec/dispatch.ts"
import { DeadlineExceededError, StreamBrokenError, TierwiseError } from "../spec/errors.ts"
import { ZERO_USD } from "../spec/money.ts"
import type { Tier } from "../spec/request.ts"
import { type ChainParts, deadlineOf, type Link, settingsOf, startingAt } from "./chain-parts.ts"
import type { FallbackAnswer } from "./options.ts"
import { type WholeWatch, wholeWatch } from "./whole-watch.ts"

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
  readonly deadlineMs?: unknown
  readonly [option: string]: unknown
}

/** Asks the links in order until one answers, under a run of the chain's own. */
export async function askLinks<Input, Output>(call: Call<Input, Output>): Promise<FallbackAnswer<Output>> {
  const opened = await open(call)
  const { attempts } = opened
  let answer: { readonly output: Output } | undefined
  let wasShown = false
  try {
    for await (const piece of inOrder(opened, invoked)) {
      if (piece === SHOWN) wasShown = true
      else answer = piece
    }
    const { output } = answer as { readonly output: Output }
    await opened.run.end(output)
    const { deploymentId, tier } = attempts.at(-1) as Attempt
    return { output, answeredBy: { deploymentId, tier }, attempts }
  } catch (error) {
    const failure = told(opened, error, wasShown ? "" : undefined)
    await opened.run.fail(failure)
    throw failure
  } finally {
    opened.deadline?.end()
  }
}

/** The pieces of the first link whose answer opens. */
export async function* streamLinks<Input, Output>(
  call: Call<Input, Output>,
): AsyncGenerator<Output, void, undefined> {
  const opened = await open(call)
  let ended = false
  let failure: unknown = new Error("the reader stopped reading")
  let isOpen = false
  const whole = new Whole<Output>()
  try {
    for await (const piece of inOrder(opened, streamed)) {
      if (piece === SHOWN) continue
      isOpen = true
      whole.add(piece.output, piece.link.runnable)
      yield piece.output
    }
    ended = true
  } catch (error) {
    failure = told(opened, error, isOpen ? wordsOf(whole.value) : undefined)
    throw failure
  } finally {
    opened.deadline?.end()
    await (ended ? opened.run.end(whole.value) : opened.run.fail(failure))
  }
}

interface Opened<Input, Output> {
  readonly call: Call<Input, Output>
  readonly run: ChainRun
  readonly deadline: RunningDeadline | undefined
  /** So far. */
  readonly attempts: Attempt[]
}

async function open<Input, Output>(call: Call<Input, Output>): Promise<Opened<Input, Output>> {
  const { parts, config, name, serialized, input, options } = call
  const ms = deadlineOf(parts, options.deadlineMs)
  const run = await startChainRun({ config, name, serialized, own: {}, inputs: { input } })
  const deadline =
    ms === undefined ? undefined : runningDeadline(ms, parts.deadlineMs, parts.settings.now, config.signal)
  return { call, run, deadline, attempts: [] }
}

/**
 * The error as the caller is told it: a model's answer that broke off after somebody had a part of it, or what came too late.
 *
 * @param words Those that were read of the answer; undefined: nobody has anything of it.
 */
function told<Input, Output>(
  { call, deadline, attempts }: Opened<Input, Output>,
  error: unknown,
  words: string | undefined,
): unknown {
  const last = attempts.findLast((attempt) => attempt.outcome === "failed")
  if (words !== undefined && last !== undefined && hasBroken(call.parts, last)) {
    // A router or chain among the links has said it already, and what it cost.
    if (TierwiseError.find(error)?.code === "stream-broken") return error
    const { deploymentId, failure } = last
    // Without prices nothing is booked.
    return new StreamBrokenError({ deploymentId, failure, partial: words, cost: ZERO_USD }, error)
  }
  const isLate = deadline?.isOver() === true && call.config.signal?.aborted !== true
  return isLate ? new DeadlineExceededError(attempts, deadline.ms, error) : error
}

/** Ends that go on to the caller as they are: nobody has failed. */
const NO_FAILURES: ReadonlySet<FailureKind> = new Set(["aborted", "control-flow", "defect"])

/** True for a chat model's answer. Of other Runnables nobody knows what a part of one is worth. */
function hasBroken(
  { links }: Pick<ChainParts<never, unknown>, "links">,
  { deploymentId, failure }: Extract<Attempt, { readonly outcome: "failed" }>,
): boolean {
  return (
    !NO_FAILURES.has(failure) && links.some((link) => link.deploymentId === deploymentId && link.isProvider)
  )
}

function wordsOf(output: unknown): string {
  return isBaseMessage(output) ? output.text : ""
}

/** A piece of an answer, and whose it is; or notice that a handler has shown words, which cannot be taken back. */
type Piece<Input, Output> = { readonly output: Output; readonly link: Link<Input, Output> } | typeof SHOWN

const SHOWN = "shown"

/** One try at one link. */
interface Try<Input, Output> {
  readonly link: Link<Input, Output>
  readonly finishReasons: FinishReasons
  readonly runnable: Runnable<Input, Output>
  readonly input: Input
  readonly options: RunnableConfig
  /** Told of what handlers are shown. */
  readonly heard: () => void
}

type Way = <Input, Output>(tried: Try<Input, Output>) => AsyncGenerator<Piece<Input, Output>, void, undefined>

function inOrder<Input, Output>(
  { call, run, deadline, attempts }: Opened<Input, Output>,
  way: Way,
): AsyncGenerator<Piece<Input, Output>, void, undefined> {
  const { preferredTier, maxRetries, deadlineMs: _, ...options } = call.options
  const { parts, input, prepare } = call
  const { gate, finishReasons } = parts
  return dispatch<Link<Input, Output>, Piece<Input, Output>>({
    candidates: startingAt(parts.links, preferredTier),
    admit: ({ deploymentId }, isRetry) => gate.admit(deploymentId, 0, isRetry),
    // What cannot be bound is the caller's doing, and is thrown before the provider is asked.
    call: (link, signal, _holdId, heard) =>
      way({
        link,
        finishReasons,
        heard,
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
    signal: deadline?.signal ?? run.childConfig.signal,
    deadline,
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

async function* streamed<Input, Output>(
  tried: Try<Input, Output>,
): AsyncGenerator<Piece<Input, Output>, void, undefined> {
  const { link, runnable, input, options } = tried
  const watch = watchOver(tried, options.callbacks, false)
  for await (const output of await runnable.stream(input, withCallbacks(options, watch))) {
    watch.saw(output)
    yield { output, link }
  }
  watch.ended()
}

/** One answer. A handler that shows its words as they are made, LangGraph's for one, makes of the call a stream. */
async function* invoked<Input, Output>(
  tried: Try<Input, Output>,
): AsyncGenerator<Piece<Input, Output>, void, undefined> {
  const { link, runnable, input, options, heard } = tried
  const audience = audienceOf(options.callbacks)
  const isShown = audience !== undefined && audience.streaming.size > 0
  const { promise: shown, resolve } = Promise.withResolvers<void>()
  const watch = watchOver(tried, isShown ? whenShown(audience, resolve, heard) : options.callbacks, isShown)
  const answer = runnable.invoke(input, withCallbacks(options, watch))
  if (isShown && (await shownBefore(shown, answer))) yield SHOWN
  const output = await answer
  watch.saw(output)
  watch.ended()
  yield { output, link }
}

function watchOver<Input, Output>(
  { link, finishReasons }: Try<Input, Output>,
  callbacks: Callbacks | undefined,
  onlyRunsSayWhy: boolean,
): WholeWatch {
  return wholeWatch({ link, finishReasons, callbacks, onlyRunsSayWhy })
}

function withCallbacks(options: RunnableConfig, { callbacks }: WholeWatch): RunnableConfig {
  return callbacks === undefined ? options : { ...options, callbacks }
}

/** A stream's pieces as one, for the run's end; undefined where they cannot be joined, as LangChain has it. */
class Whole<Output> {
  value: Output | undefined
  private joinable = true

  add(piece: Output, by: Runnable): void {
    if (isBaseMessage(piece) && isRestart(piece)) {
      // What a router among the links began anew is no part of its answer.
      this.value = undefined
      this.joinable = true
      return
    }
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

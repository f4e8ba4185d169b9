import { type AIMessageChunk, isBaseMessage } from "@langchain/core/messages"
import { Runnable, type RunnableConfig } from "@langchain/core/runnables"
import { concat } from "@langchain/core/utils/stream"
import { dispatch } from "./dispatch/dispatch.ts"
import type { DispatchCandidate, DispatchSettings } from "./dispatch/dispatch-options.ts"
import { pause } from "./dispatch/pause.ts"
import { hasContent } from "./langchain/call-model.ts"
import { type ChainRun, startChainRun } from "./langchain/chain-run.ts"
import { isChatModel } from "./langchain/is-chat-model.ts"
import type { Attempt } from "./spec/dispatch.ts"
import { ConfigError, InvalidRequestError } from "./spec/errors.ts"
import type { Tier } from "./spec/request.ts"

/** One thing that can answer. */
export interface FallbackLink<Input, Output> {
  readonly tier: Tier
  /** Unique in the chain. Default: the tier, with a number if it has several links. */
  readonly id?: string | undefined
  readonly runnable: Runnable<Input, Output>
}

export interface FallbackChainFields<Input, Output> {
  /** Weakest tier first. */
  readonly links: readonly FallbackLink<Input, Output>[]
  /** Links tried after the first one failed. Default: all of them. */
  readonly maxFallbackAttempts?: number | undefined
  /** Tries at the same link after the first, where a pause may heal. Default 2. */
  readonly maxRetries?: number | undefined
  /** First retry pause, ms; doubles each time, full jitter. Default 250. */
  readonly retryBaseMs?: number | undefined
  /** Until the first piece of one try's answer, ms; then the next link is asked. Default: no limit. */
  readonly attemptTimeoutMs?: number | undefined
}

export interface FallbackOptions extends RunnableConfig {
  /** Asked first; then the tiers above it, then those below, nearest first. Default: the first link's. */
  readonly preferredTier?: Tier | undefined
}

/** The answer, and who really gave it. */
export interface FallbackAnswer<Output> {
  readonly output: Output
  readonly answeredBy: { readonly deploymentId: string; readonly tier: Tier }
  readonly attempts: readonly Attempt[]
}

type Link<Input, Output> = DispatchCandidate & { readonly runnable: Runnable<Input, Output> }

/**
 * Asks one runnable after the other until one answers (row E6). The failure table decides what is worth another link:
 * an invalid request, an abort, an interrupt or a defect is thrown as it is; a stream falls back until its first piece.
 *
 * @throws ConfigError for an empty chain or an id given twice. Calls throw CandidatesExhaustedError, with every
 * attempt, when all links failed.
 */
export class FallbackChain<Input = unknown, Output = unknown> extends Runnable<
  Input,
  Output,
  FallbackOptions
> {
  lc_namespace: string[] = ["tierwise"]
  private readonly links: readonly Link<Input, Output>[]
  private readonly settings: DispatchSettings

  static override lc_name(): string {
    return "FallbackChain"
  }

  constructor(fields: FallbackChainFields<Input, Output>) {
    super()
    this.links = linksFrom(fields.links)
    this.settings = {
      maxFallbackAttempts: validCount(fields.maxFallbackAttempts ?? this.links.length, "maxFallbackAttempts"),
      maxRetries: validCount(fields.maxRetries ?? 2, "maxRetries"),
      retryBaseMs: validMs(fields.retryBaseMs ?? 250, "retryBaseMs", 0),
      attemptTimeoutMs:
        fields.attemptTimeoutMs === undefined
          ? undefined
          : validMs(fields.attemptTimeoutMs, "attemptTimeoutMs", 1),
      now: Date.now,
      random: Math.random,
      pause,
    }
  }

  override async invoke(input: Input, options?: Partial<FallbackOptions>): Promise<Output> {
    return (await this.answer(input, options)).output
  }

  /** Like `invoke`, and says which tier answered and what was tried. */
  async answer(input: Input, options?: Partial<FallbackOptions>): Promise<FallbackAnswer<Output>> {
    const { run, childOptions } = await this.open(input, options)
    const attempts: Attempt[] = []
    try {
      let output: Output | undefined
      const call = async function* (link: Link<Input, Output>, signal: AbortSignal | undefined) {
        yield await link.runnable.invoke(input, childOptions(link, signal))
      }
      for await (const piece of this.dispatch(call, run, options, attempts)) output = piece
      await run.end(output)
      const { deploymentId, tier } = attempts.at(-1) as Attempt
      return { output: output as Output, answeredBy: { deploymentId, tier }, attempts }
    } catch (error) {
      await run.fail(error)
      throw error
    }
  }

  override async *_streamIterator(input: Input, options?: Partial<FallbackOptions>): AsyncGenerator<Output> {
    const { run, childOptions } = await this.open(input, options)
    let ended = false
    let failure: unknown = new Error("the reader stopped reading")
    let whole: unknown
    try {
      const call = async function* (link: Link<Input, Output>, signal: AbortSignal | undefined) {
        yield* await link.runnable.stream(input, childOptions(link, signal))
      }
      for await (const piece of this.dispatch(call, run, options, [])) {
        whole = whole === undefined ? piece : concat(whole as string, piece as string)
        yield piece
      }
      ended = true
    } catch (error) {
      failure = error
      throw error
    } finally {
      await (ended ? run.end(whole) : run.fail(failure))
    }
  }

  /** Opens the chain's own run; the links get the caller's options, but never retry on their own: ours would multiply. */
  private async open(input: Input, options: Partial<FallbackOptions> | undefined) {
    const [config, { preferredTier: _, ...callOptions }] =
      this._separateRunnableConfigFromCallOptions(options)
    const serialized = () => this.toJSON()
    const run = await startChainRun({ config, name: this.getName(), serialized, own: {}, inputs: { input } })
    const childOptions = ({ runnable }: Link<Input, Output>, signal: AbortSignal | undefined) => ({
      ...callOptions,
      ...run.childConfig,
      ...(signal && { signal }),
      ...(isChatModel(runnable) && { maxRetries: 0 }),
    })
    return { run, childOptions }
  }

  private dispatch(
    call: (link: Link<Input, Output>, signal: AbortSignal | undefined) => AsyncIterable<Output>,
    { childConfig: { signal } }: ChainRun,
    options: Partial<FallbackOptions> | undefined,
    attempts: Attempt[],
  ): AsyncGenerator<Output, void, undefined> {
    return dispatch<Link<Input, Output>, Output>({
      candidates: startingAt(this.links, options?.preferredTier),
      call,
      opens: (piece) => !isBaseMessage(piece) || hasContent({ message: piece as unknown as AIMessageChunk }),
      isProvider: ({ runnable }) => isChatModel(runnable),
      signal,
      settings: this.settings,
      onAttempt: (attempt) => attempts.push(attempt),
    })
  }
}

function linksFrom<Input, Output>(
  given: readonly FallbackLink<Input, Output>[],
): readonly Link<Input, Output>[] {
  if (given.length === 0) throw new ConfigError("links", "the chain is empty", "give at least one link")
  const links = given.map(({ id, tier, runnable }, index) => {
    if (typeof (runnable as Partial<typeof runnable> | undefined)?.invoke !== "function") {
      throw new ConfigError(
        `links[${index}].runnable`,
        "it is not a Runnable",
        "give a chat model or another Runnable",
      )
    }
    const sameTier = given.slice(0, index).filter((link) => link.tier === tier).length
    return { deploymentId: id ?? (sameTier === 0 ? tier : `${tier}-${sameTier + 1}`), tier, runnable }
  })
  const ids = links.map(({ deploymentId }) => deploymentId)
  const twice = ids.findIndex((id, index) => ids.indexOf(id) !== index)
  if (twice === -1) return links
  throw new ConfigError(`links[${twice}].id`, `"${ids[twice]}" is there twice`, "give each link its own id")
}

function startingAt<L extends DispatchCandidate>(
  links: readonly L[],
  preferred: Tier | undefined,
): readonly L[] {
  if (preferred === undefined) return links
  const tiers = [...new Set(links.map(({ tier }) => tier))]
  const from = tiers.indexOf(preferred)
  if (from !== -1) {
    const order = [...tiers.slice(from), ...tiers.slice(0, from).reverse()]
    return order.flatMap((tier) => links.filter((link) => link.tier === tier))
  }
  const known = tiers.join(", ")
  throw new InvalidRequestError(
    "preferredTier",
    `"${preferred}" is not a tier of this chain`,
    `use one of ${known}`,
  )
}

function validCount(value: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new ConfigError(name, `${value} is not a number of attempts`, "give a whole number, 0 or more")
}

function validMs(value: number, name: string, least: number): number {
  if (value >= least && value < 2 ** 31) return value
  throw new ConfigError(
    name,
    `${value} is not a duration`,
    `give milliseconds, at least ${least} and less than 2^31`,
  )
}

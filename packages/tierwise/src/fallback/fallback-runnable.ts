import { Runnable } from "@langchain/core/runnables"
import type { StreamEvent } from "@langchain/core/tracers/log_stream"
import type { IterableReadableStream } from "@langchain/core/utils/stream"
import { mergeOptions } from "../langchain/read-call.ts"
import { leavableStream } from "../langchain/stream-from.ts"
import { ConfigError } from "../spec/errors.ts"
import { askLinks, type Call, streamLinks } from "./ask-links.ts"
import { type ChainParts, linkPath } from "./chain-parts.ts"
import type { FallbackAnswer, FallbackOptions } from "./options.ts"

type StreamOptions = Parameters<Runnable["streamEvents"]>[2]

/** What `new FallbackChain` gives where a link is no chat model: a Runnable, and nothing that looks like a model. */
export class FallbackRunnable<Input, Output> extends Runnable<Input, Output, FallbackOptions> {
  override lc_namespace: string[] = ["tierwise"]
  /** Options bound with `withConfig`. */
  protected defaultOptions: Partial<FallbackOptions>
  private readonly parts: ChainParts<Input, Output>

  static override lc_name(): string {
    return "FallbackChain"
  }

  constructor(parts: ChainParts<Input, Output>, bound: Partial<FallbackOptions> = {}) {
    super()
    this.parts = parts
    this.defaultOptions = bound
  }

  override async invoke(input: Input, options?: Partial<FallbackOptions>): Promise<Output> {
    return (await this.answer(input, options)).output
  }

  /** Like `invoke`, and says which tier answered and what was tried. */
  async answer(input: Input, options?: Partial<FallbackOptions>): Promise<FallbackAnswer<Output>> {
    return askLinks(this.read(input, options))
  }

  /** Ends the call when its reader leaves. */
  override async stream(
    input: Input,
    options?: Partial<FallbackOptions>,
  ): Promise<IterableReadableStream<Output>> {
    return leavableStream<Output, FallbackOptions>(options, (given) => this._streamIterator(input, given))
  }

  override async *_streamIterator(input: Input, options?: Partial<FallbackOptions>): AsyncGenerator<Output> {
    yield* streamLinks(this.read(input, options))
  }

  /** A clone with these options; tags, metadata and callbacks are added to those it has. */
  override withConfig(config: Partial<FallbackOptions>): FallbackRunnable<Input, Output> {
    const clone = Object.create(Object.getPrototypeOf(this) as object) as FallbackRunnable<Input, Output>
    return Object.assign(clone, this, { defaultOptions: mergeOptions(this.defaultOptions, config) })
  }

  /** @throws ConfigError: this needs a chain of chat models. */
  bindTools(): never {
    throw this.noChatModel("tools cannot be bound to this chain")
  }

  /** @throws ConfigError: this needs a chain of chat models. */
  withStructuredOutput(): never {
    throw this.noChatModel("this chain cannot be asked for a schema")
  }

  /** @throws ConfigError: this needs a chain of chat models. */
  generate(): never {
    throw this.noChatModel("this chain cannot generate")
  }

  /** @throws ConfigError: this needs a chain of chat models. */
  getNumTokens(): never {
    throw this.noChatModel("this chain cannot count tokens")
  }

  /** @throws ConfigError without a `version`: content-block events are a chat model's. */
  override streamEvents(
    input: Input,
    options?: Partial<FallbackOptions> & { version?: "v1" | "v2" },
    streamOptions?: StreamOptions,
  ): IterableReadableStream<StreamEvent>
  override streamEvents(
    input: Input,
    options: Partial<FallbackOptions> & { version: "v1" | "v2"; encoding: "text/event-stream" },
    streamOptions?: StreamOptions,
  ): IterableReadableStream<Uint8Array>
  override streamEvents(
    input: Input,
    options?: Partial<FallbackOptions> & { version?: "v1" | "v2"; encoding?: "text/event-stream" },
    streamOptions?: StreamOptions,
  ): IterableReadableStream<StreamEvent | Uint8Array> {
    if (options?.version === undefined) throw this.noChatModel('its events need version: "v2"')
    return super.streamEvents(input, options as { version: "v2" }, streamOptions)
  }

  private noChatModel(so: string): ConfigError {
    const index = this.parts.links.findIndex(({ model }) => model === undefined)
    const name = this.parts.links[index]?.runnable.getName() ?? "it"
    const problem = `${name} is no chat model, so ${so}`
    return new ConfigError(linkPath(index), problem, "give a chain of chat models alone")
  }

  private read(input: Input, options: Partial<FallbackOptions> | undefined): Call<Input, Output> {
    const merged = mergeOptions(this.defaultOptions, options)
    const [config, callOptions] = this._separateRunnableConfigFromCallOptions(merged)
    const { parts } = this
    const serialized = () => this.toJSON()
    return { parts, input, config, options: callOptions, name: this.getName(), serialized }
  }
}

import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import {
  caseWith,
  type ModelUnderTest,
  mustHaveUsage,
  mustSpeak,
  readAll,
} from "./chat-model-contract-subject.ts"
import { type ContractCase, must } from "./contract.ts"

/** What a model tells those who watch it: handlers, tracers, and readers of events. */
export function eventCases(under: ModelUnderTest): readonly ContractCase[] {
  const { supports, prompts } = under
  const story = caseWith(under)

  return [
    story(
      "tells a handler of each start, token and end, with the call's tags and metadata",
      async (model) => {
        const seen = new Seen()
        const config = { callbacks: [seen], tags: ["mine"], metadata: { order: "o-17" } }
        await readAll(await model.stream(prompts.talk, config))
        must(seen.starts.length > 0, "no LLM run was started")
        must(seen.ends === seen.starts.length, `${seen.starts.length} LLM runs started, ${seen.ends} ended`)
        must(seen.tokens > 0, "no token was told")
        const { tags, metadata } = seen.starts.at(-1) as Start
        must(
          tags.includes("mine"),
          `the run has the tags ${tags.join(", ") || "none"}, not the call's "mine"`,
        )
        must(metadata["order"] === "o-17", "the run does not have the call's metadata")
      },
    ),

    story("runs under the id and the name that the call gives it", async (model) => {
      const seen = new Seen()
      const runId = "01890a5d-ac96-774b-bcce-b302099a8057"
      await model.invoke(prompts.talk, { callbacks: [seen], runId, runName: "mine" })
      must(seen.runs[0]?.id === runId, `the first run is ${seen.runs[0]?.id}`)
      must(seen.runs[0].name === "mine", `the first run is named ${seen.runs[0].name}`)
    }),

    story("shows in streamEvents v2 each word once, and then the whole", async (model) => {
      const seen: string[] = []
      let streamed = ""
      let whole: unknown
      for await (const { event, data } of model.streamEvents(prompts.talk, { version: "v2" })) {
        seen.push(event)
        if (event === "on_chat_model_stream") streamed += (data.chunk as { readonly text: string }).text
        if (event === "on_chat_model_end") whole = data.output
      }
      mustSpeak(whole, "the output of on_chat_model_end")
      for (const event of ["on_chat_model_start", "on_chat_model_stream"]) {
        must(seen.includes(event), `there was no ${event}`)
      }
      must(streamed === whole.text, `the events streamed "${streamed}", and ended with "${whole.text}"`)
    }),

    story("streams content-block events without a version, and is awaited for the message", async (model) => {
      const seen: string[] = []
      const stream = model.streamEvents(prompts.talk)
      for await (const { event } of stream) seen.push(event)
      must(seen[0] === "message-start", `the first event is ${seen[0]}`)
      must(seen.at(-1) === "message-finish", `the last event is ${seen.at(-1)}`)
      must(seen.includes("content-block-delta"), "there was no content-block-delta")
      const message = await model.streamEvents(prompts.talk)
      mustSpeak(message, "the awaited message")
      if (supports.usage) mustHaveUsage(message, "the awaited message")
    }),
  ]
}

export interface Start {
  readonly tags: readonly string[]
  readonly metadata: Readonly<Record<string, unknown>>
  /** What the run's options say about a schema. */
  readonly schema: unknown
}

interface Params {
  readonly options?: { readonly ls_structured_output_format?: { readonly schema?: unknown } }
}

/** What a tracer is told. */
export class Seen extends BaseCallbackHandler {
  override readonly name = "contract"
  readonly runs: { readonly id: unknown; readonly name: unknown }[] = []
  readonly starts: Start[] = []
  tokens = 0
  ends = 0

  constructor() {
    super({ _awaitHandler: true })
  }

  override handleChainStart(...args: unknown[]): void {
    this.runs.push({ id: args[2], name: args[7] })
  }

  override handleChatModelStart(...args: unknown[]): void {
    this.runs.push({ id: args[2], name: args[7] })
    const [params, tags, metadata] = args.slice(4) as [Params?, string[]?, Record<string, unknown>?]
    const { schema } = params?.options?.ls_structured_output_format ?? {}
    this.starts.push({ tags: tags ?? [], metadata: metadata ?? {}, schema })
  }

  override handleLLMNewToken(): void {
    this.tokens++
  }

  override handleLLMEnd(): void {
    this.ends++
  }

  override handleLLMError(): void {
    this.ends++
  }
}

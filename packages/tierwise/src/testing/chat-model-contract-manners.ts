import { BaseCache } from "@langchain/core/caches"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { HumanMessage, SystemMessage } from "@langchain/core/messages"
import type { Generation } from "@langchain/core/outputs"
import { Seen, type Start } from "./chat-model-contract-events.ts"
import {
  caseWith,
  errorOf,
  type ModelUnderTest,
  mustBeReply,
  mustSpeak,
  readAll,
  usageOf,
} from "./chat-model-contract-subject.ts"
import { bind, weatherTool } from "./chat-model-contract-tools.ts"
import { type ContractCase, must } from "./contract.ts"

/** How a model behaves towards those who share it, and those who stop it. */
export function mannerCases(under: ModelUnderTest): readonly ContractCase[] {
  const { supports, prompts, cached } = under
  const story = caseWith(under)

  const sharing = [
    story("leaves what it is given as it was", async (model) => {
      const messages = [new SystemMessage("Be kind."), new HumanMessage(prompts.talk)]
      const given = {
        options: { tags: ["mine"], metadata: { a: 1 }, stop: ["§"] },
        messages,
        tools: [weatherTool],
      }
      const before = JSON.stringify(given)
      await model.invoke(messages, given.options)
      await readAll(await model.stream(messages, given.options))
      if (supports.tools) await bind(model, given.tools).invoke(messages, given.options)
      const after = JSON.stringify(given)
      must(after === before, `it changed what it was given from ${before} to ${after}`)
    }),

    story("gives each caller a message of its own", async (model) => {
      const first = await model.invoke(prompts.talk)
      const { text } = first
      Object.assign(first, { name: "changed", content: "changed" })
      Object.assign(first.response_metadata, { changed: true })
      const second = await model.invoke(prompts.talk)
      must(
        second.name !== "changed" && second.text !== "changed",
        `after "${text}" was changed, so was the next answer`,
      )
      must(!("changed" in second.response_metadata), "two answers share their response_metadata")
    }),

    story("binds a configuration to a copy of itself", async (model) => {
      const bound = model.withConfig({ tags: ["bound"], metadata: { bound: true } })
      const [plain, copy] = [new Seen(), new Seen()]
      await model.invoke(prompts.talk, { callbacks: [plain] })
      await bound.invoke(prompts.talk, { callbacks: [copy] })
      must(!plain.starts.at(-1)?.tags.includes("bound"), "tags bound to a copy reached the model itself")
      must(
        copy.starts.at(-1)?.tags.includes("bound") === true,
        "the copy lost the tags that were bound to it",
      )
    }),

    story("adds a call's tags and metadata to those that were bound", async (model) => {
      const seen = new Seen()
      const bound = model.withConfig({ tags: ["bound"], metadata: { bound: true } })
      await bound.invoke(prompts.talk, { tags: ["mine"], metadata: { mine: true }, callbacks: [seen] })
      const { tags, metadata } = seen.starts.at(-1) as Start
      must(tags.includes("bound") && tags.includes("mine"), `the run has the tags ${tags.join(", ")}`)
      must(metadata["bound"] === true && metadata["mine"] === true, "the run lost metadata")
    }),

    story("stays a chat model when it is configured", async (model) => {
      const bound = model.withConfig({ tags: ["bound"] }) as BaseChatModel
      const fix = "return a clone from withConfig, not a RunnableBinding"
      must(typeof (bound as Partial<BaseChatModel>)._streamResponseChunks === "function", fix)
      mustSpeak(await bound.streamEvents(prompts.talk), "the awaited message")
    }),
  ]

  const stopping = [
    story("asks nobody for a call that is aborted already", async (model) => {
      const signal = AbortSignal.abort()
      const refused = await errorOf(() => model.invoke(prompts.talk, { signal }))
      must(refused !== undefined, "an aborted call was answered")
      const chunks: unknown[] = []
      await errorOf(async () => {
        for await (const chunk of await model.stream(prompts.talk, { signal })) chunks.push(chunk)
      })
      must(chunks.length === 0, `an aborted stream had ${chunks.length} chunks`)
    }),

    story("ends a call that is aborted on its way", async (model) => {
      const abort = new AbortController()
      const asked = errorOf(() => model.invoke(prompts.talk, { signal: abort.signal }))
      abort.abort()
      must((await asked) !== undefined, "the call was answered although it was aborted")
    }),

    story("ends a stream that is aborted on its way, and tells so", async (model) => {
      const abort = new AbortController()
      let chunks = 0
      const stream = await model.stream(prompts.talk, { signal: abort.signal })
      const ended = await errorOf(async () => {
        for await (const _ of stream) if (++chunks === 1) abort.abort()
      })
      must(ended !== undefined, `after an abort the stream went on to its end, ${chunks} chunks`)
    }),

    story("lets a reader walk away, and answers the next call", async (model) => {
      for await (const _ of await model.stream(prompts.talk)) break
      mustSpeak(await model.invoke(prompts.talk))
    }),
  ]

  return [...sharing, ...stopping, ...(cached === undefined ? [] : cacheCases(cached, prompts.talk))]
}

function cacheCases(cached: (cache: BaseCache) => BaseChatModel, question: string): readonly ContractCase[] {
  const asked = [new HumanMessage({ content: [{ type: "text", text: question }] })]
  return [
    {
      name: "answers the same question from its cache",
      run: async () => {
        const cache = new CountingCache()
        const model = cached(cache)
        const [first, second] = [await model.invoke(asked), await model.invoke(asked)]
        must(cache.kept() === 1, `two equal questions were kept ${cache.kept()} times`)
        must(cache.hits === 1, `the second of two equal questions hit the cache ${cache.hits} times`)
        mustBeReply(second, "the cached answer")
        must(second.text === first.text, `it answered "${first.text}", and from the cache "${second.text}"`)
        await model.invoke(`${question} And you?`)
        must(cache.kept() === 2, "another question was answered from the cache")
      },
    },
    {
      name: "leaves an answer alone when the same is asked again",
      run: async () => {
        const model = cached(new CountingCache())
        const first = await model.invoke(asked)
        const before = JSON.stringify([first.text, usageOf(first), first.response_metadata])
        const second = await model.invoke(asked)
        Object.assign(second, { name: "changed" })
        const after = JSON.stringify([first.text, usageOf(first), first.response_metadata])
        must(after === before, `the first answer changed from ${before} to ${after}`)
        must(first.name !== "changed", "both answers are the same object")
        must((await model.invoke(asked)).name !== "changed", "a reader's change reached the cache")
      },
    },
  ]
}

/** Keeps what it is given by reference, like LangChain's own. */
class CountingCache extends BaseCache {
  private readonly answers = new Map<string, Generation[]>()
  hits = 0

  kept(): number {
    return this.answers.size
  }

  async lookup(prompt: string, model: string): Promise<Generation[] | null> {
    const found = this.answers.get(JSON.stringify([prompt, model])) ?? null
    if (found !== null) this.hits++
    return found
  }

  async update(prompt: string, model: string, value: Generation[]): Promise<void> {
    this.answers.set(JSON.stringify([prompt, model]), value)
  }
}

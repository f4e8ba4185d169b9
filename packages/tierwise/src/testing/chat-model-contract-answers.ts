import { AIMessage, HumanMessage, SystemMessage } from "@langchain/core/messages"
import { StringOutputParser } from "@langchain/core/output_parsers"
import { ChatPromptTemplate } from "@langchain/core/prompts"
import {
  type Asked,
  caseWith,
  type ModelUnderTest,
  mustBeReply,
  mustHaveUsage,
  mustSpeak,
  readAll,
} from "./chat-model-contract-subject.ts"
import { type ContractCase, must } from "./contract.ts"

/** A red pixel. */
const PICTURE =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="

/** Asking and being answered: whole, in pieces, and many at once. */
export function answerCases(under: ModelUnderTest): readonly ContractCase[] {
  const { supports, prompts } = under
  const story = caseWith(under)
  const sameWords = (a: string, b: string) => !supports.deterministic || a === b

  const always = [
    story("answers with an AIMessage that says something and has an id", async (model) => {
      const reply = await model.invoke(prompts.talk)
      mustSpeak(reply)
      must(typeof reply.id === "string" && reply.id !== "", "the answer has no id")
    }),

    story("takes a question in every form LangChain has for it", async (model) => {
      const { talk } = prompts
      const prompt = await ChatPromptTemplate.fromMessages([["human", "{talk}"]]).invoke({ talk })
      const forms = [
        talk,
        [new HumanMessage(talk)],
        [["human", talk]],
        [{ role: "user", content: talk }],
        prompt,
      ]
      for (const form of forms)
        mustSpeak(await model.invoke(form as string), `the answer to ${JSON.stringify(form)}`)
    }),

    story("goes on with a conversation", async (model) => {
      const said = [new HumanMessage("hello"), new AIMessage("hello"), new HumanMessage(prompts.talk)]
      mustSpeak(await model.invoke(said))
    }),

    story("takes several messages of one role in a row", async (model) => {
      const twice = [SystemMessage, HumanMessage, AIMessage].flatMap((Kind) => [
        new Kind("hello"),
        new Kind("hello"),
      ])
      mustSpeak(await model.invoke([...twice, new HumanMessage(prompts.talk)]))
    }),

    story("reads content blocks, and gives its answer as content blocks", async (model) => {
      const reply = await model.invoke([
        new HumanMessage({ content: [{ type: "text", text: prompts.talk }] }),
      ])
      mustSpeak(reply)
      const texts = reply.contentBlocks.flatMap((block) => (block.type === "text" ? [block.text] : []))
      // A message's text is made of its content blocks; its content, where that is a string, is not.
      const said = typeof reply.content === "string" ? reply.content : reply.text
      must(texts.join("") === said, `contentBlocks say "${texts.join("")}", the content is "${said}"`)
    }),

    story("stores content blocks as its content where they are asked for", async (model) => {
      const reply = await (model as Asked).invoke(prompts.talk, { outputVersion: "v1" } as object)
      mustSpeak(reply)
      must(Array.isArray(reply.content), `outputVersion "v1" gave content of type ${typeof reply.content}`)
    }),

    story("streams chunks, under one id, that together say something", async (model) => {
      const { chunks, whole } = await readAll(await model.stream(prompts.talk))
      must(whole.text !== "", "the chunks together have no text")
      mustHaveOneId(chunks)
    }),

    story("streams under one id while it is traced", async (model) => {
      const callbacks = [{ handleLLMNewToken: () => {} }]
      const { chunks } = await readAll(await model.stream(prompts.talk, { callbacks }))
      mustHaveOneId(chunks)
    }),

    story("streams what it would have answered: the same shape", async (model) => {
      const reply = await model.invoke(prompts.talk)
      const { whole } = await readAll(await model.stream(prompts.talk))
      must(typeof whole.content === typeof reply.content, `its content is ${typeof whole.content}`)
      must(sameWords(whole.text, reply.text), `it streamed "${whole.text}" and answered "${reply.text}"`)
      must(whole.tool_calls?.length === (reply.tool_calls ?? []).length, "it streamed other tool calls")
      const [streamedBy, answeredBy] = [modelNameOf(whole), modelNameOf(reply)]
      // Not every package names the model in a stream.
      const sameModel = streamedBy === undefined || streamedBy === answeredBy
      must(sameModel, `the stream came from ${streamedBy}, the answer from ${answeredBy}`)
    }),

    story("answers a batch, each question in its place", async (model) => {
      const replies = await model.batch([prompts.talk, prompts.record, prompts.talk])
      must(replies.length === 3, `three questions have ${replies.length} answers`)
      for (const reply of replies) mustSpeak(reply)
      const [first, , third] = replies
      must(sameWords(first?.text ?? "", third?.text ?? ""), "the first and third question were the same")
      must(new Set(replies.map(({ id }) => id)).size === 3, "two answers share an id")
    }),

    story("answers what it can of a batch, where errors are asked for as values", async (model) => {
      const broken = 7 as unknown as string
      const replies = await model.batch([prompts.talk, broken], undefined, { returnExceptions: true })
      mustSpeak(replies[0], "the first answer")
      must(replies[1] instanceof Error, "the question that is none was answered")
    }),

    story("generates for each conversation", async (model) => {
      const { generations } = await model.generate([
        [new HumanMessage(prompts.talk)],
        [new HumanMessage("Hello")],
      ])
      must(generations.length === 2, `two conversations have ${generations.length} generations`)
      for (const [generation] of generations) {
        const message = (generation as { readonly message?: unknown } | undefined)?.message
        mustSpeak(message, "the generation's message")
        must(generation?.text === message.text, `the generation says "${generation?.text}"`)
      }
    }),

    story(
      "answers direct calls of what LangChain calls: _generate and _streamResponseChunks",
      async (model) => {
        const messages = [new HumanMessage(prompts.talk)]
        const { generations } = await model._generate(messages, {})
        mustSpeak(generations[0]?.message, "_generate's message")
        let text = ""
        for await (const chunk of model._streamResponseChunks(messages, {})) {
          must(
            chunk.text === chunk.message.text,
            `a chunk's text is "${chunk.text}", its message's "${chunk.message.text}"`,
          )
          text += chunk.text
        }
        must(text !== "", "_streamResponseChunks said nothing")
      },
    ),

    story("stands in a pipe, and streams through it", async (model) => {
      const pipe = ChatPromptTemplate.fromMessages([["human", "{talk}"]])
        .pipe(model)
        .pipe(new StringOutputParser())
      const pieces: string[] = []
      for await (const piece of await pipe.stream({ talk: prompts.talk })) pieces.push(piece)
      must(pieces.join("") !== "", "nothing came out of the pipe")
      must((await pipe.invoke({ talk: prompts.talk })) !== "", "nothing was answered through the pipe")
    }),

    story("can be retried and fallen back from", async (model) => {
      mustSpeak(await model.withRetry({ stopAfterAttempt: 2 }).invoke(prompts.talk))
      mustSpeak(await model.withFallbacks([model]).invoke(prompts.talk))
    }),

    story("says which model answered", async (model) => {
      const name = modelNameOf(await model.invoke(prompts.talk))
      must(name !== undefined, "response_metadata has neither model_name nor model")
    }),
  ]

  const usage = [
    story("reports the tokens it used", async (model) => {
      mustHaveUsage(await model.invoke(prompts.talk))
    }),

    story("reports the tokens of a stream once", async (model) => {
      const answered = mustHaveUsage(await model.invoke(prompts.talk))
      const { whole } = await readAll(await model.stream(prompts.talk))
      const streamed = mustHaveUsage(whole, "the stream")
      const [a, b] = [answered.input_tokens, streamed.input_tokens]
      must(a === b, `the same question took ${a} input tokens, and ${b} streamed`)
      const same = !supports.deterministic || answered.output_tokens === streamed.output_tokens
      must(
        same,
        `the same answer took ${answered.output_tokens} tokens, and ${streamed.output_tokens} streamed`,
      )
    }),
  ]

  const stop = story("stops where it is told to", async (model) => {
    const word = (await model.invoke(prompts.talk)).text.split(/\s+/)[2]
    must(word !== undefined, "the answer is too short to be stopped")
    const { text } = await model.invoke(prompts.talk, { stop: [word] })
    must(!text.includes(word), `told to stop at "${word}", it said "${text}"`)
    const bound = await model.withConfig({ stop: [word] }).invoke(prompts.talk)
    must(!bound.text.includes(word), `bound to stop at "${word}", it said "${bound.text}"`)
  })

  const images = story("looks at a picture", async (model) => {
    const asked = [
      { type: "text", text: prompts.talk },
      { type: "image_url", image_url: { url: PICTURE } },
    ]
    mustBeReply(await model.invoke([new HumanMessage({ content: asked })]))
  })

  return [
    ...always,
    ...(supports.usage ? usage : []),
    ...(supports.stop ? [stop] : []),
    ...(supports.images ? [images] : []),
  ]
}

function mustHaveOneId(chunks: readonly { readonly id?: string | undefined }[]): void {
  const ids = [...new Set(chunks.map(({ id }) => id).filter((id) => id !== undefined))]
  must(ids.length === 1, `the chunks of one message have ${ids.length} ids: ${ids.join(", ")}`)
}

function modelNameOf({
  response_metadata,
}: {
  readonly response_metadata: Record<string, unknown>
}): string | undefined {
  const name = response_metadata["model_name"] ?? response_metadata["model"]
  return typeof name === "string" && name !== "" ? name : undefined
}

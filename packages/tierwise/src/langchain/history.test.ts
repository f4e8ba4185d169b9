import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import {
  AIMessage,
  type BaseMessage,
  HumanMessage,
  mapChatMessagesToStoredMessages,
  SystemMessage,
  ToolMessage,
} from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { type HistoryTarget, historyFor } from "./history.ts"

/** A deployment of a package, as far as a history can see it. */
function target(llmType: string, model = "the-model", deploymentId = "here"): HistoryTarget {
  return { deploymentId, model: { _llmType: () => llmType, model } as unknown as BaseChatModel }
}

const openai = target("openai")
const anthropic = target("anthropic")
const ollama = target("ollama")
const unheardOf = target("unheard-of")

const ask = new HumanMessage("Where to?")

/** A reply that another deployment has given. */
function reply(fields: object): AIMessage {
  const response_metadata = {
    tierwise: { deployment: "elsewhere" },
    ...("response_metadata" in fields ? (fields.response_metadata as object) : {}),
  }
  return new AIMessage({ content: "", ...fields, response_metadata })
}

function call(id: string | undefined, city = "Paris") {
  return { type: "tool_call" as const, ...(id !== undefined && { id }), name: "weather", args: { city } }
}

function result(id: string, content = "sunny"): ToolMessage {
  return new ToolMessage({ content, tool_call_id: id })
}

/** The reply as the target is sent it. */
function sentReply(message: AIMessage, to: HistoryTarget, ...after: BaseMessage[]): AIMessage {
  return historyFor([ask, message, ...after], to)[1] as AIMessage
}

const callIdsIn = (messages: readonly BaseMessage[]) =>
  messages.flatMap((message) => ((message as AIMessage).tool_calls ?? []).map(({ id }) => id))
const resultIdsIn = (messages: readonly BaseMessage[]) =>
  messages.flatMap((message) => (message.type === "tool" ? [(message as ToolMessage).tool_call_id] : []))

const THINKING = { type: "thinking", thinking: "Hm.", signature: "EqQB" }

describe("historyFor", () => {
  it.each([
    ["nobody has replied yet", [new SystemMessage("Be brief."), ask]],
    ["another's reply is bare words", [ask, reply({ content: "Paris." }), ask]],
    [
      "another's call has an id that anybody takes",
      [ask, reply({ tool_calls: [call("call_1")] }), result("call_1")],
    ],
    [
      "somebody has written a reply by hand",
      [ask, new AIMessage({ content: "Paris.", additional_kwargs: { mine: 1 } })],
    ],
  ])("gives back the very array if %s", (_, messages) => {
    for (const to of [openai, anthropic, ollama, unheardOf]) expect(historyFor(messages, to)).toBe(messages)
  })

  it("changes none of the messages it is given", () => {
    const messages = [
      new HumanMessage({ content: [{ type: "image", data: "AAAA", mimeType: "image/png" }] as never }),
      reply({
        content: [THINKING, { type: "text", text: "Look." }],
        tool_calls: [call("weather:0")],
        additional_kwargs: { reasoning: { id: "rs_1" } },
      }),
      new ToolMessage({ content: [{ type: "text", text: "sunny" }], tool_call_id: "weather:0" }),
    ]
    const before = JSON.stringify(mapChatMessagesToStoredMessages(messages))
    const held = [...messages]
    for (const to of [openai, anthropic, ollama, unheardOf])
      expect(historyFor(messages, to)).not.toBe(messages)
    expect(JSON.stringify(mapChatMessagesToStoredMessages(messages))).toBe(before)
    expect(messages).toEqual(held)
  })

  it("gives the messages that it need not change as they are", () => {
    const messages = [
      ask,
      reply({ content: [THINKING, { type: "text", text: "Paris." }] }),
      ask,
      reply({ content: "Rome." }),
    ]
    const sent = historyFor(messages, openai)
    expect(sent.map((message, index) => message === messages[index])).toEqual([true, false, true, true])
  })
})

describe("whose reply it is", () => {
  const content = [THINKING, { type: "text", text: "Paris." }]
  const by = (response_metadata: object, more: object = {}) =>
    new AIMessage({ content, ...more, response_metadata })
  const claude = target("anthropic", "claude-sonnet-4-5")

  it.each([
    ["the deployment that is asked", by({ tierwise: { deployment: "here" }, model_name: "an-alias" }), true],
    [
      "another deployment of the same model",
      by({ tierwise: { deployment: "there" }, model: "claude-sonnet-4-5" }),
      false,
    ],
    [
      "a deployment that was another provider's then",
      by({ tierwise: { deployment: "here" }, model_provider: "openai" }),
      false,
    ],
    ["the model, unrouted", by({ model_provider: "anthropic", model: "claude-sonnet-4-5" }), true],
    [
      "the model, under its dated name",
      by({ model_provider: "anthropic", model_name: "claude-sonnet-4-5-20250929" }),
      true,
    ],
    [
      "the model, streamed",
      by({ model_provider: "anthropic" }, { additional_kwargs: { model: "claude-sonnet-4-5" } }),
      true,
    ],
    [
      "another model of the provider",
      by({ model_provider: "anthropic", model: "claude-opus-4-1-20250805" }),
      false,
    ],
    ["a model whose name begins alike", by({ model: "claude-sonnet-4-5-mini" }), false],
    [
      "another model, streamed",
      by({ model_provider: "anthropic" }, { additional_kwargs: { model: "claude-opus-4-1" } }),
      false,
    ],
    [
      "the model, whose name LangChain has joined with itself",
      by({ model_name: "claude-sonnet-4-5", model: "claude-sonnet-4-5claude-sonnet-4-5" }),
      true,
    ],
    ["some model of the provider", by({ model_provider: "anthropic" }), true],
    ["somebody who writes as the provider does", by({}), true],
  ])("is known for %s", (_, message, own) => {
    const sent = sentReply(message, claude)
    expect([sent === message, sent.content]).toEqual([own, own ? content : "Paris."])
  })

  it("is another's where a shape says so and nothing else does", () => {
    expect(sentReply(by({}), openai).content).toBe("Paris.")
  })
})

describe("the target's own reply in standard blocks", () => {
  const own = (content: readonly object[], more: object = {}) =>
    new AIMessage({
      content: content as never,
      response_metadata: { tierwise: { deployment: "here" }, output_version: "v1", ...more },
    })
  const toolCall = { type: "tool_call", id: "call_1", name: "weather", args: { city: "Paris" } }

  it("goes back to Anthropic with its thinking signed, as it was before it was streamed", () => {
    const message = own([
      { type: "reasoning", reasoning: "Hm.", signature: "", index: 0 },
      { type: "non_standard", value: { type: "thinking", signature: "EqQB", index: 0 } },
      { type: "non_standard", value: { type: "redacted_thinking", data: "EmwK", index: 1 } },
      { type: "text", text: "Look.", index: 2, annotations: [{ type: "citation", source: "url" }] },
      { type: "text", text: "" },
      { type: "reasoning", reasoning: "Never signed." },
      toolCall,
    ])
    const sent = sentReply(message, anthropic, result("call_1"))
    expect(sent.content).toEqual([
      { type: "thinking", thinking: "Hm.", signature: "EqQB" },
      { type: "redacted_thinking", data: "EmwK" },
      { type: "text", text: "Look." },
    ])
    expect(sent.tool_calls).toEqual([call("call_1")])
    expect(sent.response_metadata).toEqual({ tierwise: { deployment: "here" } })
    expect(message.response_metadata["output_version"]).toBe("v1")
  })

  it("goes back to the Responses API as the items that it gave out", () => {
    const output = [{ type: "message", id: "msg_1", role: "assistant", content: [] }]
    const sent = sentReply(own([{ type: "text", text: "Paris." }], { output }), openai)
    expect(sent.response_metadata).toEqual({ tierwise: { deployment: "here" }, output })
  })

  it("goes back to Ollama with its calls", () => {
    const sent = sentReply(own([{ type: "reasoning", reasoning: "Hm." }, toolCall]), ollama, result("call_1"))
    expect(sent).toMatchObject({ content: "", tool_calls: [call("call_1")] })
  })

  it("stays as it is for packages that read standard blocks, or may", () => {
    const messages = [ask, own([{ type: "text", text: "Paris." }, toolCall]), result("call_1")]
    for (const to of [openai, unheardOf]) expect(historyFor(messages, to)).toBe(messages)
  })
})

describe("another's reply", () => {
  it("keeps its words, calls, id, name and usage, and nothing that is its provider's", () => {
    const usage_metadata = { input_tokens: 1, output_tokens: 2, total_tokens: 3 }
    const message = reply({
      id: "run-1",
      name: "guide",
      content: [
        { type: "reasoning", reasoning: "Hm." },
        { type: "text", text: "Let me look.", index: 0, annotations: [{ type: "citation" }] },
        { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {} },
      ],
      tool_calls: [call("call_1")],
      usage_metadata,
      additional_kwargs: { reasoning: { id: "rs_1" }, __openai_function_call_ids__: { call_1: "fc_1" } },
      response_metadata: {
        model_provider: "openai",
        output: [{ type: "reasoning", id: "rs_1" }],
        id: "resp_1",
      },
    })
    const sent = sentReply(message, ollama, result("call_1"))
    expect(sent).toMatchObject({ id: "run-1", name: "guide", content: "Let me look.", usage_metadata })
    expect(sent.tool_calls).toEqual([call("call_1")])
    expect(sent.additional_kwargs).toEqual({})
    expect(sent.response_metadata).toEqual({})
  })

  it("joins the pieces of a text, and parts what was apart", () => {
    const [a, b, c] = ["One ", "text.", "Another."].map((text) => ({ type: "text", text }))
    const search = { type: "web_search_tool_result", tool_use_id: "srvtoolu_1", content: [] }
    expect(sentReply(reply({ content: [THINKING, a, b, search, c] }), openai).content).toBe(
      "One text.\n\nAnother.",
    )
  })

  it.each([
    [
      "what is encrypted for its model",
      { response_metadata: { output: [{ type: "reasoning", id: "rs_1" }] } },
    ],
    ["its model's thoughts", { additional_kwargs: { reasoning_content: "Hm." } }],
    ["calls in the provider's form", { additional_kwargs: { tool_calls: [] } }],
  ])("loses %s beside its words", (_, baggage) => {
    const sent = sentReply(reply({ content: "Paris.", ...baggage }), openai)
    expect([sent.content, sent.additional_kwargs, sent.response_metadata]).toEqual(["Paris.", {}, {}])
  })

  it("keeps the old form of a call where it can be sent", () => {
    const function_call = { name: "weather", arguments: "{}" }
    const message = reply({ additional_kwargs: { function_call } })
    expect(sentReply(message, openai).additional_kwargs).toEqual({ function_call })
    expect(historyFor([ask, message], anthropic)).toEqual([ask])
  })

  it("becomes an ordinary message if it came in standard blocks", () => {
    const content = [
      { type: "reasoning", reasoning: "Hm." },
      { type: "text", text: "Look." },
      { type: "tool_call", id: "call_1", name: "weather", args: { city: "Paris" } },
    ]
    const message = reply({ content, response_metadata: { output_version: "v1", model_provider: "openai" } })
    const sent = sentReply(message, anthropic, result("call_1"))
    expect([sent.content, sent.response_metadata]).toEqual(["Look.", {}])
    expect(sent.tool_calls).toEqual([call("call_1")])
  })

  it("loses an id that OpenAI would take for one of its own", () => {
    const message = reply({ content: "Paris.", id: "msg_013Zva2CMHLNnXjNJJKqJ2EF" })
    expect(sentReply(message, openai).id).toBeUndefined()
    expect(sentReply(message, ollama)).toBe(message)
  })

  it.each([
    ["a refusal", { additional_kwargs: { refusal: "I will not." } }, "I will not."],
    ["what was spoken", { additional_kwargs: { audio: { id: "audio_1", transcript: "Paris!" } } }, "Paris!"],
    ["a refusal in a block", { content: [{ type: "refusal", refusal: "No." }] }, "No."],
  ])("says %s in words", (_, fields, words) => {
    const sent = sentReply(reply(fields), anthropic)
    expect([sent.content, sent.additional_kwargs]).toEqual([words, {}])
  })

  it("leaves no empty turn", () => {
    const thoughtOnly = reply({ content: [THINKING] })
    expect(historyFor([ask, thoughtOnly, ask], openai)).toEqual([ask, ask])
    expect(historyFor([ask, reply({ content: " \n" }), ask], anthropic)).toEqual([ask, ask])
    const blank = reply({ content: "\n\n", tool_calls: [call("call_1")] })
    expect(sentReply(blank, anthropic, result("call_1")).content).toBe("")
  })

  it("names the media that no known package sends in a model's turn, and leaves them to packages that may", () => {
    const image = { type: "image", data: "AAAA", mimeType: "image/png" }
    const drawn = reply({ content: [THINKING, { type: "text", text: "Here:" }, image] })
    for (const to of [openai, anthropic, ollama]) expect(sentReply(drawn, to).content).toBe("Here:[image]")
    expect(sentReply(drawn, unheardOf).content).toEqual([{ type: "text", text: "Here:" }, image])
  })

  it.each([
    [
      "OpenAI's",
      {
        additional_kwargs: {
          tool_calls: [
            { id: "call_1", type: "function", function: { name: "weather", arguments: '{"city":"Paris"}' } },
          ],
        },
        tool_calls: [],
      },
    ],
    [
      "Anthropic's",
      { content: [{ type: "tool_use", id: "call_1", name: "weather", input: { city: "Paris" } }] },
    ],
  ])("keeps calls that stand in %s form alone", (_, fields) => {
    const sent = sentReply(reply(fields), ollama, result("call_1"))
    expect(sent.tool_calls).toEqual([call("call_1")])
    expect(sent.additional_kwargs).toEqual({})
  })

  it("keeps a malformed call if it has been answered", () => {
    const malformed = { type: "invalid_tool_call" as const, id: "call_2", name: "weather", args: '{"city":' }
    const message = reply({ content: "Look.", tool_calls: [call("call_1")], invalid_tool_calls: [malformed] })
    const kept = sentReply(message, openai, result("call_1"), result("call_2", "not JSON"))
    expect(kept.tool_calls).toEqual([
      call("call_1"),
      { type: "tool_call", id: "call_2", name: "weather", args: { malformed: '{"city":' } },
    ])
    expect(kept.invalid_tool_calls).toEqual([])
    expect(sentReply(message, openai, result("call_1"), ask, reply({ content: "" }), result("call_2"))).toBe(
      message,
    )
  })

  it("has no name of a tool that OpenAI and Anthropic refuse", () => {
    const message = reply({ tool_calls: [{ ...call("call_1"), name: "functions.weather" }] })
    const nameFor = (to: HistoryTarget) => sentReply(message, to, result("call_1")).tool_calls?.[0]?.name
    expect([openai, anthropic, ollama].map(nameFor)).toEqual([
      "functions_weather",
      "functions_weather",
      "functions.weather",
    ])
  })
})

describe("ids of calls", () => {
  it("are replaced in call and result alike, and what looks alike then stays apart", () => {
    const calls = [call("weather:0"), call("weather.0", "Rome"), call("weather_0", "Oslo")]
    const messages = [
      ask,
      reply({ tool_calls: calls }),
      result("weather_0"),
      result("weather.0"),
      result("weather:0"),
    ]
    const sent = historyFor(messages, anthropic)
    expect(callIdsIn(sent)).toEqual(["weather_0", "weather_0_2", "weather_0_3"])
    expect(resultIdsIn(sent)).toEqual(["weather_0_3", "weather_0_2", "weather_0"])
    expect(
      sent.slice(2).every((message) => ToolMessage.isInstance(message) && message.content === "sunny"),
    ).toBe(true)
  })

  it("are at most 40 characters long", () => {
    const [a, b] = ["1", "2"].map((end) => `chatcmpl-tool-${"0".repeat(31)}${end}`) as [string, string]
    const sent = historyFor([ask, reply({ tool_calls: [call(a), call(b)] }), result(a), result(b)], openai)
    expect(callIdsIn(sent).every((id) => id !== undefined && id.length <= 40)).toBe(true)
    expect(new Set(callIdsIn(sent)).size).toBe(2)
    expect(resultIdsIn(sent)).toEqual(callIdsIn(sent))
  })

  it("are given to calls without one, which are answered in their order", () => {
    const calls = [call(""), call("", "Rome")]
    const sent = historyFor(
      [ask, reply({ tool_calls: calls }), result("", "one"), result("", "two")],
      anthropic,
    )
    expect(callIdsIn(sent)).toEqual(["call", "call_2"])
    expect(resultIdsIn(sent)).toEqual(["call", "call_2"])
  })

  it("are not used twice in a conversation", () => {
    const turn = () => [reply({ tool_calls: [call("functions.weather:0")] }), result("functions.weather:0")]
    const sent = historyFor([ask, ...turn(), ask, ...turn()], anthropic)
    expect(callIdsIn(sent)).toEqual(["functions_weather_0", "functions_weather_0_2"])
    expect(resultIdsIn(sent)).toEqual(callIdsIn(sent))
  })

  it("leave alone those of the target's own replies", () => {
    const own = new AIMessage({
      content: "",
      tool_calls: [call("call_1")],
      response_metadata: { tierwise: { deployment: "here" } },
    })
    const ownResult = result("call_1")
    const sent = historyFor(
      [ask, reply({ tool_calls: [call("call_1")] }), result("call_1"), ask, own, ownResult],
      openai,
    )
    expect(resultIdsIn(sent)).toEqual(["call_1_2", "call_1"])
    expect(sent.slice(4)).toEqual([own, ownResult])
    expect(sent[4]).toBe(own)
    expect(sent[5]).toBe(ownResult)
  })

  it("stay as they are when the conversation grows", () => {
    const turns = ["a:1", "a.1", "a_1", "a:1", ""].map((id) => [
      ask,
      reply({ tool_calls: [call(id)] }),
      result(id),
    ])
    const whole = historyFor(turns.flat(), anthropic)
    expect(new Set(callIdsIn(whole)).size).toBe(turns.length)
    turns.forEach((_, end) => {
      const begun = historyFor(turns.slice(0, end + 1).flat(), anthropic)
      expect(callIdsIn(begun)).toEqual(callIdsIn(whole).slice(0, end + 1))
    })
  })

  it("are replaced in a reply that somebody has written by hand", () => {
    const messages = [
      ask,
      new AIMessage({ content: "", tool_calls: [call("weather:0")] }),
      result("weather:0"),
    ]
    expect(resultIdsIn(historyFor(messages, anthropic))).toEqual(["weather_0"])
  })
})

describe("what people and tools have written", () => {
  const human = (block: object) => new HumanMessage({ content: [block] as never, id: "h1" })
  const sentBlocks = (message: BaseMessage, to: HistoryTarget) => historyFor([message], to)[0]?.content
  const image_url = { url: "data:image/png;base64,AAAA" }

  it.each([
    ["Anthropic's", { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } }],
    ["a standard", { type: "image", data: "AAAA", mimeType: "image/png" }],
    ["an earlier standard", { type: "image", source_type: "base64", data: "AAAA", mime_type: "image/png" }],
  ])("%s image becomes one that OpenAI's and Ollama's packages read", (_, block) => {
    for (const to of [openai, ollama])
      expect(sentBlocks(human(block), to)).toEqual([{ type: "image_url", image_url }])
    const given = [human(block)]
    for (const to of [anthropic, unheardOf]) expect(historyFor(given, to)).toBe(given)
  })

  it("keeps an image's address and its wanted detail", () => {
    const block = { type: "image", url: "https://example.org/a.png", metadata: { detail: "low" } }
    const image = { url: block.url, detail: "low" }
    expect(sentBlocks(human(block), openai)).toEqual([{ type: "image_url", image_url: image }])
  })

  it("leaves standard blocks to OpenAI's package where it converts them itself", () => {
    const messages = [
      new HumanMessage({ contentBlocks: [{ type: "image", url: "https://example.org/a.png" }] }),
    ]
    expect(historyFor(messages, openai)).toBe(messages)
  })

  it("hands on Anthropic's documents as files or words", () => {
    const source = { type: "base64", media_type: "application/pdf", data: "AAAA" }
    expect(sentBlocks(human({ type: "document", source, title: "a.pdf" }), openai)).toEqual([
      {
        type: "file",
        source_type: "base64",
        mime_type: "application/pdf",
        data: "AAAA",
        metadata: { filename: "a.pdf" },
      },
    ])
    const words = { type: "document", source: { type: "text", media_type: "text/plain", data: "Words." } }
    expect(sentBlocks(human(words), openai)).toEqual([{ type: "text", text: "Words." }])
  })

  it("takes Anthropic's cache marks off for OpenAI, but not for Claude behind its interface", () => {
    const marked = { type: "text", text: "Long.", cache_control: { type: "ephemeral" } }
    const messages = [new SystemMessage({ content: [marked] })]
    expect(sentBlocks(messages[0] as BaseMessage, openai)).toEqual([{ type: "text", text: "Long." }])
    const keepers = [anthropic, unheardOf, target("openai", "anthropic/claude-sonnet-4.5")]
    for (const to of keepers) expect(historyFor(messages, to)).toBe(messages)
  })

  it("says a tool's blocks in words where a package takes no blocks", () => {
    const text = { type: "text", text: "sunny" }
    const image = { type: "image", data: "AAAA", mimeType: "image/png" }
    const fields = { tool_call_id: "call_1", name: "weather", status: "success" as const, artifact: { a: 1 } }
    const words = new ToolMessage({ ...fields, content: [text] as never })
    const both = new ToolMessage({ ...fields, content: [text, image] as never })
    expect(historyFor([words], ollama)[0]).toMatchObject({ ...fields, content: "sunny" })
    expect(sentBlocks(both, ollama)).toBe("sunny\n[image]")
    expect(sentBlocks(both, openai)).toBe("sunny\n[image]")
    const responses = { _llmType: () => "openai", _useResponsesApi: () => true } as unknown as BaseChatModel
    expect(historyFor([both], { model: responses })[0]).toMatchObject({
      content: [text, { type: "image_url", image_url }],
    })
    const kept = [words]
    for (const to of [openai, anthropic, unheardOf]) expect(historyFor(kept, to)).toBe(kept)
  })

  it("takes the result of a tool that only OpenAI has for an ordinary one", () => {
    const additional_kwargs = { customTool: true }
    const custom = new ToolMessage({ content: "done", tool_call_id: "call_1", additional_kwargs })
    const sent = historyFor([ask, reply({ tool_calls: [call("call_1")] }), custom], openai)
    expect(sent[2]?.additional_kwargs).toEqual({})
  })

  it("copies a message with all that LangChain keeps of it", () => {
    const [sent] = historyFor([human({ type: "image", data: "AAAA" })], openai)
    expect(HumanMessage.isInstance(sent)).toBe(true)
    expect(sent?.id).toBe("h1")
    expect(sent?.toJSON()).toMatchObject({ kwargs: { content: [{ type: "image_url" }], id: "h1" } })
  })
})

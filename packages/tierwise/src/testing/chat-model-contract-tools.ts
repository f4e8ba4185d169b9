import type { BaseChatModel, BindToolsInput } from "@langchain/core/language_models/chat_models"
import { AIMessage, type BaseMessage, HumanMessage, ToolMessage } from "@langchain/core/messages"
import type { ToolCall } from "@langchain/core/messages/tool"
import { RunnableLambda } from "@langchain/core/runnables"
import { tool } from "@langchain/core/tools"
import { toJsonSchema } from "@langchain/core/utils/json_schema"
import { z } from "zod"
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

const city = z.object({ city: z.string().describe("Name of the city") })
const WEATHER = { name: "get_weather", description: "Current weather of a city", schema: city }
const TIME = { name: "get_time", description: "Current local time of a city", schema: city }

export const weatherTool: BindToolsInput = tool(async () => "21 °C", WEATHER)
const timeTool: BindToolsInput = tool(async () => "12:00", TIME)

const openaiWeather: BindToolsInput = {
  type: "function",
  function: { name: WEATHER.name, description: WEATHER.description, parameters: toJsonSchema(city) },
}
const FORMS: readonly (readonly [form: string, tool: BindToolsInput])[] = [
  ["a LangChain tool", weatherTool],
  ["OpenAI's format", openaiWeather],
  ["a Runnable made a tool", RunnableLambda.from(async () => "21 °C").asTool(WEATHER)],
  ["a name, a description and a schema", WEATHER],
]

/** Tools: offered, called, answered. */
export function toolCases(under: ModelUnderTest): readonly ContractCase[] {
  const { supports, prompts } = under
  if (!supports.tools) return []
  const story = caseWith(under)

  const forms = FORMS.map(([form, offered]) =>
    story(`calls a tool that is given as ${form}`, async (model) => {
      mustCallWeather(await bind(model, [offered]).invoke(prompts.weather))
    }),
  )

  const always = [
    story("streams a tool call with its arguments", async (model) => {
      const { chunks, whole } = await readAll(await bind(model, [weatherTool]).stream(prompts.weather))
      mustCallWeather(whole)
      const inPieces = chunks.some(({ tool_call_chunks: pieces }) => (pieces ?? []).length > 0)
      must(inPieces, "no chunk has tool_call_chunks: whoever joins the stream loses the call")
      if (supports.usage) mustHaveUsage(whole, "the stream")
    }),

    story("answers from a tool's result", async (model) => {
      const bound = bind(model, [weatherTool])
      const asked = [new HumanMessage(prompts.weather)]
      const call = await bound.invoke(asked)
      const reply = await bound.invoke([...asked, call, resultOf(mustCallWeather(call))])
      mustSpeak(reply)
      must(callsOf(reply).length === 0, "it called the tool again, whose result it has")
    }),

    story("answers from a tool's result when both turns are streamed", async (model) => {
      const bound = bind(model, [weatherTool])
      const asked = [new HumanMessage(prompts.weather)]
      const { whole } = await readAll(await bound.stream(asked))
      const told = [...asked, whole, resultOf(mustCallWeather(whole))]
      must((await readAll(await bound.stream(told))).whole.text !== "", "it streamed no text")
    }),

    story("takes a history with a tool call, also one in another provider's form", async (model) => {
      const use = { type: "tool_use", id: CALL.id, name: CALL.name, input: CALL.args }
      for (const content of ["", [{ type: "text", text: "some text" }, use]]) {
        const call = new AIMessage({ content, tool_calls: [CALL] })
        const said = [new HumanMessage(prompts.weather), call, resultOf(CALL)]
        mustBeReply(
          await bind(model, [weatherTool]).invoke(said),
          `the answer after ${JSON.stringify(content)}`,
        )
      }
    }),

    story("takes a tool's result in content blocks", async (model) => {
      const result = new ToolMessage({ content: [{ type: "text", text: "21 °C" }], tool_call_id: CALL.id })
      mustBeReply(await bind(model, [weatherTool]).invoke([...ASKED_AND_CALLED, result]))
    }),

    story("takes finished tool calls as examples before the question", async (model) => {
      const example = [...ASKED_AND_CALLED, resultOf(CALL), new AIMessage("It is 21 °C in Oslo.")]
      const reply = await bind(model, [weatherTool]).invoke([...example, new HumanMessage(prompts.weather)])
      mustCallWeather(reply)
    }),

    story("answers as before where the list of tools is empty", async (model) => {
      mustSpeak(await bind(model, []).invoke(prompts.talk))
    }),

    story("offers tools to the model they are bound to, and to no other", async (model) => {
      const bound = bind(model, [weatherTool])
      const [plain, called] = await Promise.all([
        model.invoke(prompts.weather),
        bound.invoke(prompts.weather),
      ])
      must(callsOf(plain).length === 0, "the model called a tool that was bound to a copy of it")
      mustCallWeather(called)
    }),

    story("stays a model when tools are bound: it can be configured and streamed", async (model) => {
      const bound = bind(model, [weatherTool]).withConfig({ tags: ["bound"], metadata: { step: 1 } })
      mustCallWeather(await bound.invoke(prompts.weather))
      mustCallWeather((await readAll(await bound.stream(prompts.weather))).whole)
    }),

    story("shows its tool calls in the stream of events", async (model) => {
      const bound = bind(model, [weatherTool])
      const ends: unknown[] = []
      for await (const { event, data } of bound.streamEvents(prompts.weather, { version: "v2" })) {
        if (event === "on_chat_model_end") ends.push(data.output)
      }
      mustCallWeather(ends.at(-1))
    }),
  ]

  const choice = [
    story("calls the tool it is told to call", async (model) => {
      const reply = await bind(model, [weatherTool, timeTool], "get_time").invoke(prompts.weather)
      const [name] = callsOf(reply).map((call) => call.name)
      must(name === "get_time", `told to call get_time, it called ${name}`)
    }),

    story("calls some tool when it is told to call any", async (model) => {
      const reply = await bind(model, [weatherTool, timeTool], "any").invoke(prompts.weather)
      must(callsOf(reply).length > 0, "told to call any tool, it called none")
    }),

    story("calls no tool when it is told not to", async (model) => {
      const reply = await bind(model, [weatherTool], "none").invoke(prompts.weather)
      must(callsOf(reply).length === 0, "told to call no tool, it called one")
    }),
  ]

  const parallel = story("calls several tools at once, answered and streamed", async (model) => {
    const bound = bind(model, [weatherTool, timeTool])
    const { whole } = await readAll(await bound.stream(prompts.weatherAndTime))
    for (const reply of [await bound.invoke(prompts.weatherAndTime), whole]) {
      const calls = callsOf(reply)
      const names = calls.map(({ name }) => name).sort()
      must(names.join() === "get_time,get_weather", `it called ${names.join(", ") || "nothing"}`)
      must(new Set(calls.map(({ id }) => id)).size === 2, "both calls have one id")
    }
    const results = callsOf(whole).map((call) => resultOf(call as Called))
    mustSpeak(await bound.invoke([new HumanMessage(prompts.weatherAndTime), whole, ...results]))
  })

  return [
    ...forms,
    ...always,
    ...(supports.toolChoice ? choice : []),
    ...(supports.parallelTools ? [parallel] : []),
  ]
}

/** @throws ContractBroken if the model has no `bindTools`. */
export function bind(model: BaseChatModel, tools: BindToolsInput[], tool_choice?: string): Asked {
  must(
    typeof model.bindTools === "function",
    "it has no bindTools; say supports: { tools: false } if it never will",
  )
  return model.bindTools(tools, tool_choice === undefined ? {} : { tool_choice })
}

type Called = ToolCall & { readonly id: string }

const CALL: Called = { id: "call_1", name: WEATHER.name, args: { city: "Oslo" }, type: "tool_call" }
const ASKED_AND_CALLED: readonly BaseMessage[] = [
  new HumanMessage("What is the weather in Oslo?"),
  new AIMessage({ content: "", tool_calls: [CALL] }),
]

export function mustCallWeather(reply: unknown): Called {
  mustBeReply(reply)
  const [call, ...others] = callsOf(reply)
  must(call !== undefined, `it called no tool and said "${reply.text}"`)
  must(others.length === 0, `it called ${others.length + 1} tools where one was needed`)
  must(call.name === WEATHER.name, `it called ${call.name}`)
  must(call.args["city"] === "Rome", `it called the tool with ${JSON.stringify(call.args)}`)
  must(typeof call.id === "string" && call.id !== "", "the tool call has no id, so its result cannot name it")
  must(call.type === "tool_call", `the tool call has the type ${call.type}`)
  return { ...call, id: call.id }
}

export function callsOf({
  tool_calls,
}: {
  readonly tool_calls?: readonly ToolCall[] | undefined
}): readonly ToolCall[] {
  return tool_calls ?? []
}

function resultOf({ id, name }: Called): ToolMessage {
  return new ToolMessage({ content: name === "get_time" ? "12:00" : "21 °C", tool_call_id: id, name })
}

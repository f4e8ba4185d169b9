import type { Mind } from "../mind.ts"
import type { Prompt, ToolCall } from "../prompt.ts"
import type { JsonValue, ToolDefinition } from "../protocol.ts"
import type { Random } from "../random.ts"
import { fillForm, shareFillable } from "../reading/form.ts"
import { keywordsOf, sentencesOf } from "../reading/sentences.ts"
import {
  ALL_LEVELS,
  draw,
  type Family,
  type Level,
  type RangeByLevel,
  type Reply,
  type TaskDraft,
  userSays,
  voiced,
} from "./family.ts"
import { amongFiller } from "./padding.ts"
import { TOOLBOX } from "./toolbox.ts"

/** The right tool among many, with the right arguments; several at once where several things are asked. */
export const tools: Family = {
  family: "tools",
  levels: ALL_LEVELS,
  generate,
  attempt: (prompt, mind) =>
    prompt.results.length > 0 ? afterResults(prompt, mind) : firstCalls(prompt, mind),
}

const OFFERED: RangeByLevel = { 1: [1, 2], 2: [3, 4], 3: [5, 8], 4: [11, 15], 5: [19, 24] }
const CALLS: RangeByLevel = { 1: [1, 1], 2: [1, 1], 3: [1, 2], 4: [2, 3], 5: [4, 5] }

function generate(random: Random, level: Level): TaskDraft {
  const needed = random.sample(TOOLBOX, draw(random, CALLS, level))
  const others = TOOLBOX.filter((tool) => !needed.includes(tool))
  const offered = random.sample(
    [...needed, ...random.sample(others, draw(random, OFFERED, level) - needed.length)],
    99,
  )
  const wanted = needed.map((tool) => {
    const given = tool.draw(random)
    return {
      ask: random.pick(tool.asks)(given),
      call: { name: tool.definition.function.name, arguments: given },
    }
  })
  const text = amongFiller(
    random,
    wanted.map(({ ask }) => ask),
    random.pick(["none", "none", "none", "some", "page"]),
  )
  return {
    messages: userSays(text),
    tools: offered.map((tool) => tool.definition),
    reference: { kind: "tool-calls", calls: wanted.map(({ call }) => call) },
    hidden: { tools: offered.length, calls: wanted.length },
  }
}

function firstCalls(prompt: Prompt, mind: Mind): Reply | undefined {
  if (prompt.tools.length === 0 || prompt.toolChoice === "none") return undefined
  const calls = planned(prompt, mind)
  if (calls.length === 0) return undefined
  return { kind: "calls", calls: prompt.parallelCalls ? calls : calls.slice(0, 1) }
}

/** One call at a time was asked for: the next one follows. Otherwise what came back is the answer. */
function afterResults(prompt: Prompt, mind: Mind): Reply {
  if (!prompt.parallelCalls && prompt.toolChoice === "auto") {
    const made = new Set(prompt.made.map((call) => JSON.stringify(call)))
    const next = planned(prompt, mind).find((call) => !made.has(JSON.stringify(call)))
    if (next !== undefined) return { kind: "calls", calls: [next] }
  }
  const kept = prompt.results.filter((_, index) => mind.carries("calls", index + 1, "result"))
  const told = kept.map(({ name, content }) => `${name.replaceAll("_", " ")}: ${plainly(content)}`)
  const text = `Here is what I found. ${told.join(" ")}`.slice(0, MOST_CHARACTERS).trim()
  return {
    kind: "text",
    text: voiced(text, kept.length < prompt.results.length, mind),
    value: plainly(kept[0]?.content ?? ""),
  }
}

const MOST_CHARACTERS = 4_000

function planned(prompt: Prompt, mind: Mind): readonly ToolCall[] {
  const { toolChoice } = prompt
  if (typeof toolChoice === "object") {
    const tool = prompt.tools.find(({ function: offered }) => offered.name === toolChoice.name)
    return tool === undefined ? [] : [callOf(tool, prompt.text, mind)]
  }
  const wanted = requestsIn(prompt.ask).flatMap((part) => {
    const fitting = ranked(part, prompt.tools)
    return fitting.length === 0 ? [] : [{ part, fitting }]
  })
  const [first] = prompt.tools
  if (wanted.length === 0 && toolChoice === "required" && first !== undefined)
    return [callOf(first, prompt.ask, mind)]
  return wanted.flatMap(({ part, fitting: [best, rival = otherThan(best, prompt.tools)] }, index) => {
    if (best === undefined || !mind.carries("calls", index + 1)) return []
    // Too many to tell apart: the one that looks nearly as good is taken.
    const told = prompt.tools.length === 1 || mind.carries("tools", prompt.tools.length, String(index))
    const tool = told ? best : rival
    return tool === undefined ? [] : [callOf(tool, part, mind)]
  })
}

function callOf({ function: tool }: ToolDefinition, text: string, mind: Mind): ToolCall {
  return { name: tool.name, arguments: fillForm(tool.parameters ?? {}, { text, mind }).value }
}

function otherThan(
  best: ToolDefinition | undefined,
  offered: readonly ToolDefinition[],
): ToolDefinition | undefined {
  return offered.find((tool) => tool !== best)
}

const ASKS =
  /\?$|^(?:\d+[.)] |please |can you |could you |i need |i want |i'd like |also |and |then |first |next )|^(?:add|ask|book|buy|calculate|call|cancel|check|compute|convert|create|delete|divide|email|fetch|find|get|give|list|look|make|multiply|order|plan|read|refund|remind|run|save|schedule|search|send|set|show|start|stop|subtract|tell|track|translate|turn|update|use|what|when|where|which|who|write)\b/i

/** The sentences that want something. "In Oslo, Rome and Lima" wants it three times. */
function requestsIn(ask: string): string[] {
  const sentences = sentencesOf(ask).flatMap((sentence) => sentence.split(/;\s+|,? and (?:also|then) /))
  const asking = sentences.filter((sentence) => ASKS.test(sentence))
  return (asking.length > 0 ? asking : sentences.slice(0, 1)).flatMap(forEachPlace)
}

const PLACES =
  /\b(?:in|for|of) ((?:\p{Lu}[\p{L}-]+, )*\p{Lu}[\p{L}-]+,? (?:and|or) (?:in |for )?\p{Lu}[\p{L}-]+)/u

function forEachPlace(sentence: string): string[] {
  const places = PLACES.exec(sentence)?.[1]
  if (places === undefined) return [sentence]
  return places.split(/,? (?:and|or) (?:in |for )?|, /).map((place) => sentence.replace(places, place))
}

/** Tools that share a telling word with the request, the best first; one whose arguments are there is better. */
function ranked(part: string, offered: readonly ToolDefinition[]): readonly ToolDefinition[] {
  const asked = new Set(keywordsOf(part))
  const known = offered.map((tool) => ({
    tool,
    name: new Set(keywordsOf(tool.function.name.replaceAll("_", " "))),
    about: new Set(keywordsOf(tool.function.description ?? "")),
  }))
  const rarity = (word: string): number =>
    1 / known.filter(({ name, about }) => name.has(word) || about.has(word)).length
  return known
    .map(({ tool, name, about }) => {
      const named = [...asked].filter((word) => name.has(word))
      const described = [...asked].filter((word) => about.has(word) && !name.has(word))
      const covered = named.length / Math.max(1, name.size)
      const score = sum(named.map(rarity)) * 2 + sum(described.map(rarity)) + covered
      return { tool, score, fits: named.length > 0 || described.length > 1 }
    })
    .filter(({ fits }) => fits)
    .map(({ tool, score }) => ({ tool, score: score + shareFillable(tool.function.parameters ?? {}, part) }))
    .sort((a, b) => b.score - a.score)
    .map(({ tool }) => tool)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** A JSON result in words; anything else as it is. */
function plainly(content: string): string {
  try {
    return spelled(JSON.parse(content) as JsonValue)
  } catch {
    return content
  }
}

function spelled(value: JsonValue): string {
  if (Array.isArray(value)) return value.map(spelled).join("; ")
  if (typeof value !== "object" || value === null) return String(value)
  return Object.entries(value)
    .map(([key, inner]) => `${key.replaceAll("_", " ")} ${spelled(inner ?? null)}`)
    .join(", ")
}

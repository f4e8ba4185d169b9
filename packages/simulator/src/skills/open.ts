import type { Mind } from "../mind.ts"
import type { Prompt } from "../prompt.ts"
import { keywordsOf, sentencesOf, wordCount } from "../reading/sentences.ts"
import type { Reply } from "./family.ts"
import { proseOn } from "./prose.ts"

/**
 * What a model says to a prompt of no known kind: something about its subject, shorter and with hedges when the prompt
 * looks like more than the model's insight. It is no answer, but it looks like one of that strength.
 */
export function openReply({ ask }: Prompt, mind: Mind): Reply {
  const demand = demandOf(ask)
  const subject = subjectOf(ask)
  const overwhelmed = !mind.carries("insight", demand)
  if (overwhelmed) return { kind: "text", text: `${mind.luck("hedge").pick(HEDGES)} ${shortTake(subject)}` }
  const words = Math.round(demand * 15 * Math.min(1, mind.skill.insight / 10) + 15)
  const opening = `You are asking about ${subject}.`
  return { kind: "text", text: `${opening} ${proseOn(subject, words, mind)}` }
}

const HEDGES = [
  "I'm not sure about this.",
  "I don't know enough to answer that well.",
  "It's hard to say, maybe someone else can help.",
  "I cannot say for certain.",
]

function shortTake(subject: string): string {
  return `It may have to do with ${subject}.`
}

const DEMANDING =
  /\b(?:analy[sz]e|architecture|compare|contrast|critique|derive|design|distributed|evaluate|explain why|implement|justify|optimi[sz]e|prove|refactor|regulation|risk|security|strategy|threat|trade-?offs?|zero-trust)\b/gi

/** How demanding a prompt looks, 1 … 10: demanding verbs and matters, long words, several questions at once. */
function demandOf(ask: string): number {
  const demanding = new Set(ask.match(DEMANDING)?.map((word) => word.toLowerCase())).size
  const words = ask.match(/\p{L}+/gu) ?? []
  const long = words.filter((word) => word.length >= 9).length / Math.max(1, words.length)
  const questions = ask.match(/\?/g)?.length ?? 0
  const size = Math.log2(1 + wordCount(ask) / 12)
  return Math.max(
    1,
    Math.min(10, Math.round(1 + 1.5 * demanding + 6 * long + Math.max(0, questions - 1) + size)),
  )
}

const REQUEST_VERBS =
  /^(?:analy[sz]e|can|compare|could|describe|design|discuss|explain|give|help|how|list|outline|please|plan|propose|review|summari[sz]e|tell|what|write)$/i

/** What the request seems to be about: its two longest telling words, in their order. */
function subjectOf(ask: string): string {
  const [request = ""] = sentencesOf(ask)
  const words = (request.slice(0, 2_000).match(/\p{L}[\p{L}-]{2,40}/gu) ?? []).filter(
    (word) => keywordsOf(word).length > 0 && !REQUEST_VERBS.test(word),
  )
  const longest = words.toSorted((a, b) => b.length - a.length).slice(0, 2)
  return [...new Set(words.filter((word) => longest.includes(word)))].join(" and ") || "this"
}

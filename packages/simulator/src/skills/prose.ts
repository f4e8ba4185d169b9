import type { Mind } from "../mind.ts"
import type { Prompt } from "../prompt.ts"
import type { Random } from "../random.ts"
import { wordCount } from "../reading/sentences.ts"
import {
  ALL_LEVELS,
  draw,
  type Family,
  type Level,
  type RangeByLevel,
  type Reply,
  type TaskDraft,
  userSays,
} from "./family.ts"
import { drawPadding, fillerOf } from "./padding.ts"
import { capitalised } from "./vocabulary.ts"

/** Open writing of a given length. Only the length is graded: this simulator has no taste. */
export const prose: Family = {
  family: "prose",
  levels: ALL_LEVELS,
  generate,
  attempt,
}

const WORDS: RangeByLevel = { 1: [20, 50], 2: [60, 100], 3: [180, 260], 4: [300, 420], 5: [500, 700] }

const SUBJECTS = [
  "glaciers",
  "night trains",
  "public libraries",
  "bread",
  "tides",
  "city gardens",
  "old bridges",
]

function generate(random: Random, level: Level): TaskDraft {
  const words = draw(random, WORDS, level)
  const subject = random.pick(SUBJECTS)
  const request = random.pick([
    `Write at least ${words} words about ${subject}.`,
    `Please write an essay of at least ${words} words about ${subject}.`,
    `Tell me something about ${subject}, in at least ${words} words.`,
  ])
  const notes = fillerOf(random, random.pick([drawPadding(random), "none", "none"]))
  return {
    messages: userSays(notes === "" ? request : `${request}\n\nMy notes, for the mood:\n${notes}`),
    reference: { kind: "length", words },
    hidden: { words },
  }
}

const REQUEST =
  /\b(?:write|tell|essay|paragraph|story|poem|describe)\b[^.?!\n]{0,80}?\b(?:about|on) ([\p{L}\d' -]{2,60})/iu
const LENGTH = /(\d{1,5}) words/i

function attempt(prompt: Prompt, mind: Mind): Reply | undefined {
  const subject = REQUEST.exec(prompt.ask)?.[1]
    ?.replace(/\b(?:in|of|with|using) (?:at least|about|around|under|exactly)\b.*$/i, "")
    .trim()
  if (subject === undefined) return undefined
  const wanted = Number(LENGTH.exec(prompt.ask)?.[1] ?? 80)
  return { kind: "text", text: proseOn(subject, wanted, mind) }
}

/** Sentences on a subject until the length is reached or the thread is lost; tried every ten words. */
export function proseOn(subject: string, words: number, mind: Mind): string {
  const random = mind.luck("prose")
  const sentences: string[] = []
  let round = random.sample(SENTENCES, SENTENCES.length)
  let written = 0
  while (written < words) {
    const wording = round.pop() ?? SENTENCES[0]
    if (round.length === 0) round = random.sample(SENTENCES, SENTENCES.length)
    const sentence = capitalised(wording?.(subject, random) ?? subject)
    const length = wordCount(sentence)
    const lost = Array.from({ length }, (_, index) => written + index + 1).some(
      (word) => word % 10 === 0 && !mind.carries("words", word),
    )
    if (lost) break
    sentences.push(`${sentence}.`)
    written += length
  }
  return sentences.length === 0 ? `There is much to say about ${subject}.` : sentences.join(" ")
}

const SENTENCES: readonly ((subject: string, random: Random) => string)[] = [
  (s, r) => `there is more to ${s} than meets the eye, and much of it has to do with ${r.pick(THINGS)}`,
  (s, r) => `whoever spends a while with ${s} begins to notice how much depends on ${r.pick(THINGS)}`,
  (s, r) =>
    `one side of ${s} is ${r.pick(["practical", "historical", "human"])}, and it starts with ${r.pick(THINGS)}`,
  (s, r) => `much of what is said about ${s} comes back to ${r.pick(THINGS)} and ${r.pick(OTHER_THINGS)}`,
  (s, r) => `without ${r.pick(THINGS)} there would be little to say about ${s}`,
  (s, r) => `it is worth asking what ${s} and ${r.pick(THINGS)} have in common`,
  (s, r) => `people who disagree about ${s} often agree about ${r.pick(OTHER_THINGS)}`,
  () => "none of this makes the matter simple, but it becomes easier to think about",
]
const THINGS = ["patience", "good timing", "the people behind it", "geography", "small habits"]
const OTHER_THINGS = ["money", "care", "practice", "the long run", "what came before"]

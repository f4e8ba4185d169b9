import type { Mind } from "../mind.ts"
import type { Prompt } from "../prompt.ts"
import type { Random } from "../random.ts"
import { keywordsOf, sentencesOf } from "../reading/sentences.ts"
import { type Family, type Level, type Reply, type TaskDraft, userSays, voiced } from "./family.ts"
import { amongFiller, drawPadding } from "./padding.ts"
import { CITIES, clockTime } from "./vocabulary.ts"

/** Questions whose answer stands in one sentence of a given text, however long that text is. */
export const lookup: Family = {
  family: "lookup",
  levels: [1, 2],
  generate,
  attempt,
}

interface Fact {
  readonly tell: (place: string, value: string) => string
  readonly ask: (place: string) => string
  readonly value: (random: Random) => string
}

const FACTS: readonly Fact[] = [
  {
    tell: (place, value) => `The library in ${place} opens at ${value} on weekdays.`,
    ask: (place) => `At what time does the library in ${place} open on weekdays?`,
    value: clockTime,
  },
  {
    tell: (place, value) => `The ferry from ${place} leaves from pier ${value}.`,
    ask: (place) => `Which pier does the ferry from ${place} leave from?`,
    value: (random) => String(random.int(2, 40)),
  },
  {
    tell: (place, value) => `The guest network password of the ${place} office is ${value}.`,
    ask: (place) => `What is the guest network password of the ${place} office?`,
    value: (random) => `${random.pick(["maple", "birch", "cedar", "aspen"])}-${random.int(100, 999)}`,
  },
  {
    tell: (place, value) => `The warranty desk for customers in ${place} answers at extension ${value}.`,
    ask: (place) => `What is the extension of the warranty desk for customers in ${place}?`,
    value: (random) => String(random.int(2000, 9999)),
  },
]

function generate(random: Random, level: Level): TaskDraft {
  // A sentence that looks like the right one and is about another place.
  const lookalikes = level === 1 ? 0 : 1
  const fact = random.pick(FACTS)
  const [place = "", ...others] = random.sample(CITIES, lookalikes + 1)
  const value = fact.value(random)
  const told = [fact.tell(place, value), ...others.map((other) => fact.tell(other, fact.value(random)))]
  const padding = random.pick([drawPadding(random), "page" as const, "pages" as const])
  const text = amongFiller(random, random.sample(told, told.length), padding)
  return {
    messages: userSays(
      random.pick([`${text}\n\n${fact.ask(place)}`, `${fact.ask(place)}\n\nText:\n${text}`]),
    ),
    reference: { kind: "text", value },
    hidden: { hops: 1, lookalikes },
  }
}

function attempt(prompt: Prompt, mind: Mind): Reply | undefined {
  const question = sentencesOf(prompt.ask).findLast((sentence) => sentence.endsWith("?"))
  if (question === undefined) return undefined
  const found = ranked(
    question,
    sentencesOf(prompt.text).filter((sentence) => sentence !== question),
  )
  const best = found[0]
  if (best === undefined) return undefined
  const lookalikes = found.filter(({ score }) => score >= 0.6 * best.score).length - 1
  const chosen =
    found.slice(1, lookalikes + 1).find((_, index) => !mind.carries("nuances", index + 1)) ?? best
  return {
    kind: "text",
    text: voiced(chosen.sentence, mind.doubts("nuances", lookalikes), mind),
    value: chosen.sentence,
  }
}

interface Scored {
  readonly sentence: string
  readonly score: number
}

/** Sentences that share at least half of the question's rare words, the best first. */
function ranked(question: string, sentences: readonly string[]): readonly Scored[] {
  const asked = new Set(keywordsOf(question))
  const read = sentences.map((sentence) => ({ sentence, words: new Set(keywordsOf(sentence)) }))
  const weights = new Map(
    [...asked].map((word) => [word, 1 / (1 + read.filter(({ words }) => words.has(word)).length)] as const),
  )
  return read
    .map(({ sentence, words }) => {
      const shared = [...asked].filter((word) => words.has(word))
      const score = shared.reduce((sum, word) => sum + (weights.get(word) ?? 0), 0)
      return { sentence, score, enough: shared.length >= Math.max(2, asked.size / 2) }
    })
    .filter(({ enough }) => enough)
    .sort((a, b) => b.score - a.score)
}

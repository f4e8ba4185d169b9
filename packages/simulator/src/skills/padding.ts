import type { Random } from "../random.ts"
import { wordCount } from "../reading/sentences.ts"
import { CITIES, capitalised } from "./vocabulary.ts"

/** How long the text around a task is. Drawn without a look at the level: length must not give the difficulty away. */
export type Padding = "none" | "some" | "page" | "pages"

const WORDS: Readonly<Record<Padding, readonly [number, number]>> = {
  none: [0, 0],
  some: [30, 90],
  page: [220, 420],
  pages: [600, 900],
}

/** Sentences about nothing that a task asks for, with numbers and places of their own. */
const SENTENCES: readonly ((random: Random) => string)[] = [
  (r) => `the weather over ${r.pick(CITIES)} stayed ${r.pick(WEATHER)} for most of the ${r.pick(SEASONS)}`,
  (r) => `a ${r.pick(COLOURS)} bicycle leaned against the wall behind the ${r.pick(BUILDINGS)}`,
  (r) =>
    `the ${r.pick(BUILDINGS)} on the corner opened in ${r.int(1880, 2015)} and was painted ${r.pick(COLOURS)} once`,
  (r) => `people in ${r.pick(CITIES)} like to talk about the ${r.pick(TOPICS)} over coffee`,
  (r) => `nobody could remember why the ${r.pick(BUILDINGS)} was closed that ${r.pick(SEASONS)}`,
  (r) =>
    `the road towards ${r.pick(CITIES)} is about ${r.int(11, 240)} kilometres long and mostly ${r.pick(WEATHER)}`,
  (r) =>
    `the newspaper printed a long piece on the ${r.pick(TOPICS)} and a short one on the ${r.pick(TOPICS)}`,
  (r) => `behind the ${r.pick(BUILDINGS)} there is a small garden with ${r.pick(COLOURS)} benches`,
  (r) =>
    `a choir rehearsed in the ${r.pick(BUILDINGS)} until late, and the windows were ${r.pick(COLOURS)} with dusk`,
  (r) => `it was a ${r.pick(WEATHER)} morning, and the trams ran every ${r.int(4, 25)} minutes`,
  (r) => `the committee discussed the ${r.pick(TOPICS)} at length without coming to any conclusion`,
  (r) => `an old map of ${r.pick(CITIES)} hung in the hall of the ${r.pick(BUILDINGS)}`,
  (r) => `the radio played something slow, and the conversation drifted to the ${r.pick(TOPICS)}`,
  (r) => `in ${r.pick(SEASONS)} the market moves from the square to the ${r.pick(BUILDINGS)}`,
]
const WEATHER = ["grey", "mild", "windy", "bright", "damp", "quiet"]
const SEASONS = ["spring", "summer", "autumn", "winter"]
const COLOURS = ["green", "yellow", "dark blue", "white", "red"]
const BUILDINGS = ["town hall", "bakery", "old theatre", "post office", "boat house", "museum", "school"]
const TOPICS = ["harbour", "new bridge", "football season", "local elections", "tram line", "film festival"]

export function drawPadding(random: Random): Padding {
  return random.pick(["none", "none", "some", "some", "page", "pages"])
}

/** Filler of about that length: whole sentences, in paragraphs. Empty for `"none"`. */
export function fillerOf(random: Random, padding: Padding): string {
  const [least, most] = WORDS[padding]
  const words = random.int(least, most)
  const sentences: string[] = []
  for (let count = 0; count < words; ) {
    const sentence = `${capitalised(random.pick(SENTENCES)(random))}.`
    sentences.push(sentence)
    count += wordCount(sentence)
  }
  return paragraphs(sentences)
}

/** Lays the sentences of a task, in their order, among filler. */
export function amongFiller(random: Random, sentences: readonly string[], padding: Padding): string {
  const filler = fillerOf(random, padding).split(/(?<=\.)\s+/)
  const spots = sentences.map(() => random.int(0, filler.length)).sort((a, b) => a - b)
  const mixed: string[] = []
  filler.forEach((sentence, index) => {
    sentences.forEach((own, at) => {
      if (spots[at] === index) mixed.push(own)
    })
    mixed.push(sentence)
  })
  sentences.forEach((own, at) => {
    if (spots[at] === filler.length) mixed.push(own)
  })
  return paragraphs(mixed.filter((sentence) => sentence !== ""))
}

function paragraphs(sentences: readonly string[]): string {
  const groups = Array.from({ length: Math.ceil(sentences.length / 6) }, (_, index) =>
    sentences.slice(index * 6, index * 6 + 6).join(" "),
  )
  return groups.join("\n\n")
}

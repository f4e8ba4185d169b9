import type { Mind } from "../mind.ts"
import type { Prompt } from "../prompt.ts"
import type { Random } from "../random.ts"
import { type Phrase, phraseOf, SLOT_PATTERNS } from "../reading/phrase.ts"
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
import { amongFiller, drawPadding } from "./padding.ts"
import { people } from "./vocabulary.ts"

/** Questions whose answer is found by following one fact to the next through a given text. */
export const multiHop: Family = {
  family: "multi-hop",
  levels: ALL_LEVELS,
  generate,
  attempt,
}

const HOPS: RangeByLevel = { 1: [1, 1], 2: [2, 2], 3: [3, 3], 4: [4, 5], 5: [6, 7] }

/** What is called `relation` is also said in these ways, `b` being that of `a`. */
const RELATIONS: Readonly<Record<string, readonly Phrase[]>> = {
  manager: phrases("{a:name} reports to {b:name}", "{b:name} manages {a:name}"),
  mentor: phrases("{b:name} mentors {a:name}", "{a:name} is mentored by {b:name}"),
  landlord: phrases("{a:name} rents a flat from {b:name}", "{b:name} lets a flat to {a:name}"),
  dentist: phrases("{b:name} looks after the teeth of {a:name}"),
  neighbour: phrases("{a:name} lives next door to {b:name}"),
  "piano teacher": phrases(
    "{a:name} takes piano lessons from {b:name}",
    "{b:name} teaches {a:name} the piano",
  ),
  accountant: phrases("{b:name} keeps the books of {a:name}"),
  "chess partner": phrases("{a:name} plays chess with {b:name} on Fridays"),
}
const PLAIN = phraseOf("{a:name}'s {relation:words} is {b:name}")
const PLAIN_FORMS = [
  PLAIN,
  phraseOf("The {relation:words} of {a:name} is {b:name}"),
  phraseOf("the {relation:words} of {a:name} is {b:name}"),
]

function phrases(...templates: string[]): readonly Phrase[] {
  return templates.map(phraseOf)
}

function generate(random: Random, level: Level): TaskDraft {
  const hops = draw(random, HOPS, level)
  const chain = people(random, hops + 1)
  const relations = Array.from({ length: hops }, () => random.pick(Object.keys(RELATIONS)))
  const others = people(random, 24).filter(
    (name) => !chain.some((known) => known.split(" ")[0] === name.split(" ")[0]),
  )
  const told = relations.map((relation, index) => toldFact(relation, chain[index], chain[index + 1], random))
  const asides = Array.from({ length: random.int(1, 4) }, (_, index) =>
    toldFact(random.pick(Object.keys(RELATIONS)), others[2 * index], others[2 * index + 1], random),
  )
  const facts = random.sample([...told, ...asides], told.length + asides.length)
  const padding = random.pick([drawPadding(random), "none" as const])
  return {
    messages: userSays(
      `${amongFiller(random, facts, padding)}\n\n${question(relations, chain[0] ?? "", random)}`,
    ),
    reference: { kind: "text", value: chain.at(-1) ?? "" },
    hidden: { hops },
  }
}

function toldFact(relation: string, a = "", b = "", random: Random): string {
  const phrase = random.pick([PLAIN, ...(RELATIONS[relation] ?? [])])
  return `${phrase.say({ a, b, relation })}.`
}

function question(relations: readonly string[], from: string, random: Random): string {
  const outwards = relations.toReversed().map((relation) => `the ${relation} of `)
  return random.pick([
    `Who is ${outwards.join("")}${from}?`,
    `Who is ${[from, ...relations].join("'s ")}?`,
    `Name ${outwards.join("")}${from}.`,
  ])
}

function attempt(prompt: Prompt, mind: Mind): Reply | undefined {
  const asked = readQuestion(prompt.ask)
  if (asked === undefined) return undefined
  const facts = readFacts(prompt.text)
  const trail: string[] = []
  let at = asked.from
  for (const [index, relation] of asked.relations.entries()) {
    const next = facts.get(`${relation} of ${at}`)
    if (next === undefined) return index === 0 ? undefined : unknown(relation, at)
    // A hop that is not carried leaves the reader standing at the person before it, sure to have arrived.
    if (index > 0 && !mind.carries("hops", index + 1)) break
    trail.push(`${at}'s ${relation} is ${next}`)
    at = next
  }
  const shown = trail.length > 1 ? `${trail.join("; ")}. So it is ${at}.` : `It is ${at}.`
  return { kind: "text", text: voiced(shown, mind.doubts("hops", asked.relations.length), mind), value: at }
}

function unknown(relation: string, who: string): Reply {
  return { kind: "text", text: `The text does not say who the ${relation} of ${who} is.` }
}

const RELATION = String.raw`\p{Ll}[\p{Ll}-]{1,30}(?: \p{Ll}[\p{Ll}-]{1,30})?`
const NESTED = new RegExp(
  `(?:[Ww]ho (?:is|was)|[Nn]ame|[Tt]ell me) ((?:the ${RELATION} of ){1,20})(${SLOT_PATTERNS.name})`,
  "u",
)
const POSSESSIVE = new RegExp(
  `(?:[Ww]ho (?:is|was)|[Nn]ame|[Tt]ell me) (${SLOT_PATTERNS.name})((?:'s ${RELATION}){1,20})`,
  "u",
)

function readQuestion(ask: string): { from: string; relations: readonly string[] } | undefined {
  const nested = NESTED.exec(ask)
  if (nested !== null) {
    const relations = (nested[1] ?? "").split(/ ?\bthe | of (?=the |$)/).filter((part) => part !== "")
    return { from: nested[2] ?? "", relations: relations.toReversed() }
  }
  const possessive = POSSESSIVE.exec(ask)
  if (possessive === null) return undefined
  return { from: possessive[1] ?? "", relations: (possessive[2] ?? "").split("'s ").slice(1) }
}

function readFacts(text: string): ReadonlyMap<string, string> {
  const facts = new Map<string, string>()
  const note = (relation: string, values: Readonly<Record<string, string>>): void => {
    facts.set(`${relation} of ${values["a"]}`, values["b"] ?? "")
  }
  for (const phrase of PLAIN_FORMS)
    for (const { values } of phrase.hear(text)) note(values["relation"] ?? "", values)
  for (const [relation, ways] of Object.entries(RELATIONS))
    for (const way of ways) for (const { values } of way.hear(text)) note(relation, values)
  return facts
}

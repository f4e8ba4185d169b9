import type { Mind } from "../mind.ts"
import type { Prompt } from "../prompt.ts"
import type { Random } from "../random.ts"
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
import { amongFiller, drawPadding } from "./padding.ts"

/** Which of these labels is it? Hard are the messages that speak of other things first and say that those are settled. */
export const intent: Family = {
  family: "intent",
  levels: ALL_LEVELS,
  generate,
  attempt,
}

const SETTLED_TOPICS: RangeByLevel = { 1: [0, 0], 2: [1, 1], 3: [2, 3], 4: [4, 5], 5: [6, 7] }

interface Topic {
  readonly label: string
  readonly wanted: readonly string[]
  readonly settled: readonly string[]
}

const TOPICS: readonly Topic[] = [
  {
    label: "password_reset",
    wanted: ["I forgot my password and cannot log in.", "Every login fails and I need a new password."],
    settled: ["The password trouble I wrote about is already solved."],
  },
  {
    label: "refund",
    wanted: ["I would like my money back for this order.", "Please refund what I paid, the item is broken."],
    settled: ["The refund you promised has already arrived."],
  },
  {
    label: "delivery",
    wanted: ["My parcel should have been here a week ago.", "Where is my delivery at the moment?"],
    settled: ["By the way, the missing parcel has already turned up."],
  },
  {
    label: "invoice",
    wanted: [
      "I need a corrected invoice with our tax number on it.",
      "Could you send the bill for March again?",
    ],
    settled: ["The invoice is not the problem any more, accounting has it."],
  },
  {
    label: "cancellation",
    wanted: ["I want to cancel my subscription at the end of the month.", "Please terminate my contract."],
    settled: ["I no longer want to cancel anything, my colleague talked me out of it."],
  },
  {
    label: "address_change",
    wanted: [
      "We have moved, please send everything to our new address.",
      "My street address changed last week.",
    ],
    settled: ["Our new address was already entered correctly, thanks for that."],
  },
  {
    label: "app_crash",
    wanted: [
      "The app crashes whenever I open the second page.",
      "Since the update the app freezes at start.",
    ],
    settled: ["The app used to crash, but that is fixed now."],
  },
  {
    label: "discount",
    wanted: [
      "Is there a discount for schools?",
      "The voucher code is refused, can I get the discount anyway?",
    ],
    settled: ["The voucher has already been credited, no worries there."],
  },
]

/** What gives a topic away, beside the words of the label itself. */
const CLUES: Readonly<Record<string, RegExp>> = {
  password_reset: /\b(?:password|log ?in)\b/i,
  refund: /\b(?:refund|money back)\b/i,
  delivery: /\b(?:parcel|delivery|shipment)\b/i,
  invoice: /\b(?:invoice|bill)\b/i,
  cancellation: /\b(?:cancel|terminate)\b/i,
  address_change: /\baddress\b/i,
  app_crash: /\b(?:crash|crashes|freezes)\b/i,
  discount: /\b(?:discount|voucher)\b/i,
}
const SETTLED =
  /\balready\b|\bis fixed\b|\bnot the problem\b|\bno longer\b|\b(?:is|was|been) (?:solved|sorted|resolved)\b/i

function generate(random: Random, level: Level): TaskDraft {
  const count = draw(random, SETTLED_TOPICS, level)
  const [wanted = TOPICS[0] as Topic, ...settled] = random.sample(TOPICS, count + 1)
  const told = random.sample(
    [...settled.map((topic) => random.pick(topic.settled)), random.pick(wanted.wanted)],
    99,
  )
  const labels = random.sample(
    TOPICS.map((topic) => topic.label),
    TOPICS.length,
  )
  const message = amongFiller(random, told, random.pick([drawPadding(random), "none"]))
  const instruction = random.pick([
    `Classify the message. Labels: ${labels.join(", ")}.`,
    `What does the customer want? Answer with exactly one of: ${labels.join(", ")}.`,
    `Sort this into one of these categories: ${labels.join(", ")}.`,
  ])
  return {
    messages: random.chance(0.5)
      ? [
          { role: "system", content: instruction },
          { role: "user", content: `Message: ${message}` },
        ]
      : userSays(`${instruction}\n\nMessage: ${message}`),
    reference: { kind: "label", value: wanted.label },
    hidden: { settled: count },
  }
}

function attempt(prompt: Prompt, mind: Mind): Reply | undefined {
  const labels = readLabels(prompt)
  if (labels.length < 2) return undefined
  const message = prompt.ask.slice(prompt.ask.search(/(?<=\b(?:message|text|query|input)\s*:)/i) + 1 || 0)
  let settled = 0
  let chosen: string | undefined
  for (const sentence of sentencesOf(message)) {
    const topic = labels.find((label) => speaksOf(sentence, label))
    if (topic === undefined) continue
    if (!SETTLED.test(sentence)) {
      chosen ??= topic
      continue
    }
    settled += 1
    // Who forgets that it is settled takes the first topic for what is wanted.
    if (!mind.carries("nuances", settled)) return labelled(topic, settled, mind)
  }
  return labelled(chosen ?? labels[0] ?? "", settled, mind)
}

function labelled(label: string, load: number, mind: Mind): Reply {
  return { kind: "text", text: voiced(label, mind.doubts("nuances", load), mind), value: label }
}

const LABELS = /(?:labels?|categor(?:y|ies)|intents?|classes|one of)\b[^:\n.?!]{0,40}:\s*([^\n]{3,2000})/i

function readLabels({ text, schema }: Prompt): string[] {
  const listed = LABELS.exec(text)?.[1]
  if (listed !== undefined)
    return listed
      .replace(/\.(?:\s.*)?$/, "")
      .split(/\s*[,|;/]\s*|\s+or\s+/)
      .map((label) => label.replace(/^["'`]|["'`]$/g, "").trim())
      .filter((label) => /^[\w -]{2,40}$/.test(label))
  return schema !== undefined && /\bclassif/i.test(text) ? enumOf(schema) : []
}

function enumOf(schema: NonNullable<Prompt["schema"]>): string[] {
  const properties = schema["properties"]
  if (typeof properties !== "object" || properties === null) return []
  const lists = Object.values(properties).map(
    (property: unknown) => (property as { enum?: unknown } | null)?.enum,
  )
  const found = lists.find((list) => Array.isArray(list))
  return Array.isArray(found) ? found.filter((label) => typeof label === "string") : []
}

function speaksOf(sentence: string, label: string): boolean {
  if (CLUES[label]?.test(sentence) === true) return true
  const words = new Set(keywordsOf(sentence))
  return keywordsOf(label).some((word) => words.has(word))
}

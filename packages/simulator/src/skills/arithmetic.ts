import type { Mind } from "../mind.ts"
import type { Prompt } from "../prompt.ts"
import type { Random } from "../random.ts"
import { type Calculation, parseCalculation } from "../reading/calculation.ts"
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
import { firstNames } from "./vocabulary.ts"

/** Calculations whose every step needs the one before: what counts is how many there are, not how long the story is. */
export const arithmetic: Family = {
  family: "arithmetic",
  levels: ALL_LEVELS,
  generate,
  attempt,
}

const STEPS: RangeByLevel = { 1: [1, 1], 2: [2, 2], 3: [3, 4], 4: [5, 6], 5: [7, 8] }

interface Step {
  readonly operator: "+" | "-" | "*" | "/"
  readonly by: number
}

interface Sum {
  readonly start: number
  readonly steps: readonly Step[]
  readonly result: number
}

const WORDINGS = [story, riddle, relations, chainOfThought]

function generate(random: Random, level: Level): TaskDraft {
  const sum = drawSum(random, draw(random, STEPS, level))
  return {
    messages: userSays(random.pick(WORDINGS)(sum, random)),
    reference: { kind: "number", value: sum.result },
    hidden: { steps: sum.steps.length },
  }
}

/** Every step changes the number, so that losing one shows. */
function drawSum(random: Random, count: number): Sum {
  const start = random.int(6, 40)
  const steps: Step[] = []
  let value = start
  while (steps.length < count) {
    const step = drawStep(random, value)
    steps.push(step)
    value = applied(step.operator, value, step.by)
  }
  return { start, steps, result: value }
}

function drawStep(random: Random, value: number): Step {
  const divisors = [2, 3, 4].filter((divisor) => value % divisor === 0)
  const operator = random.pick([
    "+" as const,
    ...(value > 8 ? ["-" as const] : []),
    ...(value < 120 ? ["*" as const] : []),
    ...(divisors.length > 0 && value > 12 ? ["/" as const] : []),
  ])
  if (operator === "+") return { operator, by: random.int(3, 29) }
  if (operator === "-") return { operator, by: random.int(2, Math.min(value - 3, 40)) }
  if (operator === "*") return { operator, by: random.int(2, 4) }
  return { operator, by: random.pick(divisors) }
}

function story(sum: Sum, random: Random): string {
  const [who = "Ada"] = firstNames(random, 1)
  const things = random.pick(["marbles", "stamps", "coins", "seedlings", "tiles"])
  const told = [
    `${who} starts with ${sum.start} ${things}.`,
    ...sum.steps.map(
      (step, index) => `${index === 0 ? "First" : random.pick(THEN)} ${who} ${toldStep(step, random)}.`,
    ),
  ]
  const question = random.pick([
    `How many ${things} does ${who} have now?`,
    `How many ${things} are there at the end?`,
  ])
  return `${amongFiller(random, told, drawPadding(random))}\n\n${question}`
}

const THEN = ["Then", "After that,", "Later", "The next day,"]

function toldStep({ operator, by }: Step, random: Random): string {
  switch (operator) {
    case "+":
      return random.pick([`buys ${by} more`, `finds ${by} more`, `is given another ${by}`])
    case "-":
      return random.pick([`gives away ${by}`, `loses ${by}`, `sells ${by}`])
    case "*":
      return by === 2
        ? "doubles the number"
        : by === 3
          ? "triples the number"
          : `multiplies the number by ${by}`
    case "/":
      return by === 2 ? "keeps only half" : `divides the number by ${by}`
    default:
      return operator satisfies never
  }
}

/** One line, however many steps. */
function riddle(sum: Sum, random: Random): string {
  const terms = sum.steps.map(({ operator, by }) => {
    if (operator === "+") return `add ${by}`
    if (operator === "-") return `subtract ${by}`
    if (operator === "*") return by === 2 ? "double it" : by === 3 ? "triple it" : `multiply by ${by}`
    return by === 2 ? "halve it" : `divide by ${by}`
  })
  const end = random.pick(["What do you get?", "What is the result?", "What number is left?"])
  return `Take ${sum.start}, ${terms.join(", ")}. ${end}`
}

/** Told backwards: who has most is named first, and the only number that is known stands anywhere. */
function relations(sum: Sum, random: Random): string {
  const things = random.pick(["cards", "shells", "pears", "books"])
  const names = firstNames(random, sum.steps.length + 1)
  const told = sum.steps.map(({ operator, by }, index) => {
    const [a, b] = [names[index + 1], names[index]]
    if (operator === "+") return `${a} has ${by} more ${things} than ${b}.`
    if (operator === "-") return `${a} has ${by} fewer ${things} than ${b}.`
    if (operator === "*") return `${a} has ${by} times as many ${things} as ${b}.`
    return `${a} has 1/${by} as many ${things} as ${b}.`
  })
  const facts = random.sample([`${names[0]} has ${sum.start} ${things}.`, ...told], told.length + 1)
  const text = amongFiller(random, facts, random.pick(["none", "none", "none", "some", "page"]))
  return `${text}${text.includes("\n") ? "\n\n" : " "}How many ${things} does ${names.at(-1)} have?`
}

function chainOfThought(sum: Sum, random: Random): string {
  return `${random.pick(["Think step by step.", "Work it out carefully.", "A quick one."])} ${riddle(sum, random)}`
}

function attempt(prompt: Prompt, mind: Mind): Reply | undefined {
  const calculation = parseCalculation(prompt.ask)
  if (calculation === undefined) return undefined
  const { value, lines, load } = workedOut(calculation, mind)
  const answer = String(value)
  const shown = /\b(?:only|just)\b[^.?!]{0,20}\bnumber\b/i.test(prompt.text)
    ? answer
    : `${lines.length > 1 ? `${lines.join(". ")}. ` : ""}The answer is ${answer}.`
  return { kind: "text", text: voiced(shown, mind.doubts("steps", load), mind), value }
}

/** From the inside out. A step that is not carried is left out or done with the wrong sign, as a tired reader does. */
function workedOut(calculation: Calculation, mind: Mind): { value: number; lines: string[]; load: number } {
  const lines: string[] = []
  let load = 0
  const worked = (part: Calculation): number => {
    if (typeof part === "number") return part
    const left = worked(part.left)
    const right = worked(part.right)
    load += 1
    const operator = mind.carries("steps", load)
      ? part.operator
      : mind.luck(`wrong step ${load}`).pick([undefined, MISTAKEN[part.operator]])
    if (operator === undefined) return left
    const value = applied(operator, left, right)
    lines.push(`${left} ${SIGNS[operator]} ${right} = ${value}`)
    return value
  }
  return { value: worked(calculation), lines, load }
}

const MISTAKEN = { "+": "-", "-": "+", "*": "+", "/": "-" } as const
const SIGNS = { "+": "+", "-": "-", "*": "×", "/": "÷" } as const

function applied(operator: Step["operator"], left: number, right: number): number {
  const exact = {
    "+": left + right,
    "-": left - right,
    "*": left * right,
    "/": right === 0 ? left : left / right,
  }
  return Math.round(exact[operator] * 100) / 100
}

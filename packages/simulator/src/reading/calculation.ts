export type Operator = "+" | "-" | "*" | "/"
export type Calculation =
  | number
  | { readonly operator: Operator; readonly left: Calculation; readonly right: Calculation }

/** The calculation that a text describes: a formula, a chain of steps, or who has how many more than whom. */
export function parseCalculation(text: string): Calculation | undefined {
  if (!/\d/.test(text)) return undefined
  return parseRelations(text) ?? parseChain(text) ?? parseFormula(text)
}

/** What each step sounds like; a pattern without a number has its own. */
const STEP_WORDS: readonly { readonly operator: Operator; readonly heard: string; readonly by?: number }[] = [
  {
    operator: "+",
    heard: String.raw`(?:add|adds|plus|buys|gets|finds|receives|picks up|is given)(?: another)? (\d+)`,
  },
  {
    operator: "-",
    heard: String.raw`(?:subtract|subtracts|minus|take away|gives away|loses|sells|eats|spends|uses) (\d+)`,
  },
  {
    operator: "*",
    heard: String.raw`(?:multiply|multiplies)(?: it| the number| the result)? by (\d+)|times (\d+)`,
  },
  { operator: "/", heard: String.raw`(?:divide|divides)(?: it| the number| the result)? by (\d+)` },
  { operator: "*", heard: "doubles?\\b", by: 2 },
  { operator: "*", heard: "triples?\\b", by: 3 },
  { operator: "/", heard: "halves?\\b|keeps only half", by: 2 },
]

const START =
  /\b(?:take|start at|start with|starts with|begin with|begins with|think of(?: the number)?|has|had) (\d+)\b/i

const ASKS_FOR_NUMBER = /how many|how much|what do you get|what is|what number|the result/i

function parseChain(text: string): Calculation | undefined {
  const start = START.exec(text)
  if (start === null || !ASKS_FOR_NUMBER.test(text)) return undefined
  const steps = STEP_WORDS.flatMap(({ operator, heard, by }) =>
    [...text.matchAll(new RegExp(String.raw`\b(?:${heard})`, "gi"))].map((match) => ({
      at: match.index,
      operator,
      by: by ?? Number(match[1] ?? match[2]),
    })),
  )
    .filter((step) => step.at > start.index)
    .sort((a, b) => a.at - b.at)
  if (steps.length === 0) return undefined
  return steps.reduce<Calculation>(
    (left, { operator, by }) => ({ operator, left, right: by }),
    Number(start[1]),
  )
}

const NAME = String.raw`(\p{Lu}\p{L}{1,30})`
const RELATIONS: readonly { readonly operator: Operator; readonly heard: RegExp }[] = [
  { operator: "+", heard: new RegExp(String.raw`${NAME} has (\d+) more [\p{L}-]{1,30} than ${NAME}`, "gu") },
  {
    operator: "-",
    heard: new RegExp(String.raw`${NAME} has (\d+) (?:fewer|less) [\p{L}-]{1,30} than ${NAME}`, "gu"),
  },
  {
    operator: "*",
    heard: new RegExp(String.raw`${NAME} has (\d+) times as many [\p{L}-]{1,30} as ${NAME}`, "gu"),
  },
  {
    operator: "/",
    heard: new RegExp(String.raw`${NAME} has 1/(\d+) as many [\p{L}-]{1,30} as ${NAME}`, "gu"),
  },
]
const KNOWN = new RegExp(String.raw`${NAME} has (\d+) (?!more |fewer |less |times )[\p{L}-]`, "gu")
const ASKED = new RegExp(String.raw`does ${NAME} have\b`, "u")

function parseRelations(text: string): Calculation | undefined {
  const asked = ASKED.exec(text)?.[1]
  if (asked === undefined) return undefined
  const known = new Map([...text.matchAll(KNOWN)].map((match) => [match[1], Number(match[2])]))
  const related = new Map(
    RELATIONS.flatMap(({ operator, heard }) =>
      [...text.matchAll(heard)].map(
        (match) => [match[1], { operator, by: Number(match[2]), of: match[3] }] as const,
      ),
    ),
  )
  if (related.size === 0) return undefined
  const calculationOf = (who: string | undefined, depth: number): Calculation | undefined => {
    const relation = related.get(who)
    if (relation === undefined || depth > related.size) return known.get(who)
    const left = calculationOf(relation.of, depth + 1)
    return left === undefined ? undefined : { operator: relation.operator, left, right: relation.by }
  }
  return calculationOf(asked, 0)
}

const FORMULA = /[\d(][\d\s.+\-*/×÷x()]{1,200}[\d)]/g
// A minus sign without spaces is more often a date, a code or a telephone number.
const HAS_OPERATOR = /[+*×÷]|\d\s*[x/]\s*\d|\s-\s/
const ASKS_TO_COMPUTE =
  /\b(?:what(?:'s| is)|calculate|compute|evaluate|solve|how much is)\b|=|^[\d\s.+\-*/×÷x()?]+$/i
const SIGNS: Readonly<Record<string, Operator>> = {
  "+": "+",
  "-": "-",
  "*": "*",
  "×": "*",
  x: "*",
  "/": "/",
  "÷": "/",
}
const RANKS: Readonly<Record<Operator, number>> = { "+": 1, "-": 1, "*": 2, "/": 2 }

/** "What is 3 + 4 * 2?", with brackets; undefined unless the whole of it is well formed. */
export function parseFormula(text: string): Calculation | undefined {
  if (!ASKS_TO_COMPUTE.test(text)) return undefined
  const formula = text.match(FORMULA)?.find((candidate) => HAS_OPERATOR.test(candidate)) ?? ""
  const tokens = formula.match(/\d+(?:\.\d+)?|[-+*/×÷x()]/g) ?? []
  let at = 0
  const parseTerm = (): Calculation | undefined => {
    const token = tokens[at]
    at += 1
    if (token === "(") {
      const inner = parseFrom(0)
      at += 1
      return tokens[at - 1] === ")" ? inner : undefined
    }
    return token !== undefined && /^\d/.test(token) ? Number(token) : undefined
  }
  const parseFrom = (rank: number): Calculation | undefined => {
    let left = parseTerm()
    for (;;) {
      const operator = SIGNS[tokens[at] ?? ""]
      if (left === undefined || operator === undefined || RANKS[operator] <= rank) return left
      at += 1
      const right = parseFrom(RANKS[operator])
      left = right === undefined ? undefined : { operator, left, right }
    }
  }
  const parsed = parseFrom(0)
  return at === tokens.length && typeof parsed === "object" ? parsed : undefined
}

import type { ComplexityEstimate, Estimator, EstimatorInput } from "../spec/complexity.ts"
import { ConfigError } from "../spec/errors.ts"
import { splitWords, type Words } from "../tokens/split-words.ts"
import { validShare } from "./checks.ts"
import { COURTESY_WORDS, type Substance, withoutCourtesy } from "./courtesy.ts"
import { entitiesInOneField } from "./entities.ts"
import { fiveFactor } from "./five-factor.ts"
import {
  findPhrases,
  type Phrase,
  type PhraseIndex,
  phraseIndex,
  phraseStartsAt,
  phrases,
} from "./phrases.ts"

/** A rule is data: what must hold, and what follows. It is tried in its place in the list; the first that holds wins. */
export type Rule = {
  /** Stands in the estimate's factors as `rule:<name>`. Unique in its list. */
  readonly name: string
  /** Conditions that must all hold, or a function of the input. */
  readonly when: RuleConditions | ((input: EstimatorInput) => boolean)
} & (
  | {
      /** 0 (simple) … 1 (complex). */
      readonly score: number
      /** 0…1. Default 1: the user's own word. */
      readonly confidence?: number | undefined
    }
  /** Who estimates what the rule fits, e.g. the rules of one domain. */
  | { readonly estimator: Estimator }
)

/**
 * Conditions on one request; all that are given must hold. Phrases match whole words of what the human asks now, in
 * any case and with any spacing or hyphens.
 */
export interface RuleConditions {
  /** At least one of these phrases, e.g. `["compare", "vs", "difference between"]`. */
  readonly anyOf?: readonly string[] | undefined
  readonly allOf?: readonly string[] | undefined
  readonly noneOf?: readonly string[] | undefined
  /** The request begins with one of these phrases, after any greeting. */
  readonly startsWith?: readonly string[] | undefined
  /** Words as a person counts them: `year-over-year` is one, two ideographs are one. */
  readonly minWords?: number | undefined
  readonly maxWords?: number | undefined
  /** The request's task type is this one, or one of these. */
  readonly taskType?: string | readonly string[] | undefined
  /** BCP 47 as in the features, e.g. `de`; or one of these. */
  readonly language?: string | readonly string[] | undefined
  readonly hasCode?: boolean | undefined
  /**
   * Facts given with the request, e.g. `{ queryType: "metric_lookup" }`. Each must be equal to the value here, or to
   * one of a list.
   */
  readonly attributes?: Readonly<Record<string, AttributeValue | readonly AttributeValue[]>> | undefined
  /**
   * Entities in one field of `attributes.entities`, which may be a number, a list of names, a list of
   * `{ field, … }` or `{ type, … }`, or names by field; of several fields the fullest counts.
   */
  readonly minEntities?: number | undefined
  readonly maxEntities?: number | undefined
}

export type AttributeValue = string | number | boolean | null

export interface RulesOptions {
  readonly rules: readonly Rule[]
  /** Who estimates what no rule fits. Default: `fiveFactor()`. */
  readonly otherwise?: Estimator | undefined
  /** Words that `startsWith` passes over. Default: `COURTESY_WORDS`. */
  readonly courtesyWords?: readonly string[] | undefined
}

/**
 * Row D1's estimator: the user's own rules first, then another estimator. The library brings no rule.
 * @throws ConfigError naming the rule and the condition, when it is built.
 */
export function rules(options: RulesOptions): Estimator {
  const { rules: given, otherwise = fiveFactor() } = options
  if (!Array.isArray(given)) throw new ConfigError("rules", "it is not a list", "give a list of rules")
  const compiled = given.map((rule, index) => compile(rule, `rules[${index}]`))
  rejectSameNames(given)
  const index = phraseIndex(compiled.flatMap((rule) => rule.wanted))
  const substance = withoutCourtesy(options.courtesyWords ?? COURTESY_WORDS)

  return {
    name: `rules(${otherwise.name})`,
    estimate(input: EstimatorInput): ComplexityEstimate | Promise<ComplexityEstimate> {
      const facts = factsOf(input, index, substance)
      const fitting = compiled.find((rule) => rule.holds(facts))
      return fitting === undefined ? otherwise.estimate(input) : fitting.estimate(input)
    },
  }
}

/** What conditions are checked against; read once per request, whatever the number of rules. */
interface Facts {
  readonly input: EstimatorInput
  readonly words: Words
  readonly found: ReadonlySet<string>
  /** The first word that is no courtesy. */
  readonly firstWord: number
  readonly entities: number
}

function factsOf(input: EstimatorInput, index: PhraseIndex, substance: (words: Words) => Substance): Facts {
  const words = splitWords(input.text.ask)
  return {
    input,
    words,
    found: findPhrases(index, words),
    firstWord: substance(words).begins,
    entities: entitiesInOneField(input.request.attributes?.["entities"]),
  }
}

type Check = (facts: Facts) => boolean

interface CompiledRule {
  readonly holds: Check
  /** Phrases to look for in the text. */
  readonly wanted: readonly Phrase[]
  readonly estimate: Estimator["estimate"]
}

function compile(rule: Rule, path: string): CompiledRule {
  if (typeof rule.name !== "string" || rule.name === "") {
    throw new ConfigError(`${path}.name`, "the rule has no name", "give a name to find it by in the record")
  }
  const estimate = outcomeOf(rule, path)
  const { when } = rule
  if (typeof when === "function") return { holds: ({ input }) => when(input), wanted: [], estimate }

  if (typeof when !== "object") {
    throw new ConfigError(`${path}.when`, `${String(when)} is no condition`, "give conditions or a function")
  }

  const checks: Check[] = []
  const wanted: Phrase[] = []
  for (const [name, value] of Object.entries(when)) {
    if (value === undefined) continue
    const condition = Object.hasOwn(CONDITIONS, name) ? CONDITIONS[name as keyof RuleConditions] : undefined
    const at = `${path}.when.${name}`
    if (condition === undefined) {
      throw new ConfigError(at, "there is no such condition", `use ${Object.keys(CONDITIONS).join(", ")}`)
    }
    const { check, phrases: looked = [] } = (condition as Condition<unknown>)(value, at)
    checks.push(check)
    wanted.push(...looked)
  }
  if (checks.length === 0) {
    throw new ConfigError(
      `${path}.when`,
      "without a condition it fits everything",
      "name one, or use `otherwise`",
    )
  }
  return { holds: (facts) => checks.every((check) => check(facts)), wanted, estimate }
}

function outcomeOf(rule: Rule, path: string): Estimator["estimate"] {
  if ("estimator" in rule) {
    const { estimator } = rule
    return (input) => estimator.estimate(input)
  }
  const score = validShare(rule.score, `${path}.score`)
  const confidence = validShare(rule.confidence ?? 1, `${path}.confidence`)
  const estimate: ComplexityEstimate = { score, confidence, factors: { [`rule:${rule.name}`]: score } }
  return () => estimate
}

type Condition<Value> = (
  value: Value,
  path: string,
) => { readonly check: Check; readonly phrases?: readonly Phrase[] | undefined }

type Conditions = {
  readonly [Name in keyof Required<RuleConditions>]: Condition<NonNullable<RuleConditions[Name]>>
}

const CONDITIONS: Conditions = {
  anyOf: (texts, path) => {
    const wanted = nonEmpty(phrases(texts, path), path)
    return { check: ({ found }) => wanted.some(({ text }) => found.has(text)), phrases: wanted }
  },
  allOf: (texts, path) => {
    const wanted = nonEmpty(phrases(texts, path), path)
    return { check: ({ found }) => wanted.every(({ text }) => found.has(text)), phrases: wanted }
  },
  noneOf: (texts, path) => {
    const wanted = nonEmpty(phrases(texts, path), path)
    return { check: ({ found }) => !wanted.some(({ text }) => found.has(text)), phrases: wanted }
  },
  startsWith: (texts, path) => {
    const wanted = nonEmpty(phrases(texts, path), path)
    return { check: ({ words, firstWord }) => wanted.some((one) => phraseStartsAt(words, firstWord, one)) }
  },
  minWords: (count, path) => atLeast(count, path, ({ words }) => words.count),
  maxWords: (count, path) => atMost(count, path, ({ words }) => words.count),
  taskType: (wanted) => oneOf(wanted, ({ input }) => input.features.taskType),
  language: (wanted) => oneOf(wanted, ({ input }) => input.features.language),
  hasCode: (wanted) => ({ check: ({ input }) => input.features.hasCode === wanted }),
  attributes: (wanted) => {
    const entries = Object.entries(wanted)
    return {
      check: ({ input }) => {
        const given = input.request.attributes ?? {}
        return entries.every(([name, value]) => isOneOf(value, given[name]))
      },
    }
  },
  minEntities: (count, path) => atLeast(count, path, ({ entities }) => entities),
  maxEntities: (count, path) => atMost(count, path, ({ entities }) => entities),
}

function nonEmpty(wanted: readonly Phrase[], path: string): readonly Phrase[] {
  if (wanted.length > 0) return wanted
  throw new ConfigError(path, "the list is empty", "name at least one phrase")
}

function atLeast(count: number, path: string, of: (facts: Facts) => number): { readonly check: Check } {
  const least = validCount(count, path)
  return { check: (facts) => of(facts) >= least }
}

function atMost(count: number, path: string, of: (facts: Facts) => number): { readonly check: Check } {
  const most = validCount(count, path)
  return { check: (facts) => of(facts) <= most }
}

function oneOf(wanted: string | readonly string[], of: (facts: Facts) => unknown): { readonly check: Check } {
  return { check: (facts) => isOneOf(wanted, of(facts)) }
}

function isOneOf(wanted: AttributeValue | readonly AttributeValue[], given: unknown): boolean {
  return Array.isArray(wanted) ? wanted.includes(given) : wanted === given
}

function validCount(count: number, path: string): number {
  if (Number.isFinite(count) && count >= 0) return count
  throw new ConfigError(path, `${String(count)} is not a count`, "give a number from 0 on")
}

function rejectSameNames(given: readonly Rule[]): void {
  const seen = new Set<string>()
  given.forEach(({ name }, index) => {
    if (seen.has(name))
      throw new ConfigError(`rules[${index}].name`, `"${name}" is taken`, "give each rule its own")
    seen.add(name)
  })
}

import type { ComplexityEstimate, Estimator, EstimatorInput } from "../spec/complexity.ts"
import { ConfigError } from "../spec/errors.ts"
import { splitWords } from "../tokens/split-words.ts"
import { clampShare, validSaturation, validShare, validShares, validWeights } from "./checks.ts"
import { COURTESY_WORDS, withoutCourtesy } from "./courtesy.ts"
import { findPhrases, list, phraseIndex, phrases } from "./phrases.ts"
import { type TextShape, textShape } from "./text-shape.ts"

export type ThreeFactor = "length" | "keywords" | "structure"

export interface ThreeFactorOptions {
  /** How much each factor counts; together 1. Default: `THREE_FACTOR_WEIGHTS`, the numbers of row C1. */
  readonly weights?: Readonly<Partial<Record<ThreeFactor, number | undefined>>> | undefined
  /** Words at which a text is medium (0.5) and long (1); shorter ones lie on straight lines between. Default 30, 120. */
  readonly lengths?: Readonly<Partial<Record<TextLength, number | undefined>>> | undefined
  /** Phrases of hard requests. Default: `HARD_KEYWORDS`, in English. */
  readonly complex?: readonly string[] | undefined
  /** Phrases of easy requests. Default: `EASY_KEYWORDS`, in English. */
  readonly simple?: readonly string[] | undefined
  /** What keywords are worth. Default: `KEYWORD_STEPS`. */
  readonly keywordSteps?: Readonly<Partial<Record<KeywordStep, number | undefined>>> | undefined
  /** What signs of structure are worth, each 0…1; their sum counts, at most 1. Default: `STRUCTURE_SIGNS`. */
  readonly structureSigns?: Readonly<Partial<Record<StructureSign, number | undefined>>> | undefined
  /** Words that count for nothing. Default: `COURTESY_WORDS`. */
  readonly courtesyWords?: readonly string[] | undefined
}

/** Row C1: length 40 %, keywords 40 %, structure 20 %. */
export const THREE_FACTOR_WEIGHTS: Readonly<Record<ThreeFactor, number>> = {
  length: 0.4,
  keywords: 0.4,
  structure: 0.2,
}

export type TextLength = "medium" | "long"

export const TEXT_LENGTHS: Readonly<Record<TextLength, number>> = { medium: 30, long: 120 }

export type KeywordStep = "neutral" | "complex" | "simple"

/** The keyword factor starts neutral; each different phrase of a list moves it, and it stays inside 0…1. */
export const KEYWORD_STEPS: Readonly<Record<KeywordStep, number>> = {
  neutral: 0.3,
  complex: 0.35,
  simple: 0.3,
}

export type StructureSign = "questions" | "list" | "code"

/** Several questions, a list of two items or more, a block of code. */
export const STRUCTURE_SIGNS: Readonly<Record<StructureSign, number>> = {
  questions: 0.4,
  list: 0.4,
  code: 0.6,
}

export const HARD_KEYWORDS: readonly string[] = list(`
  analyze, analyse, analysis, compare, evaluate, assess, critique, trade-off, trade-offs, design,
  architecture, implement, optimize, optimise, refactor, debug, algorithm, complexity, prove, proof,
  derive, theorem, integral, differential equation, explain why, step by step, in depth,
  comprehensive, strategy, distributed, security, concurrency, research, hypothesis
`)

export const EASY_KEYWORDS: readonly string[] = list(`
  what is, what's, who is, who was, when is, when was, where is, how many, how old,
  define, definition of, meaning of, translate, spell, synonym, capital of, convert, yes or no,
  true or false, weather, what time, summarize in one sentence, rephrase
`)

export interface DifficultyThresholds {
  /** From this score on a request is medium. Default 0.3. */
  readonly medium: number
  /** From this score on a request is hard. Default 0.7. */
  readonly hard: number
}

export type DifficultyLevel = "easy" | "medium" | "hard"

/**
 * Row C1's level for a score: easy below 0.3, hard from 0.7 on, medium between.
 * @throws ConfigError unless 0 ≤ medium ≤ hard ≤ 1.
 */
export function difficultyLevel(
  score: number,
  { medium, hard }: DifficultyThresholds = { medium: 0.3, hard: 0.7 },
): DifficultyLevel {
  validShare(medium, "thresholds.medium")
  validShare(hard, "thresholds.hard")
  if (medium > hard) {
    throw new ConfigError("thresholds.medium", `${medium} is above hard, ${hard}`, "swap them")
  }
  if (score < medium) return "easy"
  return score < hard ? "medium" : "hard"
}

/**
 * Hand-set scores order prompts no better than their length does (measured on MMLU, GSM8K, MT-Bench and
 * RouterArena), so they are believed at most this much; without any keyword, half as much.
 */
const CONFIDENCE = { withKeywords: 0.6, without: 0.3 } as const

/**
 * Row C1's estimator, from what the human asks now: length, keywords that speak for hard or easy, and structure.
 * Each factor is 0…1 and returned by name; the score is their weighted sum.
 * @throws ConfigError naming the option, when it is built.
 */
export function threeFactor(options: ThreeFactorOptions = {}): Estimator {
  const weights = validWeights(THREE_FACTOR_WEIGHTS, options.weights, "weights")
  const lengths = validLengths(options.lengths)
  const steps = validShares(KEYWORD_STEPS, options.keywordSteps, "keywordSteps")
  const signs = validShares(STRUCTURE_SIGNS, options.structureSigns, "structureSigns")
  const complex = phraseIndex(phrases(options.complex ?? HARD_KEYWORDS, "complex"))
  const simple = phraseIndex(phrases(options.simple ?? EASY_KEYWORDS, "simple"))
  const substance = withoutCourtesy(options.courtesyWords ?? COURTESY_WORDS)

  return {
    name: "three-factor",
    estimate({ features, text }: EstimatorInput): ComplexityEstimate {
      const words = splitWords(text.ask)
      const { count } = substance(words)
      const hard = findPhrases(complex, words).size
      const easy = findPhrases(simple, words).size
      const factors: Readonly<Record<ThreeFactor, number>> = {
        length: lengthOf(count, lengths),
        keywords: count === 0 ? 0 : clampShare(steps.neutral + hard * steps.complex - easy * steps.simple),
        structure: structureOf(textShape(text.ask), features.hasCode, signs),
      }
      return {
        score: clampShare(
          factors.length * weights.length +
            factors.keywords * weights.keywords +
            factors.structure * weights.structure,
        ),
        confidence: hard + easy > 0 || count === 0 ? CONFIDENCE.withKeywords : CONFIDENCE.without,
        factors,
      }
    },
  }
}

/** 0 without words, 0.5 at a medium text, 1 at a long one. */
function lengthOf(count: number, { medium, long }: Readonly<Record<TextLength, number>>): number {
  if (count <= medium) return (0.5 * count) / medium
  return Math.min(1, 0.5 + (0.5 * (count - medium)) / (long - medium))
}

function structureOf(
  { questions, listItems }: TextShape,
  hasCode: boolean,
  signs: Readonly<Record<StructureSign, number>>,
): number {
  const seen: Readonly<Record<StructureSign, boolean>> = {
    questions: questions > 1,
    list: listItems > 1,
    code: hasCode,
  }
  const names = Object.keys(seen) as StructureSign[]
  return clampShare(names.reduce((sum, name) => sum + (seen[name] ? signs[name] : 0), 0))
}

function validLengths(given: ThreeFactorOptions["lengths"]): Readonly<Record<TextLength, number>> {
  const lengths = validSaturation(TEXT_LENGTHS, given, "lengths")
  if (lengths.medium < lengths.long) return lengths
  const problem = `${lengths.medium} words are not fewer than those of a long text, ${lengths.long}`
  throw new ConfigError("lengths.medium", problem, "make medium smaller than long")
}

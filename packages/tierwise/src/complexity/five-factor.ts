import type { ComplexityEstimate, Estimator, EstimatorInput } from "../spec/complexity.ts"
import { ConfigError } from "../spec/errors.ts"
import type { RequestFeatures } from "../spec/request.ts"
import { splitWords } from "../tokens/split-words.ts"
import { clampShare, share, validSaturation, validShare, validWeights } from "./checks.ts"
import { COURTESY_WORDS, withoutCourtesy } from "./courtesy.ts"
import { findPhrases, list, type PhraseIndex, phrase, phraseIndex, phrases } from "./phrases.ts"
import { textShape } from "./text-shape.ts"

const FACTORS = ["message", "context", "capability", "depth", "keywords"] as const

export type FiveFactor = (typeof FACTORS)[number]

export interface FiveFactorOptions {
  /** How much each factor counts; together 1. Default: `FIVE_FACTOR_WEIGHTS`, the numbers of row E1. */
  readonly weights?: Readonly<Partial<Record<FiveFactor, number | undefined>>> | undefined
  /** What the message factor is made of; together 1. Default: `MESSAGE_WEIGHTS`. */
  readonly messageWeights?: Readonly<Partial<Record<MessagePart, number | undefined>>> | undefined
  /** Where a factor is full. Default: `FIVE_FACTOR_SATURATION`. */
  readonly saturation?: Readonly<Partial<Record<SaturationPoint, number | undefined>>> | undefined
  /** Phrases that speak for a hard request. Default: `COMPLEX_KEYWORDS`, in English. */
  readonly keywords?: readonly string[] | undefined
  /** Words in the name of a capability → how critical it is, 0…1. Default: `CAPABILITY_CRITICALITY`. */
  readonly criticality?: Readonly<Record<string, number>> | undefined
  /** Criticality of a capability that is in no table, 0…1. Default 0.3. */
  readonly otherCriticality?: number | undefined
  /** Words that count for nothing. Default: `COURTESY_WORDS`. */
  readonly courtesyWords?: readonly string[] | undefined
}

/** Row E1: message complexity 30 %, context 15 %, capability 25 %, conversation depth 10 %, keywords 20 %. */
export const FIVE_FACTOR_WEIGHTS: Readonly<Record<FiveFactor, number>> = {
  message: 0.3,
  context: 0.15,
  capability: 0.25,
  depth: 0.1,
  keywords: 0.2,
}

export type MessagePart = "words" | "vocabulary" | "sentences"

/** Row E1 names the three parts of the message factor and leaves their shares open. */
export const MESSAGE_WEIGHTS: Readonly<Record<MessagePart, number>> = {
  words: 0.4,
  vocabulary: 0.3,
  sentences: 0.3,
}

export type SaturationPoint =
  | "words"
  | "vocabularyWords"
  | "sentenceWords"
  | "contextTokens"
  | "turns"
  | "keywords"

export const FIVE_FACTOR_SATURATION: Readonly<Record<SaturationPoint, number>> = {
  /** Words of a message that is as long as it matters. */
  words: 20,
  /** Words from which on the share of different words says something. */
  vocabularyWords: 10,
  /** Mean words of a sentence. */
  sentenceWords: 12,
  /** Declared context in tokens; the scale is logarithmic. */
  contextTokens: 8_192,
  /** Human turns, the present one included; the first counts nothing. */
  turns: 10,
  /** Different keywords. */
  keywords: 2,
}

/** Row E1 gives analyze, architecture and security; the others are their neighbours. */
export const COMPLEX_KEYWORDS: readonly string[] = list(`
  analyze, analyse, analyzing, analysing, analysis, evaluate, assess, assessment, investigate,
  architecture, architect, design, distributed, scalability, scalable, concurrency, consensus,
  fault tolerance, high availability, microservices, migration, infrastructure, refactor, security,
  zero-trust, mtls, threat, threats, vulnerability, vulnerabilities, exploit, attack, encryption,
  cryptography, authentication, authorization, least privilege, hardening, forensic, compliance,
  compliant, regulation, regulatory, audit, gdpr, hipaa, pci dss, soc 2, iso 27001, legal, liability,
  diagnosis, diagnose, root cause, debug, incident, post-mortem, risk, risks, compare, trade-off,
  trade-offs, tradeoff, tradeoffs, strategy, optimize, optimise, optimization, prove, proof, derive,
  theorem, algorithm, complexity, comprehensive, in depth, step by step
`)

/** Row E1: safety-critical capabilities such as security and compliance lead to a heavier tier. */
export const CAPABILITY_CRITICALITY: Readonly<Record<string, number>> = {
  security: 1,
  compliance: 1,
  safety: 1,
  legal: 1,
  medical: 1,
  clinical: 1,
  health: 1,
  healthcare: 1,
  diagnosis: 1,
  privacy: 1,
  audit: 1,
  regulatory: 1,
  fraud: 1,
  threat: 1,
  vulnerability: 1,
  cryptography: 1,
  encryption: 1,
  payment: 1,
  payments: 1,
  "incident response": 1,
  architecture: 0.6,
  planning: 0.6,
  reasoning: 0.6,
  research: 0.6,
  analysis: 0.6,
  mathematics: 0.6,
  math: 0.6,
  code: 0.6,
  coding: 0.6,
  orchestration: 0.6,
}

/**
 * A score set by hand is never believed more than this: on public routing data (MMLU, GSM8K, MT-Bench, RouterArena)
 * estimators of this kind order prompts no better than their length does.
 */
const MOST_CONFIDENCE = 0.6

/**
 * Row E1's estimator: the weighted sum of five factors, each 0…1 and returned by name.
 * - `message`: word count, share of different words, and words per sentence of what the human asks now;
 * - `context`: the *declared* size of the retrieved context, `log2(1 + tokens) / log2(1 + 8192)`;
 * - `capability`: the most critical of the agent's capabilities;
 * - `depth`: human turns so far;
 * - `keywords`: different keywords in what the human asks now.
 *
 * The system prompt, tool definitions and tool results change nothing. `confidence` is the share of the weights whose
 * factor had something to go by, of at most 0.6: keyword lists in English say little about other languages, and an
 * undeclared context or capability may still be there.
 * @throws ConfigError naming the option, when it is built.
 */
export function fiveFactor(options: FiveFactorOptions = {}): Estimator {
  const weights = validWeights(FIVE_FACTOR_WEIGHTS, options.weights, "weights")
  const messageWeights = validWeights(MESSAGE_WEIGHTS, options.messageWeights, "messageWeights")
  const saturation = validSaturation(FIVE_FACTOR_SATURATION, options.saturation, "saturation")
  if (saturation.turns <= 1) {
    throw new ConfigError("saturation.turns", `${saturation.turns} is no depth`, "give a number above 1")
  }
  const keywords = phraseIndex(phrases(options.keywords ?? COMPLEX_KEYWORDS, "keywords"))
  const criticality = criticalityOf(
    options.criticality ?? CAPABILITY_CRITICALITY,
    options.otherCriticality ?? 0.3,
  )
  const substance = withoutCourtesy(options.courtesyWords ?? COURTESY_WORDS)
  const keywordLanguageKnown = options.keywords !== undefined

  return {
    name: "five-factor",
    estimate({ features, text }: EstimatorInput): ComplexityEstimate {
      const words = splitWords(text.ask)
      const { count, first } = substance(words)
      const factors: Readonly<Record<FiveFactor, number>> = {
        message:
          messageWeights.words * share(count, saturation.words) +
          messageWeights.vocabulary * richness(first) * share(count, saturation.vocabularyWords) +
          messageWeights.sentences * share(sentenceWords(text.ask, count), saturation.sentenceWords),
        context: share(Math.log2(1 + features.contextLength), Math.log2(1 + saturation.contextTokens)),
        capability: criticality(features.capabilities),
        depth: depthOf(features.turns, saturation.turns),
        keywords: share(findPhrases(keywords, words).size, saturation.keywords),
      }
      const readable = keywordLanguageKnown || READABLE.has(features.language)
      return {
        score: weigh(factors, weights),
        confidence: MOST_CONFIDENCE * weigh(evidence(features, count, readable), weights),
        factors,
      }
    },
  }
}

/** Languages in which the default keywords may be found. */
const READABLE: ReadonlySet<string> = new Set(["en", "und", "und-Latn"])

/** The share of different words among the first ones; in any text it falls with the length. */
function richness(first: readonly number[]): number {
  return first.length === 0 ? 0 : new Set(first).size / first.length
}

function sentenceWords(text: string, count: number): number {
  return count === 0 ? 0 : count / Math.max(1, textShape(text).sentences)
}

/** Nothing in the first turn, everything at `enough`. */
function depthOf(turns: number, enough: number): number {
  return clampShare((turns - 1) / (enough - 1))
}

/** Evidence per factor, 0…1: what was not declared may be absent or just unsaid. */
function evidence(
  { capabilities, contextLength }: RequestFeatures,
  count: number,
  readable: boolean,
): Readonly<Record<FiveFactor, number>> {
  return {
    message: count > 0 ? 1 : 0.5,
    context: contextLength > 0 ? 1 : 0.5,
    capability: capabilities.length > 0 ? 1 : 0.5,
    depth: 1,
    keywords: readable ? 1 : 0,
  }
}

function weigh(
  values: Readonly<Record<FiveFactor, number>>,
  weights: Readonly<Record<FiveFactor, number>>,
): number {
  let sum = 0
  for (const name of FACTORS) sum += values[name] * weights[name]
  return clampShare(sum)
}

/** The most critical of some capabilities; 0 without any. `securityAnalysis` and `security_analysis` are the same. */
function criticalityOf(
  table: Readonly<Record<string, number>>,
  other: number,
): (capabilities: readonly string[]) => number {
  validShare(other, "otherCriticality")
  const entries = Object.entries(table).map(([text, value]) => {
    const path = `criticality.${text}`
    return { phrase: phrase(text, path), value: validShare(value, path) }
  })
  const index: PhraseIndex = phraseIndex(entries.map((entry) => entry.phrase))
  const values = new Map(entries.map((entry) => [entry.phrase.text, entry.value]))
  const ofOne = (capability: string): number => {
    const words = splitWords(capability.replace(/([a-z0-9])([A-Z])/g, "$1 $2"))
    const known = [...findPhrases(index, words)].map((text) => values.get(text) ?? other)
    return known.length === 0 ? other : Math.max(...known)
  }
  return (capabilities) => capabilities.reduce((most, capability) => Math.max(most, ofOne(capability)), 0)
}

import type { RouteRequest } from "../spec/request.ts"
import type { ResponseValidator } from "../spec/validation.ts"

export interface LowConfidenceOptions {
  /** Phrases that admit not knowing; matched in lower case. Default: `HEDGING_PHRASES`. */
  readonly phrases?: readonly string[] | undefined
  /** Questions of fewer words may be answered as shortly as one likes. Default 12. */
  readonly longQuestionWords?: number | undefined
  /** Answer words wanted per question word, for long questions. Default 0.15. 0 turns the check off. */
  readonly answerPerQuestionWord?: number | undefined
}

/** Row C3's "uncertainty phrases": only those with which a model says that it does not know. */
export const HEDGING_PHRASES: readonly string[] = [
  "i'm not sure",
  "i am not sure",
  "i'm not certain",
  "i am not certain",
  "i don't know",
  "i do not know",
  "i'm unable to",
  "i am unable to",
  "i can't determine",
  "i cannot determine",
  "it is unclear",
  "it's hard to say",
  "i may be wrong",
  "i might be wrong",
  "not entirely sure",
]

/** An answer is judged by its first and last characters, so that a long one costs no more than a short one. */
const SAMPLE_CHARS = 2_000

/**
 * Rejects an answer that sounds unsure or is too short for its question (row C3). Tool calls, answers under a schema
 * and bare values ("42", "12.50 EUR") are never too short: they say exactly what was asked.
 */
export function lowConfidence(options: LowConfidenceOptions = {}): ResponseValidator {
  const phrases = (options.phrases ?? HEDGING_PHRASES).map((phrase) => phrase.toLowerCase())
  const longQuestion = options.longQuestionWords ?? 12
  const ratio = options.answerPerQuestionWord ?? 0.15
  return {
    name: "low-confidence",
    validate({ message }, request) {
      if ((message.tool_calls?.length ?? 0) > 0) return { accepted: true }
      const answer = sample(message.text)
      const hedge = phrases.find((phrase) => answer.includes(phrase))
      if (hedge !== undefined) return { accepted: false, reason: `it hedges: "${hedge}"`, score: 0.3 }
      if (request.responseFormat !== undefined || isBareValue(answer)) return { accepted: true }
      const asked = countWords(lastHumanText(request))
      const words = countWords(answer)
      if (asked >= longQuestion && words < asked * ratio) {
        return { accepted: false, reason: `${words} words for a question of ${asked}`, score: 0.4 }
      }
      return { accepted: true }
    },
  }
}

function sample(text: string): string {
  const whole = text.length <= 2 * SAMPLE_CHARS
  const shown = whole ? text : `${text.slice(0, SAMPLE_CHARS)} ${text.slice(-SAMPLE_CHARS)}`
  return shown.toLowerCase().replaceAll("\u2019", "'")
}

function isBareValue(answer: string): boolean {
  return /^\W{0,3}\d[\d.,:%]{0,30}\W{0,3}[a-z]{0,12}\W{0,3}$/.test(answer.trim())
}

function lastHumanText({ messages }: RouteRequest): string {
  return messages.findLast((message) => message.getType() === "human")?.text ?? ""
}

function countWords(text: string): number {
  return text.slice(0, 2 * SAMPLE_CHARS).match(/\S+/g)?.length ?? 0
}

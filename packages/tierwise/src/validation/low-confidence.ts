import type { RouteRequest } from "../spec/request.ts"
import type { ResponseValidator } from "../spec/validation.ts"

export interface LowConfidenceOptions {
  /** Phrases that admit not knowing; matched in lower case. Default: `HEDGING_PHRASES`. */
  readonly phrases?: readonly string[] | undefined
  /** Questions of fewer words may be answered as shortly as one likes. Default 12. */
  readonly longQuestionWords?: number | undefined
  /** Words of a question count up to this many: nobody answers a pasted page with a page. Default 60. */
  readonly mostQuestionWords?: number | undefined
  /** Answer words wanted per question word, for long questions. Default 0.15. 0 turns the check off. */
  readonly answerPerQuestionWord?: number | undefined
  /** Task types whose answers are short by nature. Default: `SHORT_ANSWER_TASKS`. */
  readonly shortAnswerTasks?: readonly string[] | undefined
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

/** A label, a yes, a name: the light tasks of row E3. */
export const SHORT_ANSWER_TASKS: readonly string[] = ["intent_classification", "pii_detection", "simple_qa"]

/** An answer is judged by its first and last characters, so that a long one costs no more than a short one. */
const SAMPLE_CHARS = 2_000

/**
 * Rejects an answer that sounds unsure or is too short for its question (row C3). Tool calls, answers under a schema
 * and bare values ("42", "12.50 EUR") are never too short: they say exactly what was asked.
 */
export function lowConfidence(options: LowConfidenceOptions = {}): ResponseValidator {
  const phrases = (options.phrases ?? HEDGING_PHRASES).map((phrase) => phrase.toLowerCase())
  const longQuestion = options.longQuestionWords ?? 12
  const mostQuestion = options.mostQuestionWords ?? 60
  const ratio = options.answerPerQuestionWord ?? 0.15
  const shortTasks = options.shortAnswerTasks ?? SHORT_ANSWER_TASKS
  return {
    name: "low-confidence",
    validate({ message }, request) {
      if ((message.tool_calls?.length ?? 0) > 0) return { accepted: true }
      const answer = sample(message.text)
      const hedge = phrases.find((phrase) => answer.includes(phrase))
      if (hedge !== undefined) return { accepted: false, reason: `it hedges: "${hedge}"`, score: 0.3 }
      const mayBeShort = request.responseFormat !== undefined || shortTasks.includes(request.taskType ?? "")
      if (mayBeShort || isBareValue(answer)) return { accepted: true }
      const asked = Math.min(countWords(questionIn(request)), mostQuestion)
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

/** The last paragraph of what the human wrote: what stands before it is mostly what the question is about. */
function questionIn({ messages }: RouteRequest): string {
  const text = messages.findLast((message) => message.getType() === "human")?.text.trimEnd() ?? ""
  return text.slice(text.lastIndexOf("\n\n") + 1)
}

function countWords(text: string): number {
  return text.slice(0, 2 * SAMPLE_CHARS).match(/\S+/g)?.length ?? 0
}

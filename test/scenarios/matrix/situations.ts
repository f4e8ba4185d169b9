import type { ScriptedFault } from "@tierwise/simulator"
import { memoryBudget, type ResponseValidator, type RouterChatModelFields } from "tierwise"
import { type Entry, POOR, type Reading } from "./entries.ts"

/** What the caller is to get, and whom the router is to ask for the answer that is in trouble. */
export interface Expectation {
  /**
   * - `answers`: exactly what a plain chat model gives.
   * - `poor`: the light model's poor answer, because it has been read.
   * - `breaks`: the provider's error, after the words that were read.
   * - `aborted`: the caller's own reason.
   * - `vetoed`: BudgetExceededError.
   */
  readonly outcome: "answers" | "poor" | "breaks" | "aborted" | "vetoed"
  readonly asked: readonly string[]
}

/** Something that happens to the first answer that an entry asks for. */
export interface Situation {
  readonly name: string
  /** Requirements that its cells prove, together with their entry. */
  readonly proves: string
  readonly options?: Partial<RouterChatModelFields> | undefined
  /** What the simulator does; the light model is `sim-small`. */
  readonly faults?: ((entry: Entry) => readonly ScriptedFault[]) | undefined
  /**
   * - `light`: the light model never begins its answer.
   * - `middle`: every model stops in the middle of its words.
   */
  readonly hangs?: "light" | "middle" | undefined
  /** The caller aborts once the provider hangs. */
  readonly aborts?: boolean | undefined
  readonly expects: Readonly<Record<Reading, Expectation>>
}

/** Longer than any answer of an idle simulator takes, shorter than anybody's patience. */
const ATTEMPT_TIMEOUT_MS = 400

/** Breaks off after the opening chunk and a few words. */
const CUT_AFTER_CHUNKS = 4

const fussy: ResponseValidator = {
  name: "fussy",
  validate: ({ message }) =>
    message.text.includes(POOR) ? { accepted: false, reason: "nobody is no name" } : { accepted: true },
}

const poorAnswer = ({ poorAnswer: answer }: Entry): readonly ScriptedFault[] => [
  { model: "sim-small", answer },
]
const refuses = (status: number) => (): readonly ScriptedFault[] => [{ model: "sim-small", status }]
const cut = (): readonly ScriptedFault[] => [{ model: "sim-small", cutAfterChunks: CUT_AFTER_CHUNKS }]

const light: Expectation = { outcome: "answers", asked: ["sim-small"] }
const standard: Expectation = { outcome: "answers", asked: ["sim-small", "sim-medium"] }

export const SITUATIONS: readonly Situation[] = [
  { name: "ok", proves: "", expects: everywhere(light) },
  {
    name: "escalate",
    proves: "",
    options: { validator: fussy },
    faults: poorAnswer,
    expects: everywhere(standard),
  },
  {
    name: "escalate, ungated",
    proves: "",
    options: { validator: fussy, gate: "off" },
    faults: poorAnswer,
    expects: { whole: standard, schema: standard, live: { outcome: "poor", asked: ["sim-small"] } },
  },
  { name: "provider 500", proves: "", faults: refuses(500), expects: everywhere(standard) },
  {
    name: "429",
    proves: "",
    // An agent's next step would find it cooling down, and ask somebody else at once.
    options: { failureHandling: { "rate-limited": { coolDownMs: 0 } } },
    faults: refuses(429),
    expects: everywhere(standard),
  },
  {
    name: "mid-stream break, gated",
    proves: "",
    options: { validator: fussy },
    faults: cut,
    expects: everywhere(standard),
  },
  {
    name: "mid-stream break, ungated",
    proves: "",
    faults: cut,
    expects: { whole: standard, schema: standard, live: { outcome: "breaks", asked: ["sim-small"] } },
  },
  {
    name: "abort before the answer",
    proves: "[L1.abort-signals]",
    hangs: "light",
    aborts: true,
    expects: everywhere({ outcome: "aborted", asked: ["sim-small"] }),
  },
  {
    name: "abort in the middle",
    proves: "[L1.abort-signals]",
    hangs: "middle",
    aborts: true,
    expects: everywhere({ outcome: "aborted", asked: ["sim-small"] }),
  },
  {
    name: "attempt timeout",
    proves: "[L1.timeouts]",
    options: { attemptTimeoutMs: ATTEMPT_TIMEOUT_MS },
    hangs: "light",
    expects: everywhere(standard),
  },
  {
    name: "budget veto",
    proves: "",
    options: { budget: memoryBudget({ limits: [{ scope: "tenant", window: "total", tokens: 1 }] }) },
    expects: everywhere({ outcome: "vetoed", asked: [] }),
  },
]

function everywhere(expected: Expectation): Record<Reading, Expectation> {
  return { whole: expected, live: expected, schema: expected }
}

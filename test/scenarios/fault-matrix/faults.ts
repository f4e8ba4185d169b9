import type { ScriptedFault } from "@tierwise/simulator"

/** What goes wrong in one call, whoever is called. */
export type Fault = Omit<ScriptedFault, "model" | "times">

/** Where in an answer a fault happens. A tool call is only in answers that hold one. */
export type Place =
  | "as it arrives"
  | "before the first byte"
  | "between two bytes"
  | "after the first token"
  | "inside a tool call"
  | "just before the end"
  | "all along"

/** One row of the matrix for each of its places. */
export interface MatrixFault {
  readonly name: string
  readonly places: readonly Place[]
  /** What the simulator is to do; undefined: nobody listens at the deployment's address. */
  readonly at: (place: Place) => Fault | undefined
  /** The provider calls it a mistake of the caller's: its own error reaches the caller, and nobody else is asked. */
  readonly isMistake?: true
  /** Nothing ends it but a time-out of ours. */
  readonly hangs?: true
  /** The answer is whole and right all the same. */
  readonly isHarmless?: true
  /** The answer ends early and gives this as its finish reason: it is returned as it is. */
  readonly told?: string
  /** Words come without end: they are no beginning of a right answer. */
  readonly isEndless?: true
  /** The provider bills what its client has not seen, or cannot count: tokens after it has left, and the same one for ever. */
  readonly billsUnseen?: true
  /** No answer begins, so that it does not matter what is done in the middle of one. */
  readonly isRefusal?: true
}

const WITHIN: readonly Place[] = [
  "before the first byte",
  "after the first token",
  "inside a tool call",
  "just before the end",
]

const TO_CONNECTION: readonly Place[] = ["as it arrives", "between two bytes", ...WITHIN]

/** Fewer than the opening of any answer, streamed or whole, so that none of its words is out. */
const FIRST_BYTES = 60

const PLACES = {
  "as it arrives": "arrival",
  "before the first byte": "start",
  "between two bytes": { bytes: FIRST_BYTES },
  "after the first token": "first-token",
  "inside a tool call": "tool-call",
  "just before the end": "end",
  "all along": "start",
} as const satisfies Record<Place, NonNullable<ScriptedFault["breaks"]>["at"]>

/** Shorter than the time-out of a stall, longer than any pause between two tokens. */
const HICCUP_MS = 20

/**
 * Whatever the simulator can do, but for one: `duplicateChunks` makes a provider say other words than it means, and nothing in
 * the answer tells them from words that are meant.
 */
export const FAULTS: readonly MatrixFault[] = [
  breaking("cut", TO_CONNECTION),
  // What was sent may be lost on its way.
  { ...breaking("reset", TO_CONNECTION), billsUnseen: true },
  breaking("ends", ["between two bytes", ...WITHIN]),
  breaking("unfinished", WITHIN),
  breaking("error", WITHIN),
  breaking("truncated", WITHIN),
  { ...breaking("garbled", WITHIN), billsUnseen: true },
  { ...breaking("content-filter", WITHIN), told: "content_filter" },
  {
    name: "stalls for ever",
    places: TO_CONNECTION,
    hangs: true,
    at: (place) => ({ breaks: { how: "stalls", at: PLACES[place] } }),
  },
  {
    name: "stalls and goes on",
    places: TO_CONNECTION,
    isHarmless: true,
    at: (place) => ({ breaks: { how: "stalls", at: PLACES[place], forMs: HICCUP_MS } }),
  },
  {
    name: "never ends",
    places: WITHIN,
    hangs: true,
    isEndless: true,
    billsUnseen: true,
    at: (place) => ({ breaks: { how: "endless", at: PLACES[place], everyMs: 50 } }),
  },
  { ...refused("waits in line for ever", { delayMs: 3_600_000 }), hangs: true },
  refused("refuses connections", undefined),
  ...[400, 422].map((status): MatrixFault => ({ ...refused(`${status}`, { status }), isMistake: true })),
  ...[401, 403, 404, 408, 409, 413, 429, 500, 503, 504, 529].map((status) =>
    refused(`${status}`, { status, retryAfter: "none" }),
  ),
  ...(
    [
      "openai-context-overflow",
      "vllm-context-overflow",
      "vllm-context-overflow-flat",
      "azure-content-filter",
      "openai-quota-exhausted",
      "azure-rate-limit",
    ] as const
  ).map((refusal) => refused(refusal, { refusal })),
  refused("a web page with 502", { html: true, status: 502 }),
  refused("a web page with 200", { html: true }),
  refused("headers of 40,000 bytes", { headerBytes: 40_000 }),
  refused("no choices", { emptyChoices: true }),
  ...(["missing", "negative", "too-high", "wrong-total"] as const).map((usage) =>
    harmless(`usage is ${usage}`, { usage }),
  ),
  harmless("usage is null", {
    usage: { prompt_tokens: null, completion_tokens: null, total_tokens: null },
  }),
  harmless("drips", { drip: { bytes: 97, everyMs: 0 } }),
]

type PlainBreak = Exclude<NonNullable<ScriptedFault["breaks"]>["how"], "stalls" | "endless">

function breaking(how: PlainBreak, places: readonly Place[]): MatrixFault {
  return { name: how, places, at: (place) => ({ breaks: { how, at: PLACES[place] } }) }
}

function refused(name: string, fault: Fault | undefined): MatrixFault {
  return { name, places: ["before the first byte"], isRefusal: true, at: () => fault }
}

function harmless(name: string, fault: Fault): MatrixFault {
  return { name, places: ["all along"], isHarmless: true, at: () => fault }
}

/**
 * How much of each kind of work a model carries before it starts to lose some. Work one below the capacity is done
 * nearly always, work at the capacity mostly, work one above it seldom, work beyond that never.
 */
export interface Skill {
  /** Dependent steps of a calculation. */
  readonly steps: number
  /** Facts followed one after the other. */
  readonly hops: number
  /** Fields of one form. */
  readonly fields: number
  /** Records kept while reading a long text. */
  readonly records: number
  /** Tools told apart. */
  readonly tools: number
  /** Tool calls kept in mind at once. */
  readonly calls: number
  /** Side remarks and look-alikes that must be set aside. */
  readonly nuances: number
  /** Words of prose before the thread is lost. */
  readonly words: number
  /** How demanding an open question may be, on a scale of 1 (small talk) to 10. */
  readonly insight: number
  /** Chance of a careless slip in any one piece of work, 0 … 1, however easy. */
  readonly slip: number
}

/** One kind of work a model can run out of. */
export type Faculty = Exclude<keyof Skill, "slip">

/** In real milliseconds before `timeScale` is applied. */
export interface SimulatedLatency {
  /** Until the first token, before the prompt is read. */
  readonly firstTokenMs: number
  /** Added to that for every thousand input tokens that were not cached. */
  readonly perThousandInputMs: number
  readonly tokensPerSecond: number
}

/** USD per million tokens, at most six decimals. */
export interface SimulatedPrice {
  readonly inputPerMTok: number
  /** Default: `inputPerMTok`. */
  readonly cachedInputPerMTok?: number | undefined
  readonly outputPerMTok: number
}

/** One model that the server offers. */
export interface SimulatedModel {
  /** The name clients ask for. Unique in the server. */
  readonly id: string
  /** `"echo"` gives the last message back and thinks nothing: for measuring everything but the model. */
  readonly skill: Skill | "echo"
  readonly price: SimulatedPrice
  /** Tokens; input and output must fit together. */
  readonly contextWindow: number
  /** Tokens of one answer. */
  readonly maxOutputTokens: number
  /** `"none"`: answers at once, whatever the time scale. */
  readonly latency: SimulatedLatency | "none"
}

/**
 * The models of a server that names none: three of rising skill, price and latency, and `sim-echo`. The numbers are
 * invented to resemble the spread between the tiers of today's providers; they describe no real model.
 */
export const DEFAULT_MODELS: readonly SimulatedModel[] = [
  {
    id: "sim-small",
    skill: {
      steps: 3,
      hops: 2,
      fields: 7,
      records: 7,
      tools: 6,
      calls: 2,
      nuances: 2,
      words: 130,
      insight: 3,
      slip: 0.004,
    },
    price: { inputPerMTok: 0.1, cachedInputPerMTok: 0.05, outputPerMTok: 0.4 },
    contextWindow: 8_192,
    maxOutputTokens: 4_096,
    latency: { firstTokenMs: 180, perThousandInputMs: 12, tokensPerSecond: 160 },
  },
  {
    id: "sim-medium",
    skill: {
      steps: 5,
      hops: 4,
      fields: 15,
      records: 18,
      tools: 13,
      calls: 3,
      nuances: 4,
      words: 320,
      insight: 6,
      slip: 0.001,
    },
    price: { inputPerMTok: 0.6, cachedInputPerMTok: 0.3, outputPerMTok: 2.4 },
    contextWindow: 32_768,
    maxOutputTokens: 8_192,
    latency: { firstTokenMs: 380, perThousandInputMs: 20, tokensPerSecond: 95 },
  },
  {
    id: "sim-large",
    skill: {
      steps: 10,
      hops: 9,
      fields: 40,
      records: 70,
      tools: 48,
      calls: 9,
      nuances: 9,
      words: 900,
      insight: 11,
      slip: 0.0002,
    },
    price: { inputPerMTok: 3, cachedInputPerMTok: 1.5, outputPerMTok: 12 },
    contextWindow: 131_072,
    maxOutputTokens: 16_384,
    latency: { firstTokenMs: 720, perThousandInputMs: 35, tokensPerSecond: 55 },
  },
  {
    id: "sim-echo",
    skill: "echo",
    price: { inputPerMTok: 0.1, cachedInputPerMTok: 0.05, outputPerMTok: 0.4 },
    contextWindow: 131_072,
    maxOutputTokens: 16_384,
    latency: "none",
  },
]

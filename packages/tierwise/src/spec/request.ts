import type { BaseMessage } from "@langchain/core/messages"

/** A rung of strength. Tiers are ordered, cheapest first; the default names are light, standard and heavy. */
export type Tier = string

/** What an agent declares about itself: the tier it must have, or the tiers it may have (row E3). */
export type AgentSpec =
  | { readonly tier: Tier }
  | { readonly minTier?: Tier | undefined; readonly maxTier?: Tier | undefined }

/** Who pays and who is asking: scope → id, e.g. `{ tenant: "acme", user: "u-17" }`. Budgets limit by these. */
export type Scopes = Readonly<Record<string, string>>

/**
 * What is done with the words of an answer that a stronger tier may still replace.
 * - `full`: they are held back until the answer has been judged, and come in one burst.
 * - `off`: they are shown at once; what has been shown is not replaced.
 */
export type Gate = "off" | "full"

/**
 * What a caller may tell the router about one call. All optional; they travel as call options
 * (`model.invoke(messages, { taskType: "simple_qa" })`) or under `configurable.tierwise`.
 */
export interface RouteHints {
  /** Pins the call: this tier and no other. */
  readonly tier?: Tier | undefined
  /** What kind of step this is, e.g. `intent_classification`; the policy may give it a tier. */
  readonly taskType?: string | undefined
  readonly agentSpec?: AgentSpec | undefined
  /** 0 = as cheap as possible, 0.5 = the thresholds as configured (default), 1 = as good as possible. */
  readonly preference?: number | undefined
  /** Capabilities of the asking agent, e.g. `["security_analysis"]` (row E1). */
  readonly capabilities?: readonly string[] | undefined
  /** Size of the retrieved context in tokens, as the caller knows it. Undeclared context never raises difficulty. */
  readonly contextLength?: number | undefined
  readonly scopes?: Scopes | undefined
  /** Labels a deployment must carry, e.g. `{ region: "eu" }`. */
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** The most output tokens wanted from this call. */
  readonly maxOutputTokens?: number | undefined
  /**
   * Whose conversation it is. Calls of one session go to the same of several equal deployments as long as it is there, so that
   * its prompt cache is warm.
   */
  readonly session?: string | undefined
  /** How urgent it is where calls have to wait: 0 (default) the most urgent. */
  readonly priority?: number | undefined
  /** What the whole call may take, ms, with all its attempts. Default: the router's `deadlineMs`. */
  readonly deadlineMs?: number | undefined
  /** Free-form facts for the user's own rules, e.g. `{ queryType: "metric_lookup", entities: 2 }` (row D1). */
  readonly attributes?: Readonly<Record<string, unknown>> | undefined
}

/**
 * What is done when an answer breaks off after its reader has words of it.
 * - `error`: StreamBrokenError, with the words and what they cost.
 * - `restart`: a marker tells the reader to forget what it has, and another deployment answers from the beginning.
 * - `continue`: a marker tells the reader that another deployment goes on from there. Plain text only.
 *
 * Where a tool call has begun in the words of a stream it is always `error`: nobody is to make the same call twice.
 */
export type MidStream = "error" | "restart" | "continue"

/** A schema the answer must follow. */
export interface ResponseFormat {
  readonly name: string
  /** JSON Schema. */
  readonly schema: Readonly<Record<string, unknown>>
}

/** One call, as every room sees it. Provider-specific options and callbacks stay with the door. */
export interface RouteRequest extends RouteHints {
  readonly messages: readonly BaseMessage[]
  /** Tool definitions in any form LangChain accepts; kept raw until the deployment is known. */
  readonly tools?: readonly unknown[] | undefined
  readonly responseFormat?: ResponseFormat | undefined
}

/** What can be counted without asking anyone. Plain JSON, no prompt text: it is kept on the record. */
export interface RequestFeatures {
  /** Estimated tokens of everything that is sent: messages, tools and schema. */
  readonly inputTokens: number
  /** UTF-8 bytes of everything that is sent: no byte-level tokenizer makes more tokens than bytes. */
  readonly inputBytes: number
  /** Estimated tokens of what the human asks now. */
  readonly askTokens: number
  /** Messages in the conversation. */
  readonly messages: number
  /** Human turns, the present one included. */
  readonly turns: number
  readonly toolsOffered: number
  /** True in the middle of a tool loop: the last message is a tool's result. */
  readonly toolResultsPending: boolean
  readonly images: number
  /** Audio clips, and their bytes where they are sent inline. */
  readonly audioClips: number
  readonly files: number
  /** Bytes of inline media (base64 decoded); 0 for media sent as URLs. */
  readonly mediaBytes: number
  readonly wantsSchema: boolean
  /** True if what the human asks holds code. */
  readonly hasCode: boolean
  /** The language of what the human asks as BCP 47, as far as it can be told; `und` otherwise. */
  readonly language: string
  readonly taskType: string | undefined
  readonly capabilities: readonly string[]
  /** Declared retrieved context in tokens, capped at `MAX_CONTEXT_LENGTH`. */
  readonly contextLength: number
}

/** The words the human wrote. Estimators read them; they are not kept on the record. */
export interface AskedText {
  /** The last human turn, without pasted documents beyond `MAX_ASK_CHARS`. */
  readonly ask: string
  /** Human turns before it, newest first, at most three. */
  readonly earlier: readonly string[]
}

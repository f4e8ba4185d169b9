import type { AIMessage } from "@langchain/core/messages"
import type { RouteRequest } from "./request.ts"

/** Good enough? A rejected answer escalates one tier; the top tier's answer is returned with its verdict. */
export type Verdict =
  | { readonly accepted: true; readonly score?: number | undefined }
  | { readonly accepted: false; readonly reason: string; readonly score?: number | undefined }

export interface Answer {
  readonly message: AIMessage
  /** Present when a schema was asked for and the answer followed it. */
  readonly parsed?: unknown
  /** True if the schema's own parser has accepted `parsed`, which it may have transformed. */
  readonly conforms?: boolean | undefined
  /** Present when a schema was asked for and the answer broke it. */
  readonly parseError?: string | undefined
  /** True if the model's package threw the answer's words away, and its usage with them. */
  readonly unseen?: boolean | undefined
}

export interface ResponseValidator {
  /** Stable name for the record. */
  readonly name: string
  validate(answer: Answer, request: RouteRequest): Verdict | Promise<Verdict>
}

import type { ReplyMetadata } from "../langchain/reply.ts"
import type { Answer } from "../spec/validation.ts"

/** An answer with its story, as far as the reply tells it. */
export interface Routed {
  readonly answer: Answer
  readonly reply: ReplyMetadata
}

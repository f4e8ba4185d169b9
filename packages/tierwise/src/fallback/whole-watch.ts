import type { Callbacks } from "@langchain/core/callbacks/manager"
import type { AIMessage } from "@langchain/core/messages"
import { isBaseMessage } from "@langchain/core/messages"
import { type FinishReasons, whenSaidWhy } from "../langchain/finish-reason.ts"
import type { Link } from "./chain-parts.ts"

export interface WholeWatchOptions {
  readonly link: Pick<Link<never, unknown>, "model" | "under">
  readonly finishReasons: FinishReasons
  readonly callbacks: Callbacks | undefined
  /** True where the messages that come do not say why they ended, though their runs did. */
  readonly onlyRunsSayWhy: boolean
}

/** Sees whether the answer of one try is whole. Of a link without a chat model every answer is. */
export interface WholeWatch {
  /** What its link is to be called with. */
  readonly callbacks: Callbacks | undefined
  saw(output: unknown): void
  /** @throws TruncatedError (by name) for an answer that was cut off. */
  ended(): void
}

export function wholeWatch({
  link,
  finishReasons,
  callbacks,
  onlyRunsSayWhy,
}: WholeWatchOptions): WholeWatch {
  const model = link.model ?? link.under
  if (model === undefined) return { callbacks, saw: () => {}, ended: () => {} }
  // Under a schema there are no messages; and what comes out of a model's cache may have lost its reason on the way.
  const listens = onlyRunsSayWhy || link.model?.cache !== undefined || link.under !== undefined
  let saidWhy = false
  let isWhole = false
  return {
    callbacks: listens
      ? whenSaidWhy(callbacks, () => {
          saidWhy = true
        })
      : callbacks,
    saw(output) {
      if (!isWhole && isBaseMessage(output))
        isWhole = finishReasons.isWhole(model, { message: output as AIMessage })
    },
    ended() {
      if (isWhole || finishReasons.mayEnd(model, saidWhy)) return
      const error = new Error("the answer ended without a finish reason")
      throw Object.assign(error, { name: "TruncatedError" })
    },
  }
}

import { dispatchCustomEvent } from "@langchain/core/callbacks/dispatch/web"
import { CallbackManager } from "@langchain/core/callbacks/manager"
import type { RunnableConfig } from "@langchain/core/runnables"

/**
 * Tells the handlers of a call, and the readers of its `streamEvents`, of something that is no word of an answer. What a
 * handler makes of it changes nothing; where nobody listens nothing is done.
 */
export async function announce(name: string, data: object, config: RunnableConfig): Promise<void> {
  const { callbacks } = config
  if (!(callbacks instanceof CallbackManager) || callbacks.getParentRunId() === undefined) return
  await dispatchCustomEvent(name, data, config).catch(() => {})
}

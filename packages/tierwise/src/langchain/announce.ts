import { dispatchCustomEvent } from "@langchain/core/callbacks/dispatch/web"
import { CallbackManager } from "@langchain/core/callbacks/manager"
import type { RunnableConfig } from "@langchain/core/runnables"
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons"

/**
 * Tells the handlers of a call, the readers of its `streamEvents`, and those of a graph's `custom` stream mode, of something
 * that is no word of an answer. What they make of it changes nothing; where nobody listens nothing is done.
 */
export async function announce(name: string, data: object, config: RunnableConfig): Promise<void> {
  tellGraph({ type: name, ...data }, config)
  const { callbacks } = config
  if (!(callbacks instanceof CallbackManager) || callbacks.getParentRunId() === undefined) return
  await dispatchCustomEvent(name, data, config).catch(() => {})
}

/** LangGraph's way to its `custom` readers, in the config of every node. */
interface InGraph {
  readonly writer?: ((part: unknown) => unknown) | undefined
}

function tellGraph(part: object, config: RunnableConfig & InGraph): void {
  // A node that calls us without its config has it in its context.
  const around = AsyncLocalStorageProviderSingleton.getRunnableConfig() as InGraph | undefined
  const writer = config.writer ?? around?.writer
  if (typeof writer !== "function") return
  try {
    writer(part)
  } catch {
    // A graph that has ended reads no more.
  }
}

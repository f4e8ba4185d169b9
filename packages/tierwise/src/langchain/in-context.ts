import type { RunnableConfig } from "@langchain/core/runnables"
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons"

/** A model that calls others without a config calls them in this attempt's name: hidden if it is hidden. */
export function inContext<T>(config: RunnableConfig, work: () => Promise<T>): Promise<T> {
  if (config.callbacks === undefined) return work()
  return AsyncLocalStorageProviderSingleton.runWithConfig<Promise<T>>(config, work)
}

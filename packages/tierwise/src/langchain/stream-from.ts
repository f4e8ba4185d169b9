import type { RunnableConfig } from "@langchain/core/runnables"
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons"
import { IterableReadableStream } from "@langchain/core/utils/stream"

/**
 * A stream of what a generator yields. Waits for the first value, in the context of `config`, and rejects if there is none
 * to be had.
 */
export async function streamFrom<T>(
  values: AsyncGenerator<T>,
  config: RunnableConfig,
): Promise<IterableReadableStream<T>> {
  const first = await AsyncLocalStorageProviderSingleton.runWithConfig<Promise<IteratorResult<T>>>(
    config,
    () => values.next(),
    true,
  )
  let isFirst = true
  const rest: Pick<AsyncGenerator<T>, "next" | "return"> = {
    next: () => {
      if (!isFirst) return values.next()
      isFirst = false
      return Promise.resolve(first)
    },
    return: (value: unknown) => values.return(value),
  }
  return IterableReadableStream.fromAsyncGenerator(rest as AsyncGenerator<T>)
}

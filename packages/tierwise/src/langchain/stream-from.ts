import type { RunnableConfig } from "@langchain/core/runnables"
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons"
import { IterableReadableStream } from "@langchain/core/utils/stream"

/**
 * A stream of what a generator yields. Waits for the first value, in the context of `config`, and rejects if there is none
 * to be had. `onLeave` is called when the reader walks away, and whatever the generator throws then is nobody's any more.
 */
export async function streamFrom<T>(
  values: AsyncGenerator<T>,
  config: RunnableConfig,
  onLeave: () => void,
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
    return: (value: unknown) => {
      onLeave()
      return values.return(value).catch(() => ({ done: true, value: undefined }))
    },
  }
  return IterableReadableStream.fromAsyncGenerator(rest as AsyncGenerator<T>)
}

import type { StallWatch } from "./stall-watch.ts"

/**
 * The rest of an answer, for its reader to take directly: piece by piece through all the rooms costs more than many a
 * piece does. It ends when the answer ends, also when it ends badly; whoever handed it over then says how.
 */
export interface Relay<P> extends AsyncIterable<P> {
  /** What the reader has taken adds up to; undefined: it has taken nothing. Ask when there is no more to come. */
  taken(): P | undefined
  /** How the answer ended; undefined: the reader has not come to its end. */
  ending(): Ending | undefined
  /** Whether the provider is at work on the next piece, or pieces have been taken since this was asked last. */
  goesOn(): boolean
  close(): void
}

export type Ending = { readonly ended: "well" } | { readonly ended: "badly"; readonly error: unknown }

/**
 * @param signal Ends the rest at once, also where the other side ignores it.
 * @param watch Told when a piece is asked for, and when it has come.
 */
export function relay<P>(
  rest: AsyncIterator<P>,
  join: (pieces: readonly P[]) => P,
  signal: AbortSignal | undefined,
  watch?: Pick<StallWatch, "asked" | "arrived">,
): Relay<P> {
  const pieces: P[] = []
  let joined: P | undefined
  let ending: Ending | undefined
  let isAsked = false
  let counted = 0
  /** Ends the reader's wait for the next piece. */
  let wake: ((result: IteratorResult<P>) => void) | undefined

  const end = (how: Ending): IteratorResult<P> => {
    ending ??= how
    return { done: true, value: undefined }
  }
  const arrived = () => {
    isAsked = false
    watch?.arrived()
  }
  const took = (result: IteratorResult<P>): IteratorResult<P> => {
    arrived()
    // A piece that comes after the end is nobody's any more.
    if (result.done === true || ending !== undefined) return end({ ended: "well" })
    pieces.push(result.value)
    return result
  }
  const failed = (error: unknown) => {
    arrived()
    return end({ ended: "badly", error })
  }
  const onAbort = () => {
    const ended = end({ ended: "badly", error: signal?.reason })
    wake?.(ended)
  }
  signal?.addEventListener("abort", onAbort, { once: true })

  const next = (): Promise<IteratorResult<P>> => {
    if (signal?.aborted === true) onAbort()
    if (ending !== undefined) return Promise.resolve({ done: true, value: undefined })
    isAsked = true
    watch?.asked()
    if (signal === undefined) return rest.next().then(took, failed)
    return new Promise((resolve) => {
      wake = resolve
      void rest.next().then(took, failed).then(resolve)
    })
  }
  return {
    [Symbol.asyncIterator]: () => ({ next }),
    taken() {
      if (joined === undefined && pieces.length > 0) joined = join(pieces)
      return joined
    },
    ending: () => ending,
    goesOn() {
      const moved = pieces.length > counted
      counted = pieces.length
      return isAsked || moved
    },
    close: () => signal?.removeEventListener("abort", onAbort),
  }
}

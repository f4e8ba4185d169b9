/** An abort of our own that follows somebody else's. */
export interface LinkedAbort {
  /** Fires when the parent does, with its reason, or when we abort. */
  readonly signal: AbortSignal
  readonly abort: (reason: unknown) => void
  /** Lets go of the parent: no long-lived signal gathers listeners. */
  readonly unlink: () => void
}

/** What `AbortSignal.any` with a controller of our own would be, at a fraction of its cost; but it must be unlinked. */
export function linkedAbort(parent: AbortSignal | undefined): LinkedAbort {
  const own = new AbortController()
  const follow = () => own.abort(parent?.reason)
  if (parent?.aborted === true) follow()
  else parent?.addEventListener("abort", follow, { once: true })
  return {
    signal: own.signal,
    abort: (reason) => own.abort(reason),
    unlink: () => parent?.removeEventListener("abort", follow),
  }
}

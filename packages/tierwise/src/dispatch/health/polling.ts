export interface PollingOptions {
  /** Never rejects. */
  readonly ask: () => Promise<void>
  /** From one answer to the next question, ms. */
  readonly pollMs: number
  /** After it a call that has not ended counts as lost, ms. */
  readonly longestCallMs: number
  /** Whether something has to be told yet. */
  readonly hasUntold: () => boolean
  readonly now: () => number
}

/** Asks again and again while it is of use, and keeps no program alive. */
export interface Polling {
  /** Somebody wants to know. */
  used(): void
  callBegan(): void
  callEnded(): void
  /** Nobody will want to know any more: it goes on only until all is told. */
  end(): void
}

/** After the last use it goes on asking for so long, ms. */
const QUIET_AFTER_MS = 5_000

export function polling({ ask, pollMs, longestCallMs, hasUntold, now }: PollingOptions): Polling {
  let underWay = 0
  let lastUsedAt = Number.NEGATIVE_INFINITY
  let isPolling = false
  let hasEnded = false
  let timer: unknown

  function used(): void {
    lastUsedAt = now()
    if (isPolling || !isOfUse()) return
    isPolling = true
    void poll()
  }

  async function poll(): Promise<void> {
    await ask()
    if (!isOfUse()) {
      isPolling = false
      return
    }
    timer = setTimeout(() => void poll(), pollMs)
    ;(timer as { unref?: () => void }).unref?.()
  }

  /** Neither calls that never end nor a store that never comes back are a reason to ask for ever. */
  function isOfUse(): boolean {
    if (hasEnded && !hasUntold()) return false
    const at = now()
    // A clock that was set back.
    lastUsedAt = Math.min(lastUsedAt, at)
    const isBusy = underWay > 0 || hasUntold()
    return at - lastUsedAt < (isBusy ? Math.max(longestCallMs, QUIET_AFTER_MS) : QUIET_AFTER_MS)
  }

  return {
    used,
    callBegan() {
      underWay++
      used()
    },
    callEnded() {
      underWay--
      used()
    },
    end() {
      hasEnded = true
      if (hasUntold()) return
      isPolling = false
      clearTimeout(timer as Parameters<typeof clearTimeout>[0])
    },
  }
}

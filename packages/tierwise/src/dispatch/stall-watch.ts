import { graceMs } from "./patient-timer.ts"

/** Sees whether the next piece of an answer that has begun takes too long. */
export interface StallWatch {
  /** The provider is at work on the next piece. */
  asked(): void
  /** It has come, or will not. How long its reader takes for it is no stall. */
  arrived(): void
  end(): void
}

/**
 * Calls `onStall` once when a piece has been asked for `stallMs` ago and has not come; later where this process was too busy to
 * hear of it. One timer watches over many pieces: one for each would be a good part of what a piece costs.
 */
export function stallWatch(stallMs: number, now: () => number, onStall: () => void): StallWatch {
  let askedAt: number | undefined
  /** With this piece. */
  let wasPatient = false
  let timer: ReturnType<typeof setTimeout> | undefined

  function look(): void {
    timer = undefined
    if (askedAt === undefined) return
    // A clock that was set back must not make it wait longer.
    const leftMs = Math.min(askedAt + stallMs - now(), stallMs)
    const more = leftMs > 0 ? leftMs : wasPatient ? 0 : graceMs(-leftMs, stallMs)
    wasPatient = leftMs <= 0
    if (more > 0) timer = setTimeout(look, more)
    else onStall()
  }

  return {
    asked() {
      askedAt = now()
      wasPatient = false
      timer ??= setTimeout(look, stallMs)
    },
    arrived() {
      askedAt = undefined
    },
    end() {
      askedAt = undefined
      clearTimeout(timer)
      timer = undefined
    },
  }
}

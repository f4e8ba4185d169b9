/** Who wants to know. */
export interface Listeners<Told> {
  /** Returns what ends it. */
  readonly add: (listener: (told: Told) => void) => () => void
  /** A listener has no say in what follows: what it throws, or rejects with later, is ignored. */
  readonly tell: (told: Told) => void
}

export function listeners<Told>(): Listeners<Told> {
  // Each in a box of its own: one that is added twice is told twice.
  const boxes = new Set<{ readonly listener: (told: Told) => void }>()
  return {
    add(listener) {
      const box = { listener }
      boxes.add(box)
      return () => void boxes.delete(box)
    },
    tell(told) {
      for (const { listener } of boxes) {
        try {
          const returned: unknown = listener(told)
          if (returned instanceof Promise) returned.catch(() => {})
        } catch {
          // Nobody who listens may keep a call from its end.
        }
      }
    },
  }
}

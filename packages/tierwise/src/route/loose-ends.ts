/** What goes on when the call it was done for has gone, such as giving back money that came too late. */
export interface LooseEnds {
  /** @param work Never rejects. */
  add(work: Promise<void>): void
  /** Resolves when all that was added has ended, or the time is over, ms. */
  tied(withinMs: number): Promise<void>
}

export function looseEnds(): LooseEnds {
  const open = new Set<Promise<void>>()

  async function allTied(): Promise<void> {
    while (open.size > 0) await Promise.all(open)
  }

  return {
    add(work) {
      open.add(work)
      void work.then(() => open.delete(work))
    },
    async tied(withinMs) {
      let timer: ReturnType<typeof setTimeout> | undefined
      const over = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, withinMs)
      })
      await Promise.race([allTied(), over])
      clearTimeout(timer)
    },
  }
}

/** Asks a server. Rejects if it does not answer in time. */
export type Ask = <T>(ask: () => Promise<T>) => Promise<T>

interface Question {
  readonly askedAt: number
  readonly giveUp: (error: Error) => void
}

/**
 * Waits for each answer `timeoutMs` at most. While one is overdue, only one question per `timeoutMs` is asked and the
 * others fail at once, until all have come, or a later one has in time: a client that queues what it cannot send would
 * gather them all, and send them in a burst.
 *
 * One timer watches over all questions: one for each would be a good part of what a question costs. It keeps no program
 * alive.
 */
export function inTime(timeoutMs: number, now: () => number = () => performance.now()): Ask {
  /** In the order in which they were asked, and so become overdue. */
  const open = new Set<Question>()
  const overdue = new Set<Question>()
  let nextAskAt = Number.NEGATIVE_INFINITY
  let isWatching = false

  function watch(delayMs: number): void {
    isWatching = true
    const timer: unknown = setTimeout(look, delayMs)
    ;(timer as { unref?: () => void }).unref?.()
  }

  function look(): void {
    isWatching = false
    for (const question of open) {
      const leftMs = question.askedAt + timeoutMs - now()
      if (leftMs > 0) {
        watch(leftMs)
        return
      }
      open.delete(question)
      overdue.add(question)
      nextAskAt = now() + timeoutMs
      question.giveUp(new Error(`it did not answer within ${timeoutMs} ms`))
    }
  }

  function heard(question: Question, isAnswered: boolean): void {
    const isInTime = open.delete(question)
    overdue.delete(question)
    // One that has come in time shows that the server is well: those before it may never come.
    if (isAnswered && isInTime) overdue.clear()
  }

  return (ask) =>
    new Promise((resolve, reject) => {
      const askedAt = now()
      if (overdue.size > 0) {
        if (askedAt < nextAskAt) throw new Error(`it has not answered for more than ${timeoutMs} ms`)
        nextAskAt = askedAt + timeoutMs
      }
      const question: Question = { askedAt, giveUp: reject }
      const answer = ask()
      answer.then(
        () => heard(question, true),
        () => heard(question, false),
      )
      answer.then(resolve, reject)
      open.add(question)
      if (!isWatching) watch(timeoutMs)
    })
}

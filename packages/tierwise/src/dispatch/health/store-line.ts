import { messageOf } from "../../spec/errors.ts"

/** Steps at the store that rest on each other. */
export interface Steps {
  /** How many the store has not answered yet. */
  waiting: number
  /** Settles with the last of them, when its answer has been taken over. */
  last: Promise<unknown>
}

export function noSteps(): Steps {
  return { waiting: 0, last: Promise.resolve() }
}

/** Asks the store, and says when it went away. */
export interface StoreLine {
  /** Undefined: the store is away. */
  ask<Answer>(question: () => Promise<Answer>): Promise<Answer | undefined>
  /**
   * When all steps before it were taken. The answer is taken over while the step still counts as waiting: nothing that
   * others tell comes between. Undefined: the store is away.
   */
  inTurn<Answer, Taken>(
    steps: Steps,
    step: () => Promise<Answer>,
    takeOver: (answer: Answer) => Taken,
  ): Promise<Taken | undefined>
}

/** @param onProblem Told once until it is back. */
export function storeLine(name: string, onProblem: (error: Error) => void): StoreLine {
  let isAway = false

  function away(error: unknown): undefined {
    if (isAway) return
    isAway = true
    const problem = `The shared health "${name}" is not available: ${messageOf(error)}. This process goes on with what it knows.`
    onProblem(new Error(problem, { cause: error }))
  }

  async function ask<Answer>(question: () => Promise<Answer>): Promise<Answer | undefined> {
    try {
      const answer = await question()
      isAway = false
      return answer
    } catch (error) {
      return away(error)
    }
  }

  return {
    ask,
    async inTurn(steps, step, takeOver) {
      steps.waiting++
      const taken = ask(() => steps.last.then(step).then(takeOver))
      steps.last = taken
      try {
        return await taken
      } finally {
        steps.waiting--
      }
    },
  }
}

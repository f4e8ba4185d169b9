/** Money that is held for one run. */
export interface OpenHold {
  /** Gives it back: nobody was called. */
  drop(): Promise<void>
}

/**
 * The runs that one call of a model starts: one for each of its prompts, and each told to every handler. LangChain starts
 * them together, and when one is refused it calls nobody for any of them, and ends none.
 */
export interface CallGroup {
  /** Takes a run for a ledger. False: it is taken, by the same handler in another place or by another one. */
  claim(ledger: string, runId: string): boolean
  /**
   * Holds for one run. Undefined: another one of the group was refused, and nothing is held.
   * @throws what `holding` throws; then every hold of the group has been given back.
   */
  join<H extends OpenHold>(holding: Promise<H>): Promise<H | undefined>
  /** True once a run of the group has reported what all of them together have used. */
  hasReported: boolean
}

/** Every handler finds the same group, also one of another copy of this package. */
const GROUP = Symbol.for("tierwise.call-group")

/** @param extraParams What LangChain hands to the start of every run of one call, the same object each time. */
export function callGroupOf(extraParams: object | undefined): CallGroup {
  if (extraParams === undefined || !Object.isExtensible(extraParams)) return newGroup()
  const known = (extraParams as { readonly [GROUP]?: CallGroup })[GROUP]
  if (known !== undefined) return known
  const group = newGroup()
  // Not enumerable: tracers copy and print what is.
  Object.defineProperty(extraParams, GROUP, { value: group })
  return group
}

function newGroup(): CallGroup {
  const claimed = new Set<string>()
  const joining: Promise<unknown>[] = []
  const granted: OpenHold[] = []
  let isRefused = false

  /** Also what is granted only now: nobody else would give it back. */
  async function holdOrDrop<H extends OpenHold>(holding: Promise<H>): Promise<H | undefined> {
    const hold = await holding
    if (isRefused) {
      await hold.drop()
      return undefined
    }
    granted.push(hold)
    return hold
  }

  return {
    claim(ledger, runId) {
      const name = JSON.stringify([ledger, runId])
      if (claimed.has(name)) return false
      claimed.add(name)
      return true
    },
    async join(holding) {
      const joined = holdOrDrop(holding)
      joining.push(joined)
      try {
        return await joined
      } catch (error) {
        isRefused = true
        await Promise.allSettled(joining)
        await Promise.all(granted.splice(0).map((hold) => hold.drop()))
        throw error
      }
    },
    hasReported: false,
  }
}

import type { HealthStore, SharedCooldown } from "../../spec/health.ts"
import type { Cooldowns } from "./cooldowns.ts"
import type { KnownCooldown, SharedTarget } from "./shared-target.ts"
import type { StoreLine } from "./store-line.ts"
import { endOf, lasting, leftOf } from "./time-left.ts"

export interface CooldownSharingOptions {
  readonly store: HealthStore
  readonly line: StoreLine
  readonly cooldowns: Cooldowns
  readonly now: () => number
}

/** Tells other processes of pauses that targets asked this one for, and takes over theirs. */
export interface CooldownSharing {
  cooled(target: SharedTarget, until: number, because: string): void
  warmed(target: SharedTarget): void
  hear(target: SharedTarget, pause: SharedCooldown): void
  /** What the store did not hear: the others would go on calling what asked for a pause, or not know that it is called off. */
  tellAgain(): Promise<unknown>
  readonly hasUntold: boolean
}

/** Others learn of a cooldown that grew by less with the next one that does not, ms. */
const SMALL_STEP_MS = 1_000

export function cooldownSharing(options: CooldownSharingOptions): CooldownSharing {
  const { store, line, cooldowns, now } = options
  const untold = new Set<SharedTarget>()

  function cooled(target: SharedTarget, until: number, because: string): void {
    const { cooldown } = target
    const at = now()
    const toldUntil = cooldown.told && endOf(cooldown.told, at)
    if (cooldown.untold === undefined && until - (toldUntil ?? 0) < SMALL_STEP_MS) return
    cooldown.told = lasting(until, at)
    cooldown.untold = { pause: lasting(until, at), because }
    void tell(target)
  }

  function warmed(target: SharedTarget): void {
    target.cooldown.told = undefined
    target.cooldown.untold = "called-off"
    void tell(target)
  }

  async function tell(target: SharedTarget): Promise<void> {
    untold.add(target)
    const { cooldown } = target
    await line.inTurn(
      cooldown.steps,
      () => tellUntold(target),
      (answer) => answer && note(cooldown, answer),
    )
    takeOverNews(target)
  }

  /** All that was found out until its turn has come is told at once: the latest counts. */
  async function tellUntold(target: SharedTarget): Promise<SharedCooldown | undefined> {
    const { cooldown, breaker } = target
    const found = cooldown.untold
    if (found === undefined) return undefined
    const leftMs = found === "called-off" ? 0 : leftOf(found.pause, now())
    let answer: SharedCooldown | undefined
    if (found === "called-off") answer = await store.warm(breaker.key)
    else if (leftMs > 0) answer = await store.cool(breaker.key, leftMs, found.because)
    if (cooldown.untold === found) {
      cooldown.untold = undefined
      untold.delete(target)
    }
    return answer
  }

  function hear(target: SharedTarget, pause: SharedCooldown): void {
    note(target.cooldown, pause)
    takeOverNews(target)
  }

  function note(cooldown: KnownCooldown, pause: SharedCooldown): void {
    if (pause.version <= Math.max(cooldown.known, cooldown.news?.pause.version ?? 0)) return
    cooldown.news = { pause, until: now() + pause.forMs }
  }

  function takeOverNews({ breaker, cooldown }: SharedTarget): void {
    const { news, steps } = cooldown
    // What this process has found out itself is on its way, and may be newer.
    if (news === undefined || steps.waiting > 0 || cooldown.untold !== undefined) return
    cooldown.news = undefined
    if (news.pause.version <= cooldown.known) return
    cooldown.known = news.pause.version
    if (news.pause.isCalledOff) {
      cooldown.told = undefined
      cooldowns.clear(breaker.key)
    } else if (news.pause.forMs > 0) {
      cooldown.told = lasting(news.until, now())
      cooldowns.cool(breaker.key, news.until, news.pause.because)
    }
  }

  return {
    cooled,
    warmed,
    hear,
    // A step that waits already tells it when its turn has come.
    tellAgain: () =>
      Promise.all(
        [...untold].map((target) => {
          const { steps } = target.cooldown
          return steps.waiting > 0 ? steps.last : tell(target)
        }),
      ),
    get hasUntold() {
      return untold.size > 0
    },
  }
}

import { atLeast, atMost, type Bar, type Bench, rounded } from "../bench.ts"
import { type KillStory, killStory } from "./kill-story.ts"

const WORKERS = 6
const KILLS = 60

/** A ledger whose processes are killed, one a second: is every bill in it, and no limit broken? */
export const bench: Bench = {
  async run(progress) {
    const story = await killStory({ workers: WORKERS, kills: KILLS, everyMs: 1_000, seed: 1, progress })
    return {
      figures: { workers: WORKERS, ...story, ofBilled: rounded(story.booked / story.billed) },
      bars: barsOf(story),
    }
  },
}

/**
 * An estimate has no bar here: of a stream that its reader leaves, the provider bills what it had generated before it
 * noticed, and how much that is depends on how busy the machine is. The figures tell; `bill` measures estimates.
 */
function barsOf(story: KillStory): readonly Bar[] {
  return [
    atMost("writes that broke a limit", story.breaches, 0),
    atMost("NanoUsd spent beyond holds", story.overrun, 0),
    atMost("complaints of SQLite's integrity check", story.integrity === "ok" ? 0 : 1, 0),
    atMost("billed requests that were never held", story.withoutHold, 0),
    atMost("billed requests that are not booked", story.billedAndNotBooked, 0),
    atMost("expired holds booked below the bill", story.unconfirmedBelowBill, 0),
    atMost("settlements of reported usage that differ from the bill", story.notExact, 0),
    atLeast("booked, of what was billed", story.booked / story.billed, 1),
    atMost("NanoUsd still held at the end", story.heldAtEnd, 0),
    atMost("NanoUsd between the two scopes", story.scopesAstray, 0),
    atMost("NanoUsd between the ledger and its holds", story.rowsAstray, 0),
    // A story without these would prove nothing.
    atLeast("processes killed", story.killed, KILLS),
    atLeast("holds that outlived their process", story.unconfirmed, KILLS),
    atLeast("calls refused", story.refused, KILLS),
    atLeast("answers replaced by those of the next tier", story.escalated, 1),
    atLeast("settlements of reported usage", story.reported, 5 * KILLS),
    atLeast("highest share of a limit in use", story.highestShare, 0.9),
  ]
}

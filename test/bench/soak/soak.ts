import { atLeast, atMost, type Bench, rounded } from "../bench.ts"
import { soakStory } from "./soak-story.ts"

const DEFAULT_SECONDS = 1_800
const CALLS_PER_SECOND = 50
const SAMPLES = 60
const SHORTEST_SAMPLE_MS = 3_000

/** A router under steady load, among failures: does it keep anything of a call that is over? */
export const bench: Bench = {
  async run(progress) {
    const seconds = secondsFrom(process.env["TIERWISE_SOAK_SECONDS"])
    const sampleEveryMs = Math.max(SHORTEST_SAMPLE_MS, (seconds * 1_000) / SAMPLES)
    const story = await soakStory({ seconds, callsPerSecond: CALLS_PER_SECOND, sampleEveryMs, progress })
    const { heapMb, handlesShift, socketsShift } = story
    return {
      figures: {
        seconds,
        callsPerSecond: CALLS_PER_SECOND,
        ...story,
        heapBytesPerCall: rounded((heapMb.rise * 1e6) / story.calls),
      },
      bars: [
        atMost("heap after collection: rise over the run beyond its noise, MB", heapMb.riseBeyondNoise, 1),
        atMost("heap after collection: rise over the run, MB", heapMb.rise, 5),
        atMost("handles more at the end than at the beginning", handlesShift, 0),
        atMost("sockets more at the end than at the beginning", socketsShift, 4),
        atMost("NanoUsd still held at the end", story.heldAtEnd, 0),
        atLeast("answered, of the calls whose callers stayed", story.answeredShare, 0.98),
        // A soak without these would prove nothing.
        atLeast("calls that the provider did not answer whole", story.faults, seconds),
        atLeast("calls", story.calls, seconds * CALLS_PER_SECOND * 0.5),
      ],
    }
  },
}

function secondsFrom(text: string | undefined): number {
  if (text === undefined || text === "") return DEFAULT_SECONDS
  const seconds = Number(text)
  if (seconds >= 30) return seconds
  throw new Error(`TIERWISE_SOAK_SECONDS is ${text}: give seconds, 30 or more`)
}

import type { Piece } from "./answer.ts"
import type { SimulatedLatency } from "./models.ts"
import type { Sleep } from "./options.ts"

export interface PaceOptions {
  readonly latency: SimulatedLatency | "none"
  readonly timeScale: number
  /** Input tokens that have to be read, the cached ones not among them. */
  readonly freshInputTokens: number
  /** Choices generated side by side. */
  readonly choices: number
  readonly sleep: Sleep
  readonly signal: AbortSignal
}

// A timer cannot wait for less than a millisecond, so short waits are saved up.
const SHORTEST_WAIT_MS = 4

/**
 * The pieces, each when it is due: after the time to the first token, then at the model's tokens per second.
 * Ends by throwing the signal's reason when it aborts.
 */
export async function* paced(pieces: readonly Piece[], options: PaceOptions): AsyncGenerator<Piece> {
  const { latency, timeScale, freshInputTokens, choices, sleep, signal } = options
  if (latency === "none" || timeScale === 0) {
    yield* pieces
    return
  }
  let owed = timeScale * (latency.firstTokenMs + (latency.perThousandInputMs * freshInputTokens) / 1_000)
  const perToken = (timeScale * 1_000) / latency.tokensPerSecond / choices
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) owed += perToken * piece.tokens
    if (owed >= SHORTEST_WAIT_MS || index === 0) {
      await sleep(owed, signal)
      owed = 0
    }
    signal.throwIfAborted()
    yield piece
  }
  if (pieces.length === 0 || owed >= 1) await sleep(owed, signal)
}

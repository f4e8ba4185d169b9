import type { Choice, FinishReason, Piece } from "./answer.ts"
import type { Breaking, Fault, FaultPlace } from "./faults.ts"
import type { JsonObject, JsonValue } from "./protocol.ts"

/** An answer as it will be given, which a fault may have changed. */
export interface GivenAnswer {
  readonly choices: readonly GivenChoice[]
  readonly pieces: readonly Piece[]
}

export type GivenChoice = Pick<Choice, "index" | "message"> & {
  readonly finishReason: FinishReason | "content_filter" | null
}

export type ShownPiece = Piece & { readonly delta: JsonObject }

/** What happens to an answer on its way, its fields at hand. */
export interface Happening {
  readonly how: Breaking["how"]
  readonly at?: FaultPlace | undefined
  readonly forMs?: number | undefined
  readonly everyMs?: number | undefined
}

/** What a fault has happen, whichever way it was asked for. */
export function breakingOf(fault: Fault | undefined): Happening | undefined {
  if (fault?.cutAfterChunks !== undefined) return { how: "cut", at: { chunks: fault.cutAfterChunks } }
  if (fault?.errorAfterChunks !== undefined) return { how: "error", at: { chunks: fault.errorAfterChunks } }
  return fault?.breaks
}

/** After how many bytes of the body; undefined if the place is no number of bytes. */
export function bytesBefore(at: FaultPlace | undefined): number | undefined {
  return typeof at === "object" && "bytes" in at ? at.bytes : undefined
}

/** After how many chunks of a stream, those with the roles included; undefined for a place that no chunk is before. */
export function chunksBefore(at: FaultPlace = "first-token", answer: GivenAnswer): number | undefined {
  if (typeof at === "object") return "chunks" in at ? at.chunks : undefined
  if (at === "arrival") return undefined
  const shown = answer.pieces.filter(isShown)
  const opening = Math.max(1, answer.choices.length)
  const end = opening + shown.length
  const inCall = shown.findIndex(({ delta }) => argumentsOf(delta, 0) !== "")
  const places = {
    start: 0,
    "first-token": Math.min(opening + 1, end),
    "tool-call": inCall === -1 ? end : opening + inCall + 1,
    end,
  }
  return places[at]
}

/** The answer as the fault will have it, before anything of it is generated. */
export function changedAnswer(answer: GivenAnswer, fault: Fault | undefined): GivenAnswer {
  if (fault?.emptyChoices === true) return { choices: [], pieces: [] }
  const breaking = breakingOf(fault)
  const finishReason = breaking === undefined ? undefined : LAST_REASONS[breaking.how]
  if (finishReason === undefined) return answer
  return cutShort(answer, chunksBefore(breaking?.at, answer) ?? 0, finishReason)
}

/** What there is of an answer after so many chunks of its stream. */
export function cutShort(
  { choices, pieces }: GivenAnswer,
  chunks: number,
  finishReason: GivenChoice["finishReason"],
): GivenAnswer {
  const kept = piecesWithin(pieces, chunks - Math.max(1, choices.length))
  return {
    pieces: kept,
    choices: choices.map(({ index, message }) => {
      const deltas = kept.filter(isShown).flatMap(({ choice, delta }) => (choice === index ? [delta] : []))
      return { index, message: messageOf(message, deltas), finishReason }
    }),
  }
}

export function isShown(piece: Piece): piece is ShownPiece {
  return piece.delta !== "thought"
}

/** These only change how the answer ends, and need nothing on the way. */
const LAST_REASONS: Readonly<Partial<Record<Breaking["how"], "content_filter" | null>>> = {
  "content-filter": "content_filter",
  unfinished: null,
}

function piecesWithin(pieces: readonly Piece[], mostShown: number): readonly Piece[] {
  let shown = 0
  const end = pieces.findIndex((piece) => {
    if (isShown(piece)) shown += 1
    return shown > Math.max(0, mostShown)
  })
  return end === -1 ? pieces : pieces.slice(0, end)
}

function messageOf(message: JsonObject, deltas: readonly JsonObject[]): JsonObject {
  const { tool_calls: calls } = message
  if (!Array.isArray(calls)) {
    const words = deltas.map(({ content }) => (typeof content === "string" ? content : ""))
    return { ...message, content: words.join("") }
  }
  const begun = calls.filter((_, at) => deltas.some((delta) => callIn(delta)?.index === at))
  const written = (begun as readonly WrittenCall[]).map((call, at) => {
    const given = deltas.map((delta) => argumentsOf(delta, at)).join("")
    return { ...call, function: { ...call.function, arguments: given } }
  })
  return { ...message, tool_calls: written }
}

interface WrittenCall {
  readonly [key: string]: JsonValue
  readonly function: JsonObject
}

/** What a piece adds to the arguments of the call at this index. */
function argumentsOf(delta: JsonObject, at: number): string {
  const call = callIn(delta)
  return call?.index === at ? call.function.arguments : ""
}

/** The tool call that a piece belongs to; undefined for one of a text. */
export function callIn({ tool_calls: calls }: JsonObject): CallDelta | undefined {
  return Array.isArray(calls) ? (calls[0] as CallDelta | undefined) : undefined
}

interface CallDelta {
  readonly index: number
  readonly function: { readonly arguments: string }
}

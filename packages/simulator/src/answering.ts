import type { Piece } from "./answer.ts"
import {
  breakingOf,
  bytesBefore,
  changedAnswer,
  chunksBefore,
  type GivenAnswer,
  isShown,
  type ShownPiece,
} from "./breaking.ts"
import { BETWEEN_CHUNKS, TO_CONNECTION } from "./happenings.ts"
import { bill, chunkOf, headOf, type Job, reportedUsage, streamsUsage } from "./job.ts"
import { faultyOutlet, type Outlet, outlet } from "./outlet.ts"
import { paced } from "./pace.ts"
import type { JsonObject } from "./protocol.ts"
import { eventStream } from "./stream.ts"
import { wholeBody } from "./whole-body.ts"

/** Generates an answer, bills it as it comes, and gives it out as far as the job's fault lets it. */
export async function give(job: Job, meant: GivenAnswer): Promise<"completed" | "failed"> {
  const { call, request, fault } = job
  const answer = changedAnswer(meant, fault)
  job.pieces = answer.pieces
  const breaking = breakingOf(fault)
  const happens = breaking && BETWEEN_CHUNKS[breaking.how]
  const happensAfter = happens && chunksBefore(breaking.at, answer)
  const out = outletOf(job)
  const form = request.stream === true ? eventStream(call.response, out) : wholeBody(job, answer, out)

  let chunks = 0
  let last: ShownPiece | undefined
  const isOver = async (next: JsonObject): Promise<boolean> => {
    return (await happens?.({ ...breaking, job, form, chunks, last, next })) === false
  }
  for await (const { chunk, piece } of eventsOf(job, answer)) {
    if (chunk !== undefined && chunks === happensAfter && (await isOver(chunk))) return "failed"
    // Before it is sent: a reader may take it and leave while the sender still waits for room.
    if (piece !== undefined) bill(job, piece)
    if (chunk === undefined) continue
    chunks += 1
    if (piece !== undefined && isShown(piece)) last = piece
    const copies = piece !== undefined && fault?.duplicateChunks === true ? 2 : 1
    for (let copy = 0; copy < copies; copy += 1) if (!(await form.send(chunk))) return "failed"
  }
  const isStillToCome = happensAfter !== undefined && happensAfter >= chunks
  if (isStillToCome && (await isOver(headOf(job, "chat.completion.chunk")))) return "failed"
  return (await form.finish()) ? "completed" : "failed"
}

/** Where a job's bytes go, and between two of which its fault may happen. */
function outletOf(job: Job): Outlet {
  const { call, fault, settings } = job
  const breaking = breakingOf(fault)
  const afterBytes = bytesBefore(breaking?.at)
  if (afterBytes === undefined && fault?.drip === undefined) return outlet(call.response, call.signal)
  return faultyOutlet(call.response, call.signal, {
    afterBytes,
    happen: async () => (breaking && (await TO_CONNECTION[breaking.how]?.({ ...breaking, job }))) ?? true,
    drip: fault?.drip,
    sleep: settings.sleep,
  })
}

/** One of the chunks that a stream is made of, or a thought, which shows nothing; with the piece that it costs. */
interface AnswerEvent {
  readonly chunk?: JsonObject
  readonly piece?: Piece
}

/** Everything that makes up an answer, each when it is due. Also what is not streamed is generated like this. */
async function* eventsOf(job: Job, answer: GivenAnswer): AsyncGenerator<AnswerEvent> {
  const source = generated(job, answer)[Symbol.asyncIterator]()
  // Headers leave with the first token, as they do at a provider that is still thinking.
  let next = await source.next()
  yield* openingOf(job, answer)
  for (; next.done !== true; next = await source.next()) {
    const piece = next.value
    yield isShown(piece) ? { chunk: chunkOf(job, piece, null), piece } : { piece }
  }
  yield* closingOf(job, answer)
}

function* openingOf(job: Job, { choices }: GivenAnswer): Generator<AnswerEvent> {
  const delta = { role: "assistant", content: "", refusal: null }
  for (const { index } of choices) yield { chunk: chunkOf(job, { choice: index, delta }, null) }
  if (choices.length === 0) yield { chunk: { ...headOf(job, "chat.completion.chunk"), choices: [] } }
}

function* closingOf(job: Job, { choices }: GivenAnswer): Generator<AnswerEvent> {
  for (const { index, finishReason } of choices)
    yield { chunk: chunkOf(job, { choice: index, delta: {} }, finishReason) }
  const usage = streamsUsage(job) ? reportedUsage(job) : undefined
  if (usage !== undefined) yield { chunk: { ...headOf(job, "chat.completion.chunk"), choices: [], usage } }
}

function generated({ call, model, settings, billed }: Job, { pieces }: GivenAnswer): AsyncIterable<Piece> {
  const { inputTokens, cachedInputTokens } = billed
  return paced(pieces, {
    latency: model.latency,
    timeScale: settings.timeScale,
    freshInputTokens: inputTokens - cachedInputTokens,
    choices: new Set(pieces.map(({ choice }) => choice)).size,
    sleep: settings.sleep,
    signal: call.signal,
  })
}

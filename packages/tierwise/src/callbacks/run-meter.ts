import { AIMessage, AIMessageChunk, type UsageMetadata } from "@langchain/core/messages"
import type { Generation, LLMResult } from "@langchain/core/outputs"
import { classifyFailure } from "../dispatch/failures/classify-failure.ts"
import { mayBeBilled } from "../dispatch/failures/failure-handling.ts"
import { hasContent } from "../langchain/piece.ts"
import { generatedText, reportedUsage } from "../langchain/usage.ts"
import { type MeterOptions, meterAnswer } from "../route/meter-answer.ts"
import type { NanoUsd } from "../spec/money.ts"
import { addUsage, type Usage } from "../spec/usage.ts"
import type { CallGroup } from "./call-group.ts"

/** What a run did cost. */
export interface Spent {
  readonly usage: Usage
  readonly cost: NanoUsd
}

/** Counts one run of a model from what LangChain tells of it. */
export interface RunMeter {
  see(message: AIMessageChunk): void
  /** Undefined: another run of its group has reported it. */
  ended(result: LLMResult): Spent | undefined
  /** Undefined: nobody can have billed it. */
  failed(error: unknown, callerAborted: boolean): Spent | undefined
  /** Of a run that cannot be counted. */
  quoted(): Spent | undefined
}

export function runMeter(options: MeterOptions, group: CallGroup): RunMeter {
  const pieces = meterAnswer(options)
  let reportedByPieces: Usage | undefined
  let isOpen = false

  function see(message: AIMessage | AIMessageChunk): void {
    const report = reportedUsage(message)
    reportedByPieces = addUsage(reportedByPieces, report)
    isOpen ||= report !== undefined || hasContent({ message })
    pieces.see({ message })
  }

  return {
    see,
    ended(result) {
      const answers = answersIn(result)
      const reports = answers.map(reportedUsage).filter((report) => report !== undefined)
      const isWhole = reports.length > 0
      if (!isWhole && group.hasReported && isReportedElsewhere(result)) return undefined
      if (isWhole) group.hasReported = true
      // LangChain adds up what pieces report, and not every package's reports are meant to be added.
      const sawAllReports = reports.length === 1 && isSame(reportedByPieces, reports[0])
      if (sawAllReports) return spent(pieces.read("answered", false))
      const meter = meterAnswer(options)
      // An answer that says and reports nothing has gone past us, and may have been long.
      const isUnseen = !isWhole && answers.every((message) => generatedText(message) === "")
      for (const message of answers) meter.see({ message, unseen: isUnseen })
      return spent(meter.read("answered", false))
    },
    failed(error, callerAborted) {
      const partial = partialAnswer(error)
      if (!isOpen && partial !== undefined) see(partial)
      const context = { callerAborted: callerAborted || isAbort(error), timedOut: false, fromProvider: true }
      return spent(pieces.read("failed", isOpen || mayBeBilled(classifyFailure(error, context), error)))
    },
    quoted: () => spent(meterAnswer(options).read("failed", true)),
  }
}

function spent({
  usage,
  cost,
}: {
  readonly usage: Usage | undefined
  readonly cost: NanoUsd
}): Spent | undefined {
  return usage && { usage, cost }
}

type Told = Partial<Generation> & { readonly message?: AIMessage | undefined }

/** One message for each answer, at least one. A model that has no messages reports its usage beside its texts. */
function answersIn({ generations, llmOutput }: LLMResult): readonly AIMessage[] {
  // A stream without any chunk has ended without a generation.
  const told = generations.flat().filter((each: Told | undefined) => each !== undefined) as readonly Told[]
  const messages = told.map(({ message, text }) => message ?? new AIMessage(text ?? ""))
  const [first = new AIMessage(""), ...more] = messages
  if ([first, ...more].some((message) => reportedUsage(message) !== undefined)) return [first, ...more]
  const usage_metadata = usageBeside(llmOutput)
  return usage_metadata === undefined ? [first, ...more] : [withUsage(first, usage_metadata), ...more]
}

function withUsage(message: AIMessage, usage_metadata: UsageMetadata): AIMessage {
  return Object.create(message, { usage_metadata: { value: usage_metadata } }) as AIMessage
}

function usageBeside(llmOutput: LLMResult["llmOutput"]): UsageMetadata | undefined {
  const usage = tokenUsageOf(llmOutput)
  const { promptTokens: input_tokens, completionTokens: output_tokens } = usage ?? {}
  if (typeof input_tokens !== "number" || typeof output_tokens !== "number") return undefined
  return { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens }
}

/** Of the prompts that are sent in one request, LangChain leaves the usage of all with the first, and `{}` with the others. */
function isReportedElsewhere({ llmOutput }: LLMResult): boolean {
  const usage = tokenUsageOf(llmOutput)
  return usage !== undefined && Object.keys(usage).length === 0
}

function tokenUsageOf(llmOutput: LLMResult["llmOutput"]): Readonly<Record<string, unknown>> | undefined {
  const usage: unknown = llmOutput?.["tokenUsage"]
  return typeof usage === "object" && usage !== null
    ? (usage as Readonly<Record<string, unknown>>)
    : undefined
}

function isSame(a: Usage | undefined, b: Usage | undefined): boolean {
  return a?.inputTokens === b?.inputTokens && a?.outputTokens === b?.outputTokens
}

/** LangChain's abort errors bring what was said until then. */
function partialAnswer(error: unknown): AIMessage | AIMessageChunk | undefined {
  const { partialOutput } = (error ?? {}) as { readonly partialOutput?: unknown }
  return AIMessage.isInstance(partialOutput) || AIMessageChunk.isInstance(partialOutput)
    ? partialOutput
    : undefined
}

const ABORTS: readonly unknown[] = ["AbortError", "ModelAbortError", "APIUserAbortError"]

function isAbort(error: unknown): boolean {
  const { name, constructor: made } = (error ?? {}) as Named & { readonly constructor?: Named }
  return ABORTS.includes(name) || ABORTS.includes(made?.name)
}

interface Named {
  readonly name?: unknown
}

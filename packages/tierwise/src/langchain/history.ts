import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { AIMessage, BaseMessage, ToolMessage } from "@langchain/core/messages"
import { type CallIds, callIds, isSafeCallId } from "./history-call-ids.ts"
import { isFrom, type Origin, originOf } from "./history-origin.ts"
import { ownReply } from "./history-own.ts"
import { portablePrompt, portableResult } from "./history-prompt.ts"
import { portableReply } from "./history-reply.ts"

/** Who is about to be sent the conversation. */
export interface HistoryTarget {
  /** Undefined: it has no name in a router; replies are told apart by their model alone. */
  readonly deploymentId?: string | undefined
  readonly model: BaseChatModel
}

/**
 * The conversation in a form that `target` takes, whoever wrote the replies in it.
 *
 * Its own replies go through as they are: it wants its reasoning and signatures back. The replies of others keep their
 * words and tool calls, and lose what only their own model can read. Ids of tool calls that a provider would refuse, or
 * that are there twice, are replaced in the call and in its result; longer histories give the same ids to the same calls.
 *
 * Changes no message, and returns the array that was given if it can be sent as it is. Linear.
 */
export function historyFor(messages: BaseMessage[], target: HistoryTarget): BaseMessage[] {
  if (!messages.some(needsALook)) return messages
  const origin = originOf(target)
  const foreign = new Set(messages.filter((message) => isReply(message) && isForeign(message, origin)))
  const ids = callIds(callsKept(messages, foreign))
  const portable = messages.flatMap((message, index) => {
    if (!foreign.has(message)) return portableTurn(message, ids, target, origin)
    const answered = resultsAfter(messages, index)
    return portableReply(message as AIMessage, { ids, dialect: origin.dialect, answered }) ?? []
  })
  const isSame = portable.length === messages.length && portable.every((sent, at) => sent === messages[at])
  return isSame ? messages : portable
}

/** Only replies and content blocks can be bound to a provider. */
function needsALook(message: BaseMessage): boolean {
  return isReply(message) || typeof message.content !== "string"
}

function isReply(message: BaseMessage): message is AIMessage {
  return message.type === "ai"
}

/**
 * A reply of unknown origin in plain words may have been written by the user, and anybody takes it. Ollama's package
 * loses the calls of replies in standard blocks, and sends nothing back that only Ollama can read.
 */
function isForeign(message: AIMessage, origin: Origin): boolean {
  if (origin.dialect === "ollama" && message.response_metadata["output_version"] === "v1") return true
  const own = isFrom(message, origin)
  return own === undefined ? typeof message.content !== "string" || hasUnsafeIds(message) : !own
}

function hasUnsafeIds({ tool_calls }: AIMessage): boolean {
  return (tool_calls ?? []).some(({ id }) => !isSafeCallId(id))
}

/** Ids in replies that are sent as they are: no other call may be given one of them. */
function* callsKept(messages: readonly BaseMessage[], foreign: ReadonlySet<BaseMessage>): Iterable<string> {
  for (const message of messages) {
    if (!isReply(message) || foreign.has(message)) continue
    for (const { id } of message.tool_calls ?? []) if (id !== undefined) yield id
  }
}

/** Ids of the calls whose results follow the reply at `index`. */
function resultsAfter(messages: readonly BaseMessage[], index: number): ReadonlySet<string> {
  const answered = new Set<string>()
  for (let at = index + 1; at < messages.length; at++) {
    const message = messages[at] as BaseMessage
    if (isReply(message)) break
    if (message.type === "tool") answered.add((message as ToolMessage).tool_call_id)
  }
  return answered
}

function portableTurn(
  message: BaseMessage,
  ids: CallIds,
  { model }: HistoryTarget,
  { dialect }: Origin,
): BaseMessage {
  if (message.type === "tool") return portableResult(message as ToolMessage, ids, { dialect, model })
  if (!isReply(message)) return portablePrompt(message, { dialect, model })
  ids.next()
  return ownReply(message, dialect)
}

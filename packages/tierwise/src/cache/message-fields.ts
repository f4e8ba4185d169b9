import {
  AIMessage,
  type AIMessageChunk,
  type AIMessageFields,
  type UsageMetadata,
} from "@langchain/core/messages"

/** What an answer is made of, and nothing that is derived from it. */
export type MessageFields = Pick<
  AIMessage,
  "content" | "additional_kwargs" | "response_metadata" | "tool_calls" | "invalid_tool_calls"
> & {
  readonly id?: string | undefined
  readonly name?: string | undefined
  readonly usage_metadata?: UsageMetadata | undefined
}

/**
 * A deep copy of a message's fields. LangChain's own form for storage would not do: it leaves out what was set after
 * the message was made (usage, name) and the content of `outputVersion: "v1"`, and wraps data that has an `lc` key.
 *
 * @throws DataCloneError if a field holds what cannot be copied, a function for one.
 */
export function fieldsOf(message: AIMessage | AIMessageChunk): MessageFields {
  const { content, additional_kwargs, response_metadata, id, name } = message
  const { tool_calls, invalid_tool_calls } = message
  const usage_metadata = message.usage_metadata as UsageMetadata | undefined
  return structuredClone({
    content,
    additional_kwargs,
    response_metadata,
    tool_calls: tool_calls ?? [],
    invalid_tool_calls: invalid_tool_calls ?? [],
    ...(id !== undefined && { id }),
    ...(name !== undefined && { name }),
    ...(usage_metadata !== undefined && { usage_metadata }),
  })
}

/** A message of its own: it shares nothing with the fields it was made from. */
export function messageFrom(fields: MessageFields): AIMessage {
  const { additional_kwargs, ...rest } = structuredClone(fields)
  const message = new AIMessage(rest as AIMessageFields)
  // Set afterwards: the constructor warns of raw tool calls that did not parse, which is no news here.
  message.additional_kwargs = additional_kwargs
  return message
}

/** True for what `fieldsOf` made, as far as can be told from the outside. */
export function areFields(value: unknown): value is MessageFields {
  if (typeof value !== "object" || value === null) return false
  const { content, additional_kwargs, response_metadata, tool_calls, invalid_tool_calls } =
    value as Partial<MessageFields>
  return (
    (typeof content === "string" || isListOfObjects(content)) &&
    isObject(additional_kwargs) &&
    isObject(response_metadata) &&
    isListOfObjects(tool_calls) &&
    isListOfObjects(invalid_tool_calls)
  )
}

function isListOfObjects(value: unknown): boolean {
  return Array.isArray(value) && value.every(isObject)
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

import type { BaseMessage } from "@langchain/core/messages"

/**
 * A copy that is the reader's own: the original may lie in a link's cache, which writes on it, and so do agents on what
 * they get.
 *
 * @param id Default: the message's. Some packages leave the id of a stream's last chunk to LangChain, which gives it
 * another than the first has, and what goes by ids then sees two messages.
 */
export function ownMessage<Message extends BaseMessage>(
  message: Message,
  id: string | undefined = message.id,
): Message {
  const copy = Object.create(Object.getPrototypeOf(message) as object) as Message
  return Object.assign(copy, message, {
    id,
    additional_kwargs: { ...message.additional_kwargs },
    response_metadata: { ...message.response_metadata },
    lc_kwargs: { ...message.lc_kwargs, ...(id !== undefined && { id }) },
  })
}

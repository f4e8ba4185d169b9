import type { BaseMessage } from "@langchain/core/messages"

/** A copy of the message, of its class, with some fields replaced. */
export function copyOf<M extends BaseMessage>(message: M, fields: Readonly<Record<string, unknown>>): M {
  const copy = Object.create(Object.getPrototypeOf(message) as object) as M
  return Object.assign(copy, message, fields)
}

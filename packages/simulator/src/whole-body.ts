import { type AnswerForm, beginAnswer, firstHalf } from "./answer-form.ts"
import { breakingOf, cutShort, type GivenAnswer } from "./breaking.ts"
import { headOf, type Job, reportedUsage } from "./job.ts"
import type { Outlet } from "./outlet.ts"
import type { JsonObject } from "./protocol.ts"

/** An answer as one JSON body. Nothing is sent before it is complete. */
export function wholeBody(job: Job, answer: GivenAnswer, out: Outlet): AnswerForm {
  let isGarbled = false
  const send = (text: string): Promise<boolean> => {
    beginAnswer(job.call.response, {
      "content-type": "application/json",
      // What ends early as if it were complete cannot have said how long it would be.
      ...(breakingOf(job.fault)?.how === "ends" ? {} : { "content-length": Buffer.byteLength(text) }),
    })
    return out.end(text)
  }
  return {
    send: async () => true,
    finish: () => {
      const text = JSON.stringify(bodyOf(job, answer))
      if (!isGarbled) return send(text)
      const half = firstHalf(text)
      return send(`${half}\u0000}{ garbled${text.slice(half.length)}`)
    },
    leave: async (chunks) => {
      await send(JSON.stringify(bodyOf(job, cutShort(answer, chunks, null))))
    },
    fail: async (body) => {
      await send(JSON.stringify(body))
    },
    halve: async () => {
      await send(firstHalf(JSON.stringify(bodyOf(job, answer))))
    },
    garble: async () => {
      isGarbled = true
      return true
    },
  }
}

function bodyOf(job: Job, { choices }: GivenAnswer): JsonObject {
  const usage = reportedUsage(job)
  return {
    ...headOf(job, "chat.completion"),
    choices: choices.map(({ index, message, finishReason }) => {
      return { index, message, logprobs: null, finish_reason: finishReason }
    }),
    ...(usage === undefined ? {} : { usage }),
  }
}

import { AIMessageChunk } from "@langchain/core/messages"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { StreamBrokenError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import {
  breakBehind,
  forgetful,
  isRestart,
  restartMark,
  sinceRestart,
  withoutRestarts,
} from "./is-restart.ts"

const words = (content: string) =>
  new AIMessageChunk({ content, response_metadata: { model_provider: "openai" } })

const fields = { deploymentId: "small", failure: "truncated", partial: "The sea", cost: nanoUsd(1) } as const
const broken = new StreamBrokenError(fields, undefined)
const markNow = () => restartMark(broken)

const joined = (chunks: readonly AIMessageChunk[]) => chunks.reduce((sum, chunk) => sum.concat(chunk))

/** As something that goes by fields would. */
function copyOf(chunk: AIMessageChunk): AIMessageChunk {
  const copy = Object.create(Object.getPrototypeOf(chunk) as object) as AIMessageChunk
  return Object.assign(copy, chunk, { response_metadata: { ...chunk.response_metadata } })
}

describe("the mark of a restart", () => {
  it("is told from words, has none, and can be written down", () => {
    const mark = markNow()
    expect([isRestart(mark), isRestart(words("Hello")), mark.text]).toEqual([true, false, ""])
    expect(JSON.parse(JSON.stringify(mark))).toMatchObject({
      kwargs: { content: [{ type: "tierwise_restart" }], response_metadata: { tierwise_restarts: 1 } },
    })
  })

  it("knows the break that it stands for, and its copies and other chunks do not", () => {
    const all = [markNow(), copyOf(markNow()), words("Hello")]
    expect(all.map(breakBehind)).toEqual([broken, undefined, undefined])
  })

  it("throws where it is added to a text", () => {
    const read = () => words("The sea").text + (markNow().content as unknown as string)
    expect(read).toThrow(TypeError)
  })

  it("is no part of what is joined to it", () => {
    const whole = joined([markNow(), words("It is "), words("salty.")])
    expect([whole.content, isRestart(whole)]).toEqual(["It is salty.", true])
    expect(withoutRestarts(whole).response_metadata).toEqual({ model_provider: "openai" })
  })

  it("stands between what joins without a look at it", () => {
    const whole = joined([words("The sea "), markNow(), words("It is salty.")])
    expect(whole.content).toMatchObject([
      { type: "text", text: "The sea " },
      { type: "tierwise_restart" },
      { type: "text", text: "It is salty." },
    ])
    expect(isRestart(whole)).toBe(true)
  })
})

describe("a chunk that joins forgetfully", () => {
  it("adds up to what came after the last mark, whoever has copied the mark", () => {
    const answers = fc.array(fc.array(fc.string({ minLength: 1 }), { minLength: 1 }), { minLength: 1 })
    fc.assert(
      fc.property(answers, fc.boolean(), (texts, isCopied) => {
        const mark = isCopied ? copyOf(markNow()) : markNow()
        const chunks = texts.flatMap((text, at) => [...(at > 0 ? [mark] : []), ...text.map(words)])
        const whole = joined([forgetful(chunks[0] as AIMessageChunk), ...chunks.slice(1)])
        expect(whole.content).toBe(texts.at(-1)?.join(""))
        expect(isRestart(whole)).toBe(texts.length > 1)
      }),
    )
  })

  it("says the same of itself as before", () => {
    const [chunk, plain] = [forgetful(words("Hello")), words("Hello")]
    expect(JSON.stringify(chunk)).toBe(JSON.stringify(plain))
    expect(Object.keys(chunk)).toEqual(Object.keys(plain))
    expect(JSON.stringify(chunk.concat(words("!")))).toBe(JSON.stringify(plain.concat(words("!"))))
  })
})

describe("sinceRestart", () => {
  it("leaves what came before the last mark out, and everything in where there is none", () => {
    const [a, b, mark] = [words("a"), words("b"), markNow()]
    const since = (chunks: readonly AIMessageChunk[]) => sinceRestart(chunks, (chunk) => chunk)
    expect(since([a, b])).toEqual([a, b])
    expect(since([a, mark, b])).toEqual([mark, b])
  })
})

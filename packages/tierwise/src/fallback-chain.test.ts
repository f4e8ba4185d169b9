import { AIMessage, AIMessageChunk } from "@langchain/core/messages"
import { RunnableLambda } from "@langchain/core/runnables"
import { fakeModel } from "@langchain/core/testing"
import { describe, expect, it, vi } from "vitest"
import { FallbackChain, type FallbackLink } from "./fallback-chain.ts"
import { CandidatesExhaustedError, ConfigError, InvalidRequestError } from "./spec/errors.ts"

const down = Object.assign(new Error("down"), { status: 401 })
const link = (tier: string, act: (input: string) => string): FallbackLink<string, string> => ({
  tier,
  runnable: RunnableLambda.from(act),
})
const answers = (tier: string) => link(tier, (input) => `${tier}: ${input}`)
const fails = (tier: string, error: Error = down) =>
  link(tier, () => {
    throw error
  })
const chain = (...links: FallbackLink<string, string>[]) => new FallbackChain({ links })

describe("FallbackChain over any Runnable", () => {
  it("answers with the first tier, and says that it did [L2.fallback-over-any-runnable] [E6.answer] [E6.answering-tier]", async () => {
    const result = await chain(answers("light"), answers("heavy")).answer("hi")
    expect(result).toMatchObject({
      output: "light: hi",
      answeredBy: { tier: "light", deploymentId: "light" },
    })
  })

  it("falls back to the next tier and says which one really answered [E6.chain]", async () => {
    const { output, answeredBy, attempts } = await chain(fails("light"), answers("heavy")).answer("hi")
    expect(output).toBe("heavy: hi")
    expect(answeredBy.tier).toBe("heavy")
    expect(attempts).toMatchObject([{ outcome: "failed", error: "down" }, { outcome: "answered" }])
  })

  it("starts at the preferred tier, goes up, then down, nearest first [E6.preferred-start]", async () => {
    const asked: string[] = []
    const noting = (tier: string) =>
      link(tier, () => {
        asked.push(tier)
        throw down
      })
    const all = chain(noting("a"), noting("b"), noting("c"), noting("d"))
    await expect(all.invoke("hi", { preferredTier: "c" })).rejects.toThrow(CandidatesExhaustedError)
    expect(asked).toEqual(["c", "d", "b", "a"])
  })

  it("throws the caller's own mistake untouched", async () => {
    const mistake = Object.assign(new Error("bad"), { status: 400 })
    await expect(chain(fails("light", mistake), answers("heavy")).invoke("hi")).rejects.toBe(mistake)
  })

  it("streams, falling back before the first piece only", async () => {
    const broken = RunnableLambda.from(async function* () {
      yield "one"
      throw down
    }) as never
    const read = async (links: FallbackLink<string, string>[]) => {
      const pieces: string[] = []
      try {
        for await (const piece of await chain(...links).stream("hi")) pieces.push(piece)
      } catch (error) {
        pieces.push((error as Error).message)
      }
      return pieces
    }
    expect(await read([fails("light"), answers("heavy")])).toEqual(["heavy: hi"])
    expect(await read([{ tier: "light", runnable: broken }, answers("heavy")])).toEqual(["one", "down"])
  })

  it("batches each input on its own", async () => {
    const picky = link("light", (input) => {
      if (input === "b") throw down
      return `light: ${input}`
    })
    expect(await chain(picky, answers("heavy")).batch(["a", "b", "c"])).toEqual([
      "light: a",
      "heavy: b",
      "light: c",
    ])
  })

  it("works inside a pipe [L2.fallback-chain-runnable]", async () => {
    const pipe = RunnableLambda.from((n: number) => `${n}`).pipe(chain(fails("light"), answers("heavy")))
    expect(await pipe.invoke(7)).toBe("heavy: 7")
  })

  it("traces one run of its own with a run for each link it asked", async () => {
    const started: string[] = []
    const callbacks = [
      {
        handleChainStart: (...args: unknown[]) =>
          void started.push((args[7] as string | undefined) ?? "link"),
      },
    ]
    await chain(fails("light"), answers("heavy")).invoke("hi", { callbacks: callbacks as never })
    expect(started).toHaveLength(3)
    expect(started[0]).toBe("FallbackChain")
  })

  it("refuses an empty chain, a link that is no Runnable, an id given twice, and an unknown preferred tier", async () => {
    expect(() => chain()).toThrow(ConfigError)
    expect(() => chain({ tier: "light", runnable: {} as never })).toThrow("links[0].runnable")
    const twice = { ...answers("light"), id: "x" }
    expect(() => chain(twice, twice)).toThrow("links[1].id")
    await expect(chain(answers("light")).invoke("hi", { preferredTier: "huge" })).rejects.toThrow(
      InvalidRequestError,
    )
  })

  it("asks as many others, as often and as patiently as it was told", async () => {
    const asked: string[] = []
    const noting = (tier: string, error: Error) =>
      link(tier, () => {
        asked.push(tier)
        throw error
      })
    const overloaded = Object.assign(new Error("busy"), { status: 503 })
    const links = [noting("a", overloaded), noting("b", overloaded), noting("c", overloaded)]
    const told = new FallbackChain({ links, maxFallbackAttempts: 1, maxRetries: 1, retryBaseMs: 0 })
    await expect(told.invoke("hi")).rejects.toThrow(CandidatesExhaustedError)
    expect(asked).toEqual(["a", "a", "b", "b"])
  })

  it("waits as long between retries as it was told", async () => {
    const random = vi.spyOn(Math, "random").mockReturnValue(1)
    const busy = Object.assign(new Error("busy"), { status: 503 })
    const eager = new FallbackChain({ links: [fails("light", busy)], maxRetries: 2, retryBaseMs: 1 })
    random.mockRestore()
    const from = performance.now()
    await expect(eager.invoke("hi")).rejects.toThrow(CandidatesExhaustedError)
    expect(performance.now() - from).toBeLessThan(200)
  })

  it("takes a defect inside a chat model for its provider's failure, and one of a link of ours for what it is", async () => {
    const odd = new TypeError("x is undefined")
    const runnable = fakeModel().respond(odd) as never
    const fallback = new FallbackChain({ links: [{ tier: "light", runnable }, answers("heavy")] })
    expect(await fallback.invoke("hi")).toBe("heavy: hi")
    await expect(chain(fails("light", odd), answers("heavy")).invoke("hi")).rejects.toBe(odd)
  })

  it("asks the next link when one takes too long", async () => {
    const silent = { tier: "light", runnable: RunnableLambda.from(() => new Promise<string>(() => {})) }
    const links = [silent as FallbackLink<string, string>, answers("heavy")]
    const { output, attempts } = await new FallbackChain({ links, attemptTimeoutMs: 10 }).answer("hi")
    expect(output).toBe("heavy: hi")
    expect(attempts[0]).toMatchObject({ failure: "timeout" })
  })

  it("stops at the caller's abort, also for a link that takes no notice of it", async () => {
    const deaf = Object.assign(
      RunnableLambda.from((input: string) => input),
      {
        invoke: () => new Promise<string>(() => {}),
      },
    )
    const abort = new AbortController()
    const links: FallbackLink<string, string>[] = [{ tier: "light", runnable: deaf }, answers("heavy")]
    const running = chain(...links).invoke("hi", { signal: abort.signal })
    setTimeout(() => abort.abort(new Error("enough")), 5)
    await expect(running).rejects.toThrow("enough")
  })

  it("hands signal and options to its links, and tells chat models not to retry on their own", async () => {
    const given: object[] = []
    const noting = <T extends object>(runnable: T) =>
      Object.assign(runnable, {
        invoke: async (_: unknown, options: object) => {
          given.push(options)
          return "ok"
        },
      })
    const { signal } = new AbortController()
    const options = { signal, preferredTier: "light", stop: ["\n"] }
    const model = noting(fakeModel()) as never
    await new FallbackChain({ links: [{ tier: "light", runnable: model }] }).invoke("hi", options)
    await chain({ tier: "light", runnable: noting(answers("light").runnable) }).invoke("hi", { signal })
    expect(given[0]).toMatchObject({ signal, maxRetries: 0, stop: ["\n"] })
    expect(given[0]).not.toHaveProperty("preferredTier")
    expect(given[1]).toMatchObject({ signal })
    expect(given[1]).not.toHaveProperty("maxRetries")
  })

  it("ends its run with the answer or the error, called and streamed", async () => {
    const told: unknown[] = []
    const handler = {
      awaitHandlers: true,
      handleChainEnd: ({ output }: { output: unknown }, _id: string, parent?: string) =>
        void (parent === undefined && told.push(["end", output])),
      handleChainError: (error: Error, _id: string, parent?: string) =>
        void (parent === undefined && told.push(["error", error.message])),
    }
    const options = { callbacks: [handler] as never }
    const good = chain(answers("light"))
    const bad = chain(fails("light", Object.assign(new Error("bad"), { status: 400 })))
    const read = async (from: typeof good) => {
      for await (const _ of await from.stream("hi", options));
    }
    await good.invoke("hi", options)
    await expect(bad.invoke("hi", options)).rejects.toThrow("bad")
    await read(good)
    await expect(read(bad)).rejects.toThrow("bad")
    expect(told).toEqual([
      ["end", "light: hi"],
      ["error", "bad"],
      ["end", "light: hi"],
      ["error", "bad"],
    ])
  })

  it("ends the run of a stream with all its pieces joined", async () => {
    const outputs: unknown[] = []
    const handler = { awaitHandlers: true, handleChainEnd: (ended: object) => void outputs.push(ended) }
    const pieces = RunnableLambda.from(async function* () {
      yield "one "
      yield "two"
    }) as never
    const stream = await chain({ tier: "light", runnable: pieces }).stream("hi", {
      callbacks: [handler] as never,
    })
    for await (const _ of stream);
    expect(outputs.at(-1)).toEqual({ output: "one two" })
  })

  it("falls back from a chat model's stream that breaks after its empty first chunk", async () => {
    const broken = Object.assign(fakeModel(), {
      stream: async () =>
        (async function* () {
          yield new AIMessageChunk("")
          throw down
        })(),
    })
    const links = [
      { tier: "light", runnable: broken },
      { tier: "heavy", runnable: fakeModel().respond(new AIMessage("Hello!")) },
    ]
    const texts: string[] = []
    for await (const piece of await new FallbackChain({ links }).stream("hi")) texts.push(piece.text)
    expect(texts.join("")).toBe("Hello!")
  })

  it.each([
    ["maxFallbackAttempts", 0.5],
    ["maxRetries", -1],
    ["retryBaseMs", -1],
    ["attemptTimeoutMs", -1],
    ["attemptTimeoutMs", 0],
    ["attemptTimeoutMs", Number.NaN],
  ])("refuses a %s of %d", (name, value) => {
    expect(() => new FallbackChain({ links: [answers("light")], [name]: value })).toThrow(
      expect.objectContaining({ constructor: ConfigError, path: name }),
    )
  })

  it("numbers several links of one tier", async () => {
    const { answeredBy } = await chain(fails("light"), answers("light")).answer("hi")
    expect(answeredBy).toEqual({ deploymentId: "light-2", tier: "light" })
  })
})

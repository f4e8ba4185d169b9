import { RunnableLambda } from "@langchain/core/runnables"
import { describe, expect, it } from "vitest"
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

describe("FallbackChain over any Runnable [L2.fallback-chain-runnable] [L2.fallback-over-any-runnable]", () => {
  it("answers with the first tier, and says that it did [E6.answer] [E6.answering-tier]", async () => {
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

  it("works inside a pipe", async () => {
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

  it("numbers several links of one tier", async () => {
    const { answeredBy } = await chain(fails("light"), answers("light")).answer("hi")
    expect(answeredBy).toEqual({ deploymentId: "light-2", tier: "light" })
  })
})

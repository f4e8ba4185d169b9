import { tool } from "@langchain/core/tools"
import { ChatOpenAI } from "@langchain/openai"
import { createAgent } from "langchain"
import { RouterChatModel } from "tierwise"
import { z } from "zod"
import { atMost, type Bench } from "../bench.ts"
import { LONG_CHUNKS, LONG_MODEL, startInstantServer, TOOL_NAME } from "../instant-server.ts"
import { median, spread } from "../measure.ts"

const ROUNDS = 12
const RUNS_PER_ROUND = 60
const STREAMS_PER_ROUND = 20
/** A run of the agent calls its model, its tool, and its model again. */
const STEPS_PER_RUN = 2
const QUESTION = "How long does a letter from Lisbon to Oslo take?"

/** What a routed model costs an agent: per step, and per chunk of what it streams. Ratios inside one run. */
export const bench: Bench = {
  async run(progress) {
    const server = await startInstantServer()
    const chat = (model: string) =>
      new ChatOpenAI({ model, apiKey: "none", configuration: { baseURL: server.baseUrl }, maxRetries: 0 })
    const router = (model: string) =>
      new RouterChatModel({
        deployments: ["light", "standard", "heavy"].map((tier, index) => ({
          tier,
          model: chat(model),
          price: { costWeight: 10 ** index },
          profile: { toolCalling: true },
        })),
      })
    const lookUp = tool(async ({ what }) => `Nine days to ${what}.`, {
      name: TOOL_NAME,
      description: "Looks something up",
      schema: z.object({ what: z.string() }),
    })
    const agents = { bare: agentOver(chat("instant")), routed: agentOver(router("instant")) }
    const streams = { bare: chat(LONG_MODEL), routed: router(LONG_MODEL) }

    function agentOver(model: ChatOpenAI | RouterChatModel) {
      const agent = createAgent({ model, tools: [lookUp] })
      return async () => {
        const { messages } = await agent.invoke({ messages: [{ role: "user", content: QUESTION }] })
        if (messages.length !== 4) throw new Error(`The agent took ${messages.length - 1} steps`)
      }
    }
    const stepMs = async (who: Who) => {
      const from = performance.now()
      await agents[who]()
      return (performance.now() - from) / STEPS_PER_RUN
    }
    const chunkMs = (who: Who) => msPerLaterChunk(streams[who])

    progress("warming up")
    await inTurn(100, stepMs)
    await inTurn(30, chunkMs)
    const steps: number[] = []
    const chunks: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const step = await inTurn(RUNS_PER_ROUND, stepMs)
      const chunk = await inTurn(STREAMS_PER_ROUND, chunkMs)
      steps.push(step.routed / step.bare)
      chunks.push(chunk.routed / chunk.bare)
      progress(
        `round ${round + 1}/${ROUNDS}: step ${step.bare.toFixed(3)} → ${step.routed.toFixed(3)} ms, later chunk ` +
          `${(chunk.bare * 1_000).toFixed(1)} → ${(chunk.routed * 1_000).toFixed(1)} µs`,
      )
    }
    await server.close()
    return {
      figures: { stepRatio: spread(steps), laterChunkRatio: spread(chunks) },
      bars: [
        atMost("routed agent step p50 / bare p50", median(steps), 1.3),
        atMost("routed later chunk / bare later chunk", median(chunks), 1.1),
      ],
    }
  },
}

const WHO = ["bare", "routed"] as const
type Who = (typeof WHO)[number]

/** Medians of `times` measures of each, one by one in turn: whatever the machine does meanwhile hits both. */
async function inTurn(
  times: number,
  measure: (who: Who) => Promise<number>,
): Promise<Readonly<Record<Who, number>>> {
  const took: Record<Who, number[]> = { bare: [], routed: [] }
  for (let i = 0; i < times; i++)
    for (const who of i % 2 === 0 ? WHO : WHO.toReversed()) took[who].push(await measure(who))
  return { bare: median(took.bare), routed: median(took.routed) }
}

/** From the first words to the end of the stream, over the chunks in between. */
async function msPerLaterChunk(model: {
  stream(input: string): Promise<AsyncIterable<{ readonly text: string }>>
}): Promise<number> {
  let first = 0
  let words = 0
  for await (const { text } of await model.stream(QUESTION)) {
    if (text !== "") words++
    if (words === 1) first ||= performance.now()
  }
  if (words !== LONG_CHUNKS) throw new Error(`${words} of ${LONG_CHUNKS} words came`)
  return (performance.now() - first) / (LONG_CHUNKS - 1)
}

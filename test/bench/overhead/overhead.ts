import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { ChatOpenAI } from "@langchain/openai"
import { healthBook, RouterChatModel } from "tierwise"
import { estimateTokenCount } from "tokenx"
import { atLeast, atMost, type Bench, rounded } from "../bench.ts"
import { startInstantServer } from "../instant-server.ts"
import { median, spread, throughput, timeEach } from "../measure.ts"

const ROUNDS = 12
const TURNS_PER_ROUND = 15
const CALLS_PER_TURN = 10
const CALLS_AT_ONCE = 64
const SOAK_CALLS = 200_000
const BREAKER_CALLS = 20_000
const QUESTION = "How long does a letter from Lisbon to Oslo take?"

interface Chat {
  invoke(input: string, options?: { readonly signal: AbortSignal }): Promise<unknown>
  stream(input: string): Promise<AsyncIterable<unknown>>
}

/** What routing costs on top of the same calls made without it. Ratios inside one run; nothing here is absolute. */
export const bench: Bench = {
  async run(progress) {
    const server = await startInstantServer()
    const chat = () =>
      new ChatOpenAI({
        model: "instant",
        apiKey: "none",
        configuration: { baseURL: server.baseUrl },
        maxRetries: 0,
      })
    const bare = chat()
    const fallbacks = chat().withFallbacks([chat()])
    const deployments = ["light", "standard", "heavy"].map((tier, index) => ({
      tier,
      model: chat(),
      price: { costWeight: 10 ** index },
    }))
    const router = new RouterChatModel({ deployments })
    const limits = { requestsPerMinute: 10_000_000, tokensPerMinute: 1_000_000_000, concurrency: 1_000 }
    const safest = new RouterChatModel({
      deployments: deployments.map((deployment) => ({ ...deployment, limits })),
      attemptTimeoutMs: 30_000,
      stallTimeoutMs: 30_000,
      deadlineMs: 60_000,
      order: "lowest-latency",
      waitingLine: {},
    })
    const careless = new RouterChatModel({ deployments, circuitBreaker: false })
    const invokes = (model: Chat) => timeEach(CALLS_PER_TURN, () => model.invoke(QUESTION))
    // As a call with any time-out is: what its signal costs on the way to the socket is none of ours.
    const abortable = (model: Chat) =>
      timeEach(CALLS_PER_TURN, () => model.invoke(QUESTION, { signal: new AbortController().signal }))
    const firstChunks = async (model: Chat) => {
      const firsts: number[] = []
      for (let i = 0; i < CALLS_PER_TURN; i++) {
        const from = performance.now()
        let first = 0
        for await (const _ of await model.stream(QUESTION)) first ||= performance.now() - from
        firsts.push(first)
      }
      return firsts
    }
    const manyAtOnce = async (model: Chat) => [
      await throughput(4 * CALLS_AT_ONCE, CALLS_AT_ONCE, () => model.invoke(QUESTION)),
    ]

    progress("warming up")
    for (let turn = 0; turn < 50; turn++) {
      for (const model of [bare, router]) await invokes(model)
      for (const model of [careless, safest]) await abortable(model)
      for (const model of [bare, router]) await firstChunks(model)
      await manyAtOnce(fallbacks)
    }

    const invoke: number[] = []
    const inFlight: number[] = []
    const stream: number[] = []
    const safety: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const [bareMs, routedMs] = await inTurns(bare, router, invokes)
      const [bareFirst, routedFirst] = await inTurns(bare, router, firstChunks)
      const [withFallbacks, routed] = await inTurns(fallbacks, router, manyAtOnce)
      const [carelessMs, safestMs] = await inTurns(careless, safest, abortable)
      safety.push(1_000 * (safestMs - carelessMs))
      invoke.push(routedMs / bareMs)
      stream.push(routedFirst / bareFirst)
      inFlight.push(routed / withFallbacks)
      progress(
        `round ${round + 1}/${ROUNDS}: invoke ${bareMs.toFixed(3)} → ${routedMs.toFixed(3)} ms, first chunk ` +
          `${bareFirst.toFixed(3)} → ${routedFirst.toFixed(3)} ms, ${withFallbacks.toFixed(0)} → ${routed.toFixed(0)} calls/s`,
      )
    }

    const breaker = breakerMicroseconds()
    const explain = await explainAgainstTokens(router, progress)
    const heap = await heapGrowth(router, progress)
    await server.close()
    return {
      figures: {
        invokeRatio: spread(invoke),
        firstChunkRatio: spread(stream),
        safetyMicroseconds: spread(safety),
        breakerMicroseconds: rounded(breaker),
        throughputRatio: spread(inFlight),
        ...explain.figures,
        ...heap,
        soakCalls: SOAK_CALLS,
      },
      bars: [
        atMost("routed invoke p50 / bare p50", median(invoke), 1.3),
        atLeast("routed throughput / withFallbacks, 64 in flight", median(inFlight), 0.8),
        atMost("routed first chunk / bare first chunk", median(stream), 1.3),
        atMost("every timer, limit, balance and breaker, µs per call", median(safety) + breaker, 20),
        atMost("explain of 1,000 characters / token estimate alone", explain.ratio, 2),
        atMost("growth of explain, 100 kB to 1 MB (10 is linear)", explain.growth, 13),
        atMost(`heap change over ${SOAK_CALLS} calls, MB either way`, Math.abs(heap.heapGrowthMb), 5),
      ],
    }
  },
}

/** The medians of both, which take turns: whatever the machine does in between hits both. */
async function inTurns(
  one: Chat,
  other: Chat,
  measure: (model: Chat) => Promise<readonly number[]>,
): Promise<readonly [ofOne: number, ofOther: number]> {
  const [ofOne, ofOther]: [number[], number[]] = [[], []]
  for (let turn = 0; turn < TURNS_PER_ROUND; turn++) {
    ofOne.push(...(await measure(one)))
    ofOther.push(...(await measure(other)))
  }
  return [median(ofOne), median(ofOther)]
}

/** A router whose breakers never open has them all the same: what they take is on both sides of the difference. */
function breakerMicroseconds(): number {
  const health = healthBook()
  const rounds: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const from = performance.now()
    for (let call = 0; call < BREAKER_CALLS; call++) {
      const entry = health.enter("instant")
      if (!(entry instanceof Promise) && entry.allowed) entry.call.ended("well")
    }
    rounds.push((1_000 * (performance.now() - from)) / BREAKER_CALLS)
  }
  return median(rounds)
}

const SENTENCE =
  "The harbour master wrote down every ship that came in before noon, its cargo, and who would pay for it. "
const textOf = (characters: number) =>
  SENTENCE.repeat(Math.ceil(characters / SENTENCE.length)).slice(0, characters)

async function explainAgainstTokens(router: RouterChatModel, progress: (line: string) => void) {
  const explainMs = async (characters: number, times: number) => {
    const text = textOf(characters)
    return median(await timeEach(times, () => router.explain(text)))
  }
  const tokensMs = async (characters: number, times: number) => {
    const text = textOf(characters)
    return median(await timeEach(times, async () => estimateTokenCount(text)))
  }
  await explainMs(1_000, 3_000)
  await tokensMs(1_000, 3_000)
  const ratios: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const alone = await tokensMs(1_000, 500)
    ratios.push((await explainMs(1_000, 500)) / alone)
  }
  const growths: number[] = []
  for (let round = 0; round < 5; round++) {
    const small = await explainMs(100_000, 15)
    growths.push((await explainMs(1_000_000, 5)) / small)
  }
  progress(
    `explain / token estimate: ${median(ratios).toFixed(2)}; 1 MB takes ${median(growths).toFixed(1)} × 100 kB`,
  )
  return {
    ratio: median(ratios),
    growth: median(growths),
    figures: { explainRatio: spread(ratios), explainGrowth: spread(growths) },
  }
}

async function heapGrowth(router: RouterChatModel, progress: (line: string) => void) {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  const heapMb = async () => {
    // Finalisers run between turns: two collections with a pause see what one leaves behind.
    for (let i = 0; i < 3; i++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return process.memoryUsage().heapUsed / 1e6
  }
  const routed = () => router.invoke(QUESTION)
  await throughput(5_000, CALLS_AT_ONCE, routed)
  const before = await heapMb()
  const steps = 10
  for (let step = 1; step <= steps; step++) {
    await throughput(SOAK_CALLS / steps, CALLS_AT_ONCE, routed)
    progress(`soak: ${(SOAK_CALLS / steps) * step} calls`)
  }
  const after = await heapMb()
  return { heapBeforeMb: rounded(before), heapAfterMb: rounded(after), heapGrowthMb: rounded(after - before) }
}

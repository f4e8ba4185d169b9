import assert from "node:assert/strict"
import { setTimeout as pause } from "node:timers/promises"
import { styleText } from "node:util"
import type { Simulator } from "@tierwise/simulator"
import { isRestart, nanoToUsd, type RouterOptions, StreamBrokenError } from "tierwise"
import { at, runStory, type Stage } from "../run-story.ts"
import { chapter, usd } from "../show.ts"

const GREETING = "Good morning! Who are you?"
const QUESTION = "When does the ferry leave?"

/** What the provider is made to say, and how much of it comes before the line breaks. */
const ANSWER = "The ferry leaves at nine, and the last one comes home at midnight."
const HEARD = "The ferry leaves at nine"
const HEARD_CHUNKS = 6

const OPEN_MS = 300

/** A provider fails before its first word: nobody notices but the record. */
await act(
  "One model fails, another one answers",
  { circuitBreaker: { failures: 3, openMs: OPEN_MS }, maxRetries: 0 },
  async (stage, simulator) => {
    await fallBack(stage, simulator)
    await stopAsking(stage, simulator)
    await findOut(stage, simulator)
  },
)

/** It fails in the middle of a sentence: what then is the reader's to say, once, when the router is made. */
await act("A stream breaks: the reader is told", {}, tellReader)
await act("A stream breaks: begin anew", { midStream: "restart" }, beginAnew)
await act("A stream breaks: go on where it broke off", { midStream: "continue" }, goOn)

function act(
  title: string,
  options: Omit<RouterOptions, "deployments">,
  story: (stage: Stage, simulator: Simulator) => Promise<void>,
): Promise<void> {
  return runStory(`${title}\n`, options, async (stage) => {
    if (stage.simulator !== undefined) await story(stage, stage.simulator)
    else console.log("This story needs models that fail when they are told to: the simulator's.")
  })
}

async function fallBack({ router, records, signal, tell }: Stage, simulator: Simulator): Promise<void> {
  chapter("an overloaded provider asks for a pause of a minute")
  simulator.script([{ model: "sim-small", status: 503, retryAfter: { seconds: 60 } }])
  await router.invoke(GREETING, { signal })
  await router.invoke(GREETING, { signal })
  tell(GREETING)
  // The second call did not even try: the pause was remembered.
  const second = at(records, 1).attempts
  assert.deepEqual(
    second.map((attempt) => [attempt.deploymentId, attempt.outcome]),
    [
      ["sim-small", "skipped"],
      ["sim-medium", "answered"],
    ],
  )
}

async function stopAsking({ router, records, signal, tell }: Stage, simulator: Simulator): Promise<void> {
  chapter("the next one breaks down: after three failures it is not asked any more")
  simulator.setOutages([{ model: "sim-medium", status: 500 }])
  for (let call = 0; call < 4; call++) await router.invoke(GREETING, { signal })
  tell(GREETING)
  const last = at(records, -1)
  assert.equal(last.answeredBy?.deploymentId, "sim-large")
  const skipped = last.attempts.find(({ deploymentId }) => deploymentId === "sim-medium")
  assert(skipped?.outcome === "skipped" && skipped.because === "circuit-open")
}

async function findOut({ router, records, signal, tell }: Stage, simulator: Simulator): Promise<void> {
  chapter("it is well again: one call finds out")
  simulator.setOutages([])
  await pause(2 * OPEN_MS, undefined, { signal })
  await router.invoke(GREETING, { signal })
  tell(GREETING)
  assert.equal(at(records, -1).answeredBy?.deploymentId, "sim-medium")
}

function breakOff(simulator: Simulator): void {
  simulator.script([
    { answer: ANSWER, breaks: { how: "cut", at: { chunks: HEARD_CHUNKS } } },
    { answer: ANSWER },
  ])
}

/** The default. The error has the words that came, and what they cost: they were billed. */
async function tellReader({ router, signal, tell }: Stage, simulator: Simulator): Promise<void> {
  breakOff(simulator)
  process.stdout.write("    ")
  const read = async () => {
    for await (const { text } of await router.stream(QUESTION, { signal })) process.stdout.write(text)
  }
  const error = await read().catch((thrown: unknown) => thrown)
  console.log()
  tell(QUESTION)
  if (!(error instanceof StreamBrokenError)) throw error
  console.log(`    ${error.message}`)
  console.log(`    until then: “${error.partial}”, ${usd(nanoToUsd(error.cost))}`)
  assert.equal(error.partial, HEARD)
  assert(error.cost > 0)
}

/** Another model begins from the start; a chunk in between says that what came before is to be forgotten. */
async function beginAnew({ router, records, signal, tell }: Stage, simulator: Simulator): Promise<void> {
  breakOff(simulator)
  let words = ""
  for await (const chunk of await router.stream(QUESTION, { signal })) {
    if (isRestart(chunk)) {
      console.log(styleText("yellow", `    “${words}” is to be forgotten`))
      words = ""
    }
    words += chunk.text
  }
  console.log(`    ${words}`)
  tell(QUESTION)
  assert.equal(words, ANSWER)
  assert.deepEqual(
    at(records, -1).recoveries.map(({ how }) => how),
    ["restarted"],
  )
}

/** Another model is shown the words that were said, and asked for the rest. The reader sees one answer. */
async function goOn({ router, records, signal, tell }: Stage, simulator: Simulator): Promise<void> {
  simulator.script([
    { answer: ANSWER, breaks: { how: "cut", at: { chunks: HEARD_CHUNKS } } },
    { answer: ANSWER.slice(HEARD.length) },
  ])
  let words = ""
  let others = 0
  for await (const chunk of await router.stream(QUESTION, { signal })) {
    if ("tierwise_continuations" in chunk.response_metadata) others = words.length
    words += chunk.text
  }
  console.log(`    ${words.slice(0, others)}${styleText("cyan", words.slice(others))}`)
  tell(QUESTION)
  assert.deepEqual([words, others], [ANSWER, HEARD.length])
  // Both are billed: the words of the first, and the second one's, who had to read them.
  const [first, second] = at(records, -1).attempts
  assert(first?.outcome === "failed" && second?.outcome === "answered")
  assert(first.cost > 0 && second.cost > 0)
}

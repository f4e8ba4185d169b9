import assert from "node:assert/strict"
import { HumanMessage, SystemMessage } from "@langchain/core/messages"
import type { LLMResult } from "@langchain/core/outputs"
import { Annotation, END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph"
import { lowConfidence, type RouterChatModel } from "tierwise"
import { at, runStory, type Stage } from "../run-story.ts"
import { chapter } from "../show.ts"

const FACTS = [
  "Mara Sato reports to Edith Dahl. Edith Dahl lives next door to Pavel Janssen.",
  "Ines Ford keeps the books of Pavel Janssen. Ines Ford plays chess with Omar Lind on Fridays.",
].join(" ")
const HARD = "Who is the accountant of the neighbour of the manager of Mara Sato?"
const SORTING = "sort the question"

const State = Annotation.Root({ ...MessagesAnnotation.spec, topic: Annotation<string> })

/** A graph of two model calls: what is it about, and what is the answer? One router makes both. */
await runStory("A LangGraph graph, streamed", { validator: lowConfidence() }, async (stage) => {
  await readGated(stage)
  await readUngated(stage)
})

/** The small model is not sure, so a stronger one is asked. Whoever reads along sees one answer: the one that counts. */
async function readGated(stage: Stage): Promise<void> {
  chapter("with a validator of our own, an answer is shown once it has been accepted")
  const { screen, spoken, final } = await readAlong(stage, stage.router)
  stage.tell(SORTING, HARD)
  assert.equal(screen, final)
  if (stage.simulator === undefined) return
  const { decisions } = at(stage.records, -1)
  assert.deepEqual(
    decisions.map(({ tier }) => tier),
    ["light", "standard"],
  )
  const [, discarded = "", accepted] = spoken
  console.log(`    what nobody was shown: ${discarded}`)
  assert.equal(spoken.length, 3)
  assert.match(discarded, /I'm not sure/)
  assert.doesNotMatch(screen, /not sure/)
  assert.equal(accepted, screen)
}

/** Words at once, and no second thoughts: what somebody has read stays the answer. */
async function readUngated(stage: Stage): Promise<void> {
  chapter('gate: "off" shows each word as it comes; the verdict is for the record')
  const { screen, spoken, final } = await readAlong(stage, stage.router.withConfig({ gate: "off" }))
  stage.tell(SORTING, HARD)
  assert.equal(screen, final)
  if (stage.simulator === undefined) return
  assert.equal(spoken.length, 2)
  assert.match(screen, /not sure/)
  assert.equal(at(stage.records, -1).verdicts[0]?.verdict.accepted, false)
}

interface Read {
  /** The words of the reply, as they were streamed. */
  readonly screen: string
  /** What the models said, every attempt, oldest first; as a tracer hears it. */
  readonly spoken: readonly string[]
  /** The text of the last message in the graph's state. */
  readonly final: string
}

async function readAlong({ signal }: Stage, router: RouterChatModel): Promise<Read> {
  const spoken: string[] = []
  const tracer = {
    awaitHandlers: true,
    handleLLMEnd: ({ generations }: LLMResult) => void spoken.push(generations[0]?.[0]?.text ?? ""),
  }
  const stream = await graphOver(router).stream(
    { messages: [new HumanMessage(HARD)] },
    { streamMode: ["messages", "values"], callbacks: [tracer], signal },
  )
  let screen = ""
  let topic: string | undefined
  let final = ""
  for await (const [mode, data] of stream) {
    if (mode === "values") {
      if (topic !== data.topic) process.stdout.write(`    it is about: ${data.topic}\n    `)
      topic = data.topic
      final = data.messages.at(-1)?.text ?? ""
    } else if (data[1]["langgraph_node"] === "reply") {
      process.stdout.write(data[0].text)
      screen += data[0].text
    }
  }
  process.stdout.write("\n")
  return { screen, spoken, final }
}

function graphOver(router: RouterChatModel) {
  return new StateGraph(State)
    .addNode("sort", async ({ messages }) => {
      const asked = [
        new SystemMessage("Classify the message. Labels: person, delivery, invoice."),
        new HumanMessage(`Message: ${messages.at(-1)?.text}`),
      ]
      const { text } = await router.invoke(asked, { taskType: "intent_classification" })
      return { topic: text }
    })
    .addNode("reply", async ({ messages }) => ({
      messages: [await router.invoke([new SystemMessage(`Answer from these facts. ${FACTS}`), ...messages])],
    }))
    .addEdge(START, "sort")
    .addEdge("sort", "reply")
    .addEdge("reply", END)
    .compile()
}

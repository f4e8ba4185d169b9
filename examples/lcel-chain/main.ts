import assert from "node:assert/strict"
import { StringOutputParser } from "@langchain/core/output_parsers"
import { ChatPromptTemplate } from "@langchain/core/prompts"
import { RunnableLambda, RunnablePassthrough } from "@langchain/core/runnables"
import { BudgetExceededError, lowConfidence, memoryBudget } from "tierwise"
import { at, runStory, type Stage } from "../run-story.ts"
import { chapter } from "../show.ts"

const EASY = "Who is the manager of Mara Sato?"
const HARD = "Who is the accountant of the neighbour of the manager of Mara Sato?"
const SUM = "Take 27, add 28, double it. What is the result?"

/** A step of the chain's own, on a bad line: its first call fails. `withRetry` is for steps like this one. */
function directory(): RunnableLambda<{ readonly question: string }, string> {
  let calls = 0
  return RunnableLambda.from(() => {
    calls++
    if (calls === 1) throw new Error("the directory is restarting")
    return [
      "Mara Sato reports to Edith Dahl. Edith Dahl lives next door to Pavel Janssen.",
      "Ines Ford keeps the books of Pavel Janssen. Ines Ford plays chess with Omar Lind on Fridays.",
    ].join(" ")
  })
}

const facts = directory().withRetry({ stopAfterAttempt: 3 })
const prompt = ChatPromptTemplate.fromMessages([
  ["system", "Answer from these facts. {facts}"],
  ["human", "{question}"],
])
const asking = RunnablePassthrough.assign({ facts }).pipe(prompt)

/**
 * A question about the people in a house, answered by a chain. The router stands where a chat model would, and whatever
 * LangChain does with a chain it does with this one.
 */
await runStory(
  "prompt | router | parser",
  {
    validator: lowConfidence(),
    budget: memoryBudget({ limits: [{ scope: "tenant", id: "visitor", window: "day", tokens: 500 }] }),
  },
  async (stage) => {
    await invoke(stage)
    await batch(stage)
    await stream(stage)
    await bindOptions(stage)
    await surviveProviders(stage)
    await endWithTheMoney(stage)
  },
)

async function invoke({ router, signal, tell }: Stage): Promise<void> {
  chapter("invoke")
  const chain = asking.pipe(router).pipe(new StringOutputParser())
  const answer = await chain.invoke({ question: EASY }, { signal })
  tell(EASY)
  console.log(`    ${answer}`)
  assert.equal(typeof answer, "string")
}

/** A parser drops the reply's metadata; the observers of the router have all of it. */
async function batch({ router, simulator, records, signal, tell }: Stage): Promise<void> {
  chapter("batch, one after the other")
  const chain = asking.pipe(router).pipe(new StringOutputParser())
  const before = records.length
  const questions = [EASY, HARD, SUM] as const
  const answers = await chain.batch(
    questions.map((question) => ({ question })),
    { maxConcurrency: 1, signal },
  )
  tell(...questions)
  for (const answer of answers) console.log(`    ${answer}`)
  assert.equal(records.length - before, questions.length)
  if (simulator === undefined) return
  const hard = at(records, before + 1)
  assert.deepEqual(
    hard.decisions.map(({ reason }) => reason),
    ["estimated", "escalated"],
  )
  assert.match(String(answers[1]), /Ines Ford/)
}

async function stream({ router, signal, tell }: Stage): Promise<void> {
  chapter("stream")
  // With a validator of our own, a stream is shown once it has been judged. This reader wants its words at once.
  const chain = asking.pipe(router.withConfig({ gate: "off" })).pipe(new StringOutputParser())
  const ended: string[] = []
  const tracer = { awaitHandlers: true, handleLLMEnd: () => void ended.push("answer") }
  let answer = ""
  process.stdout.write("    ")
  for await (const piece of await chain.stream({ question: EASY }, { callbacks: [tracer], signal })) {
    process.stdout.write(piece)
    if (answer === "" && piece !== "") assert.deepEqual(ended, [], "the first word came with the last")
    answer += piece
  }
  process.stdout.write("\n")
  tell(EASY)
  assert.deepEqual(ended, ["answer"])
}

/** What every call of one step has in common is bound once; the router itself stays as it is. */
async function bindOptions({ router, records, signal, tell }: Stage): Promise<void> {
  chapter("withConfig: the same router, told what kind of step this is")
  const thinking = router.withConfig({ taskType: "thinking", tags: ["weekly-report"] })
  const chain = asking.pipe(thinking).pipe(new StringOutputParser())
  await chain.invoke({ question: EASY }, { signal })
  tell(EASY)
  assert.equal(at(records, -1).plan.decision.tier, "heavy")
}

/** Retries and fallbacks between models are the router's own: nothing is wrapped around it for that. */
async function surviveProviders({ router, simulator, records, signal, tell }: Stage): Promise<void> {
  if (simulator === undefined) return
  chapter("a provider that is busy: the router asks the next one by itself")
  simulator.script([{ model: "sim-small", status: 429 }])
  const reply = await asking.pipe(router).invoke({ question: EASY }, { signal })
  tell(EASY)
  assert.match(reply.text, /Edith Dahl/)
  assert.deepEqual(
    at(records, -1).attempts.map(({ outcome }) => outcome),
    ["failed", "answered"],
  )
}

/** `withFallbacks` is for what no model can answer. */
async function endWithTheMoney({ router, signal, tell }: Stage): Promise<void> {
  chapter("withFallbacks: what is said when the budget is spent")
  const regrets = RunnableLambda.from(() => "Please come back tomorrow.")
  const visitors = asking
    .pipe(router.withConfig({ scopes: { tenant: "visitor" } }))
    .pipe(new StringOutputParser())
  const chain = visitors.withFallbacks([regrets])
  const answer = await chain.invoke({ question: EASY }, { signal })
  tell(EASY)
  console.log(`    ${answer}`)
  assert.equal(answer, "Please come back tomorrow.")
  await assert.rejects(visitors.invoke({ question: EASY }, { signal }), BudgetExceededError)
}

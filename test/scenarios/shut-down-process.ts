import { text } from "node:stream/consumers"
import type { AIMessageChunk } from "@langchain/core/messages"
import { ChatOpenAI } from "@langchain/openai"
import type { SimulatedModel } from "@tierwise/simulator"
import { type BudgetLimit, type CloseReport, RouterChatModel, TierwiseError } from "tierwise"
import { sqliteBudget } from "tierwise/sqlite"

/** What a process that streams answers is told on its standard input: it asks all questions at once. */
export interface Order {
  readonly path: string
  readonly baseUrl: string
  readonly model: SimulatedModel
  readonly limits: readonly BudgetLimit[]
  readonly questions: readonly string[]
  /** How many of the readers, the first ones, read no more after their first words until the router is closed. */
  readonly stopping: number
  readonly deadlineMs: number
}

/** A line of what it says. */
export type News =
  | { readonly began: number }
  | { readonly ended: number; readonly text: string; readonly failed: string | undefined }
  | { readonly closed: CloseReport; readonly late: string | undefined; readonly tookMs: number }

const order = JSON.parse(await text(process.stdin)) as Order
const { path, baseUrl, model, limits, questions, stopping, deadlineMs } = order
const budget = sqliteBudget({ path, limits })
const router = new RouterChatModel({
  tiers: ["only"],
  deployments: [
    {
      id: model.id,
      tier: "only",
      model: new ChatOpenAI({
        model: model.id,
        apiKey: "none",
        configuration: { baseURL: baseUrl, logLevel: "off" },
      }),
      price: model.price,
      profile: { maxInputTokens: model.contextWindow },
    },
  ],
  budget,
  requestIdHeader: "x-request-id",
  // All that makes timers: none of it is to keep the process from ending.
  attemptTimeoutMs: 30_000,
  stallTimeoutMs: 30_000,
  deadlineMs: 100_000,
  probes: { everyMs: 60_000 },
})
const closed = Promise.withResolvers<void>()

// What a server does: no `process.exit`, which would cut off whatever is still to be written.
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => void shutDown())

await Promise.all(questions.map(read))

async function shutDown(): Promise<void> {
  const from = performance.now()
  const closing = router.close({ deadlineMs })
  const late = await router.invoke("Hello").then(
    () => undefined,
    (error: unknown) => TierwiseError.find(error)?.code,
  )
  const report = await closing
  await budget.close()
  tell({ closed: report, late, tookMs: performance.now() - from })
  closed.resolve()
}

async function read(question: string, number: number): Promise<void> {
  let words = ""
  let failed: string | undefined
  const take = async (chunk: AIMessageChunk) => {
    const isFirst = words === "" && chunk.text !== ""
    words += chunk.text
    if (!isFirst) return
    tell({ began: number })
    if (number < stopping) await closed.promise
  }
  try {
    for await (const chunk of await router.stream(question, { scopes: { reader: `${number}` } }))
      await take(chunk)
  } catch (error) {
    failed = TierwiseError.find(error)?.code ?? String(error)
  }
  tell({ ended: number, text: words, failed })
}

function tell(news: News): void {
  process.stdout.write(`${JSON.stringify(news)}\n`)
}

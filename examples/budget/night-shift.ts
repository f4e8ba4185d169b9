import { ChatOpenAI } from "@langchain/openai"
import { BudgetCallbackHandler } from "tierwise"
import { openLedger } from "./open-ledger.ts"

/**
 * Another program, in a process of its own: it knows nothing of routing, calls one model, and spends acme's money all the
 * same. The handler is all it takes.
 */
const [baseURL = "", file = ""] = process.argv.slice(2)
const ledger = openLedger(file)
const model = new ChatOpenAI({
  model: "sim-large",
  apiKey: "not-needed",
  maxTokens: 80,
  configuration: { baseURL },
  callbacks: [
    new BudgetCallbackHandler({
      budget: ledger,
      price: { inputPerMTok: 3, cachedInputPerMTok: 1.5, outputPerMTok: 12 },
      scopes: { tenant: "acme" },
    }),
  ],
})
try {
  const letters = Array.from({ length: 8 }, (_, index) => `Write 30 words about invoice ${index + 1}.`)
  const replies = await model.batch(letters, { maxConcurrency: 2 })
  console.log(`    the night shift has written ${replies.length} letters`)
} finally {
  await ledger.close()
}

import assert from "node:assert/strict"
import { OutputParserException } from "@langchain/core/output_parsers"
import Keyv from "keyv"
import { keyvCache, type ReplyMetadata } from "tierwise"
import { z } from "zod"
import { at, runStory, type Stage } from "../run-story.ts"
import { chapter, usd } from "../show.ts"

const Invoice = z.object({
  invoice_number: z.string().describe("invoice number"),
  due_date: z.iso.date().describe("due date"),
  customer: z.string().describe("customer name"),
  total: z.number(),
  priority: z.enum(["low", "normal", "very_high"]),
  discount_percent: z.number().describe("discount percentage"),
  approved: z.boolean().describe("approval"),
})

type Invoice = z.infer<typeof Invoice>

const INVOICES: readonly Invoice[] = [
  invoice({ invoice_number: "INV-4711", customer: "Ada Byron", total: 100 }),
  invoice({ invoice_number: "INV-4712", customer: "Hugo Lind", total: 137 }),
  invoice({ invoice_number: "INV-4713", customer: "Vera Stone", total: 174 }),
]

/** Letters in, records out. What a small model does not get into the form, a larger one is asked for. */
await runStory("Structured extraction", { cache: keyvCache(new Keyv()) }, async (stage) => {
  const letters = INVOICES.map(letterFor)
  // The same letter twice, as scanners like to have it.
  const pile = [...letters, `${letters[0]?.replaceAll(". ", ".  ")}\r\n`]
  await extract(stage, pile)
  await extractAgain(stage, pile)
  await insist(stage, letters)
})

async function extract(stage: Stage, pile: readonly string[]): Promise<void> {
  chapter("a batch: four letters, two of them the same")
  const replies = await readAll(stage, pile)
  assert.deepEqual(
    replies.map(({ parsed }) => parsed),
    [...INVOICES, INVOICES[0]],
  )
  // The same letter at the same moment is read once: whoever comes second waits for the first.
  const routed = replies.filter(({ story }) => story.cached !== true)
  assert.equal(stage.records.length, INVOICES.length)
  assert.equal(routed.length, INVOICES.length)
  if (stage.simulator === undefined) return
  const escalated = routed.filter(({ story }) => story.reason === "escalated")
  assert.ok(escalated.length > 0 && escalated.length < routed.length)
}

async function extractAgain(stage: Stage, pile: readonly string[]): Promise<void> {
  chapter("the same batch again, out of the cache")
  const calls = stage.records.length
  const replies = await readAll(stage, pile)
  assert.deepEqual(
    replies.map(({ parsed }) => parsed),
    [...INVOICES, INVOICES[0]],
  )
  assert.ok(replies.every(({ story }) => story.cached === true && story.costUsd === 0))
  assert.equal(stage.records.length, calls)
}

/** A pin allows no other tier: then the answer is as good as that tier's, and says so if it breaks the schema. */
async function insist({ router, simulator, records, signal }: Stage, letters: readonly string[]) {
  if (simulator === undefined) return
  const letter = letters.at(-1) ?? ""
  chapter("pinned to the light tier, which breaks this one")
  const reader = router.withConfig({ tier: "light" })
  const error = await reader
    .withStructuredOutput<Invoice>(Invoice, { method: "functionCalling" })
    .invoke(letter, { signal })
    .catch((thrown: unknown) => thrown)
  assert.ok(error instanceof OutputParserException)
  console.log(`    ${error.message.split("\n")[0]}`)

  // With `includeRaw` nothing is thrown, and the words are there for whoever wants to mend them.
  const { raw, parsed } = await reader
    .withStructuredOutput<Invoice>(Invoice, { method: "functionCalling", includeRaw: true })
    .invoke(letter, { signal })
  assert.equal(parsed, null)
  const [call] = (raw as { tool_calls?: readonly { args: unknown }[] }).tool_calls ?? []
  console.log(`    what it said: ${JSON.stringify(call?.args)}`)
  assert.equal(at(records, -1).verdicts[0]?.verdict.accepted, false)
}

interface Reading {
  readonly parsed: Invoice
  readonly story: ReplyMetadata
}

async function readAll({ router, signal }: Stage, pile: readonly string[]): Promise<readonly Reading[]> {
  // A tool call is seen whole even when it breaks the schema. By "jsonSchema", OpenAI's package throws such an answer
  // away unseen, and the router has to book the most that it can have cost.
  const reader = router.withStructuredOutput<Invoice>(Invoice, {
    method: "functionCalling",
    includeRaw: true,
  })
  const replies = await reader.batch([...pile], { signal })
  const readings = replies.map(({ raw, parsed }) => ({
    parsed,
    story: raw.response_metadata["tierwise"] as ReplyMetadata,
  }))
  for (const { parsed, story } of readings) {
    const tried = story.attempts.map(({ deployment, outcome }) => `${deployment} ${outcome}`).join(", ")
    console.log(`▸ ${parsed.invoice_number}  ${parsed.customer}, ${parsed.total}`)
    console.log(`  → ${story.tier} (${story.reason}: ${story.because})`)
    console.log(`    ${tried || "nobody was asked"}  ${usd(story.costUsd)}`)
  }
  return readings
}

function invoice(given: Pick<Invoice, "invoice_number" | "customer" | "total">): Invoice {
  return { ...given, due_date: "2026-12-01", priority: "normal", discount_percent: 5, approved: true }
}

function letterFor({ invoice_number, due_date, customer, total, discount_percent }: Invoice): string {
  return [
    `Invoice number: ${invoice_number}. The due date is ${due_date}. Customer name: ${customer}.`,
    `Total: ${total}. Priority: normal. Put down ${discount_percent} as the discount percentage. Approval: yes.`,
  ].join(" ")
}

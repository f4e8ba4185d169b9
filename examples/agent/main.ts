import assert from "node:assert/strict"
import { type BaseMessage, HumanMessage } from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { createAgent, toolStrategy } from "langchain"
import { nanoToUsd, TierwiseError } from "tierwise"
import { budgetMiddleware, routerMiddleware } from "tierwise/middleware"
import { z } from "zod"
import { at, runStory, type Stage } from "../run-story.ts"
import { chapter, usd } from "../show.ts"

const orders = new Map([
  ["ORD-1042", { item: "desk lamp", price: 89, status: "shipped", refunded: 0 }],
  ["ORD-1043", { item: "oak chair", price: 240, status: "packed", refunded: 0 }],
])

const getOrder = tool(
  ({ order_id }: { order_id: string }) => {
    const order = orders.get(order_id)
    if (order === undefined) return `There is no order ${order_id}.`
    return `Order id: ${order_id}. Item: ${order.item}. Price: ${order.price}. Status: ${order.status}.`
  },
  {
    name: "get_order",
    description: "Show an order.",
    schema: z.object({ order_id: z.string().describe("order id") }),
  },
)

const refundOrder = tool(
  ({ order_id, amount }: { order_id: string; amount: number }) => {
    const order = orders.get(order_id)
    if (order === undefined) return `There is no order ${order_id}.`
    order.refunded += amount
    return JSON.stringify({ order_id, refunded: order.refunded })
  },
  {
    name: "refund_order",
    description: "Refund a part of what was paid for an order.",
    schema: z.object({ order_id: z.string().describe("order id"), amount: z.number() }),
  },
)

const tools = [getOrder, refundOrder]

/** The desk of a shop: an agent that looks things up, gives money back, and files what it has done. */
await runStory("createAgent over a router", {}, async (stage) => {
  await useTools(stage)
  await routeBySteps(stage)
  await fillForms(stage)
  await stayInBudget(stage)
})

/** A router is the agent's model like any other; each model call of the loop is routed by itself. */
async function useTools({ router, simulator, records, signal, tell }: Stage): Promise<void> {
  chapter("tools")
  const ask = "Refund 12 EUR for order ORD-1042."
  const agent = createAgent({ model: router, tools })
  const { messages } = await agent.invoke({ messages: [new HumanMessage(ask)] }, { signal })
  tell(ask, "what the tools brought")
  say(messages)
  assert.equal(orders.get("ORD-1042")?.refunded, 12)
  if (simulator === undefined) return
  assert.deepEqual(
    messages.map(({ type }) => type),
    ["human", "ai", "tool", "ai"],
  )
  assert.equal(records.length, 2)
}

/** What kind of step a call is, the agent knows; the middleware tells the router. */
async function routeBySteps({ router, records, signal, tell }: Stage): Promise<void> {
  chapter("routerMiddleware: choosing a tool is a skill, saying what it brought is not")
  const ask = "Show me order ORD-1043."
  const agent = createAgent({
    model: router,
    tools,
    middleware: [
      routerMiddleware({
        router,
        steps: { ask: { taskType: "skill_invocation" }, "tool-results": { taskType: "simple_qa" } },
      }),
    ],
  })
  const { messages } = await agent.invoke({ messages: [new HumanMessage(ask)] }, { signal })
  tell(ask, "what the tools brought")
  say(messages)
  assert.deepEqual(
    records.slice(-2).map(({ plan }) => plan.decision.tier),
    ["standard", "light"],
  )
}

/** By the provider's own structured output where every tier has it, or by a tool call: the form is the same. */
async function fillForms({ router, simulator, records, signal, tell }: Stage): Promise<void> {
  const Order = z.object({
    order_id: z.string().describe("order id"),
    item: z.string(),
    price: z.number(),
    status: z.enum(["packed", "shipped"]),
  })
  chapter("responseFormat, by the provider's structured output, after a look at the order")
  const ask = "Show me order ORD-1043."
  const clerk = createAgent({ model: router, tools, responseFormat: Order })
  const looked = await clerk.invoke({ messages: [new HumanMessage(ask)] }, { signal })
  tell(ask, "what the tools brought")
  console.log(`    ${JSON.stringify(looked.structuredResponse)}`)
  const { item, price, status } = orders.get("ORD-1043") ?? {}
  assert.deepEqual(looked.structuredResponse, { order_id: "ORD-1043", item, price, status })
  if (simulator !== undefined) assert.equal(at(records, -1).plan.features.wantsSchema, true)

  const Ticket = z.object({
    customer: z.string().describe("customer name"),
    email: z.string().describe("customer email"),
    priority: z.enum(["low", "normal", "very_high"]),
    city: z.string(),
  })
  chapter("responseFormat, by a tool call")
  const letter = [
    "File a ticket. Customer name: Ada Byron. Customer email: ada@example.com.",
    "The priority is very high. The city is Oslo.",
  ].join(" ")
  const filer = createAgent({ model: router, tools: [], responseFormat: toolStrategy(Ticket) })
  const filed = await filer.invoke({ messages: [new HumanMessage(letter)] }, { signal })
  tell(letter)
  console.log(`    ${JSON.stringify(filed.structuredResponse)}`)
  assert.deepEqual(filed.structuredResponse, {
    customer: "Ada Byron",
    email: "ada@example.com",
    priority: "very_high",
    city: "Oslo",
  })
  assert.equal(at(records, -1).plan.features.toolsOffered, 1)
}

/** A limit for one run of the agent, held before each of its model calls. */
async function stayInBudget({ router, records, signal, tell }: Stage): Promise<void> {
  chapter("budgetMiddleware: a run that may not cost more than this")
  const ask = "Show me order ORD-1042."
  const input = { messages: [new HumanMessage(ask)] }
  const before = records.length
  const limited = (tokens: number) =>
    createAgent({ model: router, tools, middleware: [budgetMiddleware({ perRun: { tokens } })] })

  await limited(50_000).invoke(input, { signal })
  tell(ask, "what the tools brought")
  const spent = records.slice(before).reduce((sum, { cost }) => sum + nanoToUsd(cost), 0)
  console.log(`    50,000 tokens were enough: ${usd(spent)} spent`)

  // An agent wraps what its model throws; `find` looks inside.
  const error = await limited(100)
    .invoke(input, { signal })
    .catch((thrown: unknown) => thrown)
  const refused = TierwiseError.find(error)
  tell(ask)
  console.log(`    100 tokens were not: ${refused?.message}`)
  assert.equal(refused?.code, "budget-exceeded")
  assert.equal(at(records, -1).cost, 0)
}

function say(messages: readonly BaseMessage[]): void {
  for (const message of messages) {
    const calls = (message as { tool_calls?: readonly { name: string; args: unknown }[] }).tool_calls ?? []
    for (const { name, args } of calls) console.log(`    calls ${name} ${JSON.stringify(args)}`)
    if (calls.length === 0 && message.type !== "human") console.log(`    ${message.type}: ${message.text}`)
  }
}

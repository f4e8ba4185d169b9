import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import {
  AIMessage,
  type BaseMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
} from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { DEFAULT_MODELS, generateTasks, type SimulatedModel, startSimulator } from "@tierwise/simulator"
import { countTokens } from "gpt-tokenizer/encoding/o200k_base"
import { type NanoUsd, RouterChatModel, type RouterChatModelFields } from "tierwise"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { deploymentOf, openWorld, type World } from "./world.ts"

const MAX_OUTPUT = 200

/** Bytes without a pattern, the same in every run. */
function bytes(length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    createHash("sha256").update(`${index}`).digest(),
  )
  return Buffer.concat(blocks).subarray(0, length)
}

const here = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

/** Texts of every kind that tokenizers treat differently, and how far above the real count the bytes are at most. */
const TEXTS = [
  { kind: "prose", text: here("../../README.md").slice(0, 6_000), atMost: 5 },
  { kind: "code", text: here("./world.ts"), atMost: 5 },
  {
    kind: "Chinese",
    text: "请比较我们支付服务的两种部署策略。第一种保留一个区域并手动切换；第二种在两个区域中主动运行。".repeat(
      20,
    ),
    atMost: 5,
  },
  {
    kind: "Japanese",
    text: "昨日は友達と一緒に映画を見に行きました。とても面白かったので、また行きたいと思います。".repeat(20),
    atMost: 6,
  },
  {
    kind: "Russian",
    text: "Пожалуйста, сравните две стратегии развертывания нашего платежного сервиса. ".repeat(20),
    atMost: 11,
  },
  { kind: "emoji", text: "🎉👩‍👩‍👧‍👦🏳️‍🌈🦄".repeat(50), atMost: 4 },
  { kind: "base64", text: bytes(3_000).toString("base64"), atMost: 2.2 },
  { kind: "random bytes as text", text: bytes(2_000).toString("latin1"), atMost: 2 },
  { kind: "JSON", text: here("../golden/anthropic-cache.json"), atMost: 5 },
  { kind: "special tokens in words", text: "<|endoftext|><|im_start|>".repeat(100), atMost: 4 },
] as const

const weather = tool(({ city }) => `It rains in ${city}.`, {
  name: "get_current_weather",
  description: "The weather now, wherever you are. Ask for one city at a time.",
  schema: z.object({
    city: z.string().describe("The city and the country, e.g. 東京, Japan"),
    unit: z.enum(["celsius", "fahrenheit"]).optional(),
    days: z.array(z.object({ date: z.string(), hours: z.array(z.number()) })).optional(),
  }),
})

/** Conversations of every shape, beside those of one text. */
const CONVERSATIONS: readonly {
  readonly shape: string
  readonly messages: readonly BaseMessage[]
  readonly tools?: boolean
}[] = [
  { shape: "one word", messages: [new HumanMessage("x")] },
  {
    shape: "many short turns",
    messages: Array.from({ length: 40 }, (_, turn) =>
      turn % 2 === 0 ? new HumanMessage(`${turn}?`) : new AIMessage("ok"),
    ),
  },
  { shape: "tools on offer", messages: [new HumanMessage("Is it raining in Rome?")], tools: true },
  {
    shape: "a tool loop",
    tools: true,
    messages: [
      new SystemMessage("Be brief."),
      new HumanMessage("Is it raining in Rome?"),
      new AIMessage({
        content: "",
        tool_calls: [
          {
            id: "call_1",
            name: "get_current_weather",
            args: { city: "Rome", days: [{ date: "1", hours: [1, 2] }] },
          },
        ],
      }),
      new ToolMessage({ tool_call_id: "call_1", content: JSON.stringify({ sky: "rain", 温度: 12 }) }),
    ],
  },
  {
    shape: "pictures",
    messages: [
      new HumanMessage({
        content: [
          { type: "text", text: "What is this?" },
          {
            type: "image_url",
            image_url: { url: `data:image/png;base64,${bytes(9_000).toString("base64")}` },
          },
          { type: "image_url", image_url: { url: "https://example.com/cat.png", detail: "low" } },
        ],
      }),
    ],
  },
]

async function asked(
  world: World,
  messages: readonly BaseMessage[],
  options: Partial<RouterChatModelFields> & { readonly tools?: boolean | undefined } = {},
) {
  const { tools, ...fields } = options
  const deployment = deploymentOf(world.simulator, "only", "sim-echo")
  const profile = { ...deployment.profile, maxInputTokens: 1_000_000, imageInputs: true }
  const router = new RouterChatModel({
    tiers: ["only"],
    deployments: [{ ...deployment, profile }],
    maxOutputTokens: MAX_OUTPUT,
    ...fields,
  })
  const model = tools === true ? router.bindTools([weather]) : router
  const plan = await model.explain([...messages])
  await model.invoke([...messages])
  const bill = world.simulator.invoices().at(-1)
  const quote = plan.candidates[0]?.quote
  if (bill === undefined || quote === undefined) throw new Error("it was not billed")
  return { bill, quote, inputBound: quote.tokens - MAX_OUTPUT, estimate: plan.features.inputTokens }
}

describe("a quote", () => {
  it.each(TEXTS)(
    "is never below what $kind is counted as, by the tokenizer and by the provider [A1.estimate-before]",
    async ({ text, atMost }) => {
      await using world = await openWorld()
      const { bill, quote, inputBound } = await asked(world, [new HumanMessage(text)])
      const exact = countTokens(text, { disallowedSpecial: new Set() })
      expect(inputBound).toBeGreaterThan(exact)
      expect(inputBound).toBeGreaterThanOrEqual(bill.inputTokens)
      expect(quote.money).toBeGreaterThanOrEqual(bill.costNanoUsd)
      expect(inputBound / bill.inputTokens).toBeLessThan(atMost)
    },
  )

  it.each(CONVERSATIONS)("is never below the bill of $shape", async ({ messages, tools }) => {
    await using world = await openWorld()
    const { bill, quote, inputBound } = await asked(world, messages, { tools })
    expect(inputBound).toBeGreaterThanOrEqual(bill.inputTokens)
    expect(quote.money).toBeGreaterThanOrEqual(bill.costNanoUsd)
  })

  it.each([
    ["prose", 0.05],
    ["code", 0.05],
    ["JSON", 0.1],
    ["Chinese", 0.15],
    ["Japanese", 0.15],
    ["Russian", 0.15],
    ["base64", 0.25],
  ] as const)("that is estimated comes near the bill of %s: within %s", async (kind, error) => {
    await using world = await openWorld()
    const text = TEXTS.find((one) => one.kind === kind)?.text ?? ""
    const { bill, inputBound } = await asked(world, [new HumanMessage(text)], { quoteInput: "estimated" })
    expect(Math.abs(inputBound / bill.inputTokens - 1)).toBeLessThan(error)
  })

  it("is at least the bill for every task of the simulator, and what was not reported is counted within 5 % of it", async () => {
    const large = DEFAULT_MODELS.find(({ id }) => id === "sim-large") as SimulatedModel
    const silent = { ...large, id: "silent", reportsUsage: false }
    await using simulator = await startSimulator({ timeScale: 0, models: [silent] })
    const counted: { readonly cost: NanoUsd; readonly quote: NanoUsd; readonly estimated: boolean }[] = []
    const router = new RouterChatModel({
      tiers: ["only"],
      deployments: [deploymentOf(simulator, "only", "silent")],
      observers: [
        {
          on: (event) => {
            const attempt = event.type === "request-ended" ? event.record.attempts[0] : undefined
            if (event.type !== "request-ended" || attempt?.outcome !== "answered") return
            const quote = event.record.plan.candidates[0]?.quote.money as NanoUsd
            counted.push({ cost: attempt.cost, quote, estimated: attempt.usage.estimated })
          },
        },
      ],
    })
    // Tools are counted by each provider in its own way; the simulator's is by their bare JSON.
    const families = [
      "arithmetic",
      "chat",
      "extraction",
      "intent",
      "lookup",
      "multi-hop",
      "prose",
      "schema",
    ] as const
    for (const { messages } of generateTasks({ count: 80, families: [...families] }))
      await router.invoke(messages.map(({ role, content }) => [role, content] as [string, string]))

    const bills = simulator.invoices().map(({ costNanoUsd }) => costNanoUsd)
    expect(counted).toHaveLength(bills.length)
    expect(counted.every(({ estimated }) => estimated)).toBe(true)
    for (const [index, { quote }] of counted.entries())
      expect(quote).toBeGreaterThanOrEqual(bills[index] ?? 0)
    const sum = (amounts: readonly number[]) => amounts.reduce((total, amount) => total + amount, 0)
    const ours = sum(counted.map(({ cost }) => cost))
    expect(Math.abs(ours / sum(bills) - 1)).toBeLessThan(0.05)
    const errors = counted.map(({ cost }, index) => Math.abs(cost / (bills[index] ?? Number.NaN) - 1))
    expect(sum(errors) / errors.length).toBeLessThan(0.05)
  })
})

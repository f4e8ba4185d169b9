import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { BaseMessage } from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { ChatOpenAI } from "@langchain/openai"
import { type Simulator, startSimulator } from "@tierwise/simulator"
import { createAgent } from "langchain"
import { ConfigError, nanoToUsd, type Price, type RouteEvent, type RouteRecord } from "tierwise"
import { budgetMiddleware, type ChoiceOptions, routerMiddleware } from "tierwise/middleware"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { answers, openOddWorld, streams, type Way } from "./scripted-server.ts"
import { chatModel, deploymentOf, replyMetadata } from "./world.ts"

const CRITERIA = { fast: "Greetings and small talk.", powerful: "Contracts, law and money." }
const DECIDER_PRICE: Price = { inputPerMTok: 1, outputPerMTok: 2 }

interface Deciding {
  readonly simulator: Simulator
  readonly records: RouteRecord[]
  /** Bodies the decider has received. */
  readonly asked: readonly Record<string, unknown>[]
  readonly choices: ChoiceOptions
  [Symbol.asyncDispose](): Promise<void>
}

/** Two of the simulator's models, and a decider that reads criteria and message and takes what shares most words. */
async function openDeciding(criteria = CRITERIA, way?: Way): Promise<Deciding> {
  const simulator = await startSimulator({ timeScale: 0 })
  const odd = await openOddWorld((response, request) => {
    const body = odd.bodies.at(-1) ?? {}
    // Where somebody reads along, LangChain streams every call below.
    const say = body["stream"] === true ? (name: string) => streams([name]) : answers
    return (way ?? say(chosenBy(body)))(response, request)
  })
  const records: RouteRecord[] = []
  const observer = {
    on: (event: RouteEvent) => {
      if (event.type === "request-ended") records.push(event.record)
    },
  }
  const choice = (name: keyof typeof CRITERIA, model: string) => {
    const { tier: _, ...deployment } = deploymentOf(simulator, name, model)
    return { ...deployment, criteria: criteria[name] }
  }
  return {
    simulator,
    records,
    asked: odd.bodies,
    choices: {
      choices: { fast: choice("fast", "sim-small"), powerful: choice("powerful", "sim-large") },
      decider: new ChatOpenAI({ model: "decider", apiKey: "none", configuration: { baseURL: odd.baseUrl } }),
      deciderPrice: DECIDER_PRICE,
      observers: [observer],
      retryBaseMs: 1,
    },
    [Symbol.asyncDispose]: async () => {
      await simulator.close()
      await odd[Symbol.asyncDispose]()
    },
  }
}

function chosenBy(body: Record<string, unknown>): string {
  const [system, human] = (body["messages"] as { content: string }[]).map(({ content }) => content)
  const said = new Set((human ?? "").toLowerCase().match(/\p{L}{3,}/gu))
  const shared = (when: string) =>
    (when.toLowerCase().match(/\p{L}{3,}/gu) ?? []).filter((word) => said.has(word))
  const listed = [...(system ?? "").matchAll(/^- (\w+): (.*)$/gm)].map(([, name = "", when = ""]) => ({
    name,
    fits: shared(when).length,
  }))
  return listed.toSorted((a, b) => b.fits - a.fits)[0]?.name ?? "none"
}

const says = (content: string) => ({ messages: [{ role: "user" as const, content }] })
const lastOf = ({ messages }: { readonly messages: readonly BaseMessage[] }) => messages.at(-1) as BaseMessage

function agentOver({ simulator, choices }: Deciding) {
  const model = chatModel(simulator, "sim-echo")
  return createAgent({ model, tools: [], middleware: [routerMiddleware(choices)] })
}

describe("choices in words", () => {
  it("are made by the decider, for each question [L4.routing-per-step]", async () => {
    await using deciding = await openDeciding()
    const agent = agentOver(deciding)
    expect(replyMetadata(lastOf(await agent.invoke(says("Some small talk, please"))))).toMatchObject({
      tier: "fast",
      deployment: "sim-small",
    })
    expect(replyMetadata(lastOf(await agent.invoke(says("Which contracts cost us money?"))))).toMatchObject({
      tier: "powerful",
      deployment: "sim-large",
    })
    expect(deciding.records[1]?.plan).toMatchObject({
      estimator: "decider",
      estimate: { score: 0.75, factors: { "choice:powerful": 1 } },
    })
  })

  it("change the route when a criterion changes", async () => {
    const question = says("Which contracts cost us money?")
    await using before = await openDeciding()
    expect(replyMetadata(lastOf(await agentOver(before).invoke(question))).tier).toBe("powerful")
    await using after = await openDeciding({ fast: "Contracts that cost money.", powerful: "Poems." })
    expect(replyMetadata(lastOf(await agentOver(after).invoke(question))).tier).toBe("fast")
  })

  it("are made once for all steps of a question", async () => {
    await using deciding = await openDeciding()
    const weather = tool(async ({ city }) => `It is 21 °C in ${city}.`, {
      name: "get_weather",
      description: "Current weather of a city",
      schema: z.object({ city: z.string().describe("Name of the city") }),
    })
    const router = routerMiddleware(deciding.choices)
    const agent = createAgent({ model: router.router, tools: [weather], middleware: [router] })
    expect(lastOf(await agent.invoke(says("What is the weather in Rome?"))).text).toContain("21")
    expect(deciding.records).toHaveLength(2)
    expect(deciding.asked).toHaveLength(1)
  })

  it("cost one LLM run under the agent's run, which the record shows and no reader sees", async () => {
    await using deciding = await openDeciding()
    const runs = new Map<string, { name: string; parent: string | undefined }>()
    class Tracer extends BaseCallbackHandler {
      override readonly name = "tracer"
      override handleChainStart(...args: unknown[]): void {
        runs.set(args[2] as string, { name: String(args[7]), parent: args[3] as string | undefined })
      }
      override handleChatModelStart(...args: unknown[]): void {
        const { tierwise_deployment: name } = args[6] as { tierwise_deployment?: string }
        runs.set(args[2] as string, { name: `llm ${name}`, parent: args[3] as string | undefined })
      }
    }
    let shown = ""
    const options = { streamMode: "messages" as const, callbacks: [new Tracer({ _awaitHandler: true })] }
    for await (const [message] of await agentOver(deciding).stream(says("Some small talk"), options)) {
      shown += message.text
    }
    expect(shown).not.toContain("fast")
    expect(shown).not.toBe("")
    const llmRuns = [...runs.values()].filter(({ name }) => name.startsWith("llm "))
    expect(llmRuns.map(({ name }) => name).sort()).toEqual(["llm decider", "llm sim-small"])
    const roots = llmRuns.map((run) => {
      let at = run
      for (let up = runs.get(at.parent ?? ""); up !== undefined; up = runs.get(at.parent ?? "")) at = up
      return at
    })
    expect(new Set(roots).size).toBe(1)
    const { factors } = deciding.records[0]?.plan.estimate ?? {}
    expect(factors).toMatchObject({ "choice:fast": 1 })
    expect(factors?.["deciderUsd"]).toBeGreaterThan(0)
  })

  it.each<[string, Way]>([
    ["fails", (response) => response.writeHead(500).end("{}")],
    ["is late", (response) => setTimeout(() => response.end(), 2_000)],
    ["names no choice", answers("I would rather not say.")],
    ["names two", answers("Either fast or powerful.")],
  ])("are made here when the decider %s", async (_, way) => {
    await using deciding = await openDeciding(CRITERIA, way)
    const { router } = routerMiddleware({ ...deciding.choices, deciderTimeoutMs: 200 })
    const reply = await router.invoke("Hello")
    expect(replyMetadata(reply).tier).toBe("fast")
    const { estimate, problems } = deciding.records[0]?.plan ?? {}
    expect(estimate?.factors).toMatchObject({ deciderFailed: 1, message: expect.any(Number) as number })
    expect(problems).toEqual([])
  })

  it("are found in a reply that says more than the name", async () => {
    await using deciding = await openDeciding(CRITERIA, answers("**Powerful**, because it is about law."))
    const { router } = routerMiddleware(deciding.choices)
    expect(replyMetadata(await router.invoke("Hello")).tier).toBe("powerful")
  })

  it("ask nobody where the tier is settled", async () => {
    await using deciding = await openDeciding()
    const { router } = routerMiddleware(deciding.choices)
    await router.invoke("Some small talk", { tier: "powerful" })
    expect(deciding.asked).toEqual([])
  })

  it("are paid from the run's budget, decider and all [L4.budgets]", async () => {
    await using deciding = await openDeciding()
    const limits = budgetMiddleware({ perThread: { usd: 1 } })
    const router = routerMiddleware(deciding.choices)
    const agent = createAgent({ model: router.router, tools: [], middleware: [limits, router] })
    await agent.invoke(says("Some small talk"), { configurable: { thread_id: "t" } })
    const [spent] = await limits.budget.status({ thread: "t" })
    const [record] = deciding.records
    expect(nanoToUsd(record?.cost ?? (0 as never))).toBeGreaterThan(0)
    // The scripted decider reports 10 tokens in and 5 out, at 1 and 2 USD per million.
    expect(record?.plan.estimate?.factors["deciderUsd"]).toBe(0.000_02)
    expect(spent).toMatchObject({ spent: (record?.cost ?? 0) + 20_000, held: 0 })
  })

  it("are refused without a price, a criterion or an alternative, naming which", async () => {
    await using deciding = await openDeciding()
    const { choices } = deciding
    const { fast, powerful } = choices.choices as Record<
      "fast" | "powerful",
      (typeof choices.choices)[string]
    >
    const refused: [string, Partial<ChoiceOptions>][] = [
      ["choices.fast.price", { choices: { fast: { ...fast, price: undefined as never }, powerful } }],
      ["choices.powerful.criteria", { choices: { fast, powerful: { ...powerful, criteria: " " } } }],
      ["choices", { choices: { fast } }],
      ["deciderPrice", { deciderPrice: undefined as never }],
    ]
    for (const [path, wrong] of refused) {
      const make = () => routerMiddleware({ ...choices, ...wrong })
      expect(make, path).toThrow(ConfigError)
      expect(make, path).toThrow(new RegExp(`^${path.replaceAll(".", "\\.")}: .* Fix: `))
    }
  })
})

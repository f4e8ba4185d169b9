import { awaitAllCallbacks } from "@langchain/core/callbacks/promises"
import { HumanMessage, type ToolMessage } from "@langchain/core/messages"
import { RunnableLambda } from "@langchain/core/runnables"
import { tool } from "@langchain/core/tools"
import { generateTasks, grade, type SyntheticTask } from "@tierwise/simulator"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { openWorld, replyMetadata } from "./world.ts"

const [intent] = generateTasks({ seed: 1, count: 1, families: ["intent"], levels: [1] })
const [riddle] = generateTasks({ seed: 1, count: 1, families: ["arithmetic"], levels: [5] })
const textOf = (task: SyntheticTask | undefined) =>
  task?.messages.map(({ content }) => (typeof content === "string" ? content : "")).join("\n\n") ?? ""

const weather = tool(async ({ city }) => `It is 21 °C in ${city}.`, {
  name: "get_weather",
  description: "Current weather of a city",
  schema: z.object({ city: z.string() }),
})

describe("an agent that only says what kind of step it takes", () => {
  it("has its intents classified by the light tier [E10.intent-classification]", async () => {
    await using world = await openWorld()
    const reply = await world.router.invoke(textOf(intent), { taskType: "intent_classification" })
    expect(replyMetadata(reply)).toMatchObject({ tier: "light", reason: "task-type" })
    expect(grade(intent as SyntheticTask, { content: reply.text }).correct).toBe(true)
  })

  it("runs its skills, through the whole tool loop, on the standard tier [E10.skills]", async () => {
    await using world = await openWorld()
    const model = world.router.bindTools([weather]).withConfig({ taskType: "skill_invocation" })
    const question = new HumanMessage("What is the weather in Rome?")
    const asked = await model.invoke([question])
    const results = await Promise.all((asked.tool_calls ?? []).map((call) => weather.invoke(call)))
    const answer = await model.invoke([question, asked, ...(results as ToolMessage[])])
    expect(answer.text).toContain("21")
    expect(world.records.map(({ answeredBy }) => answeredBy?.tier)).toEqual(["standard", "standard"])
  })

  it("thinks on the heavy tier, where the light one gets it wrong [E10.thinking-tools]", async () => {
    await using world = await openWorld()
    const thinking = await world.router.invoke(textOf(riddle), { taskType: "thinking" })
    expect(replyMetadata(thinking).tier).toBe("heavy")
    expect(grade(riddle as SyntheticTask, { content: thinking.text }).correct).toBe(true)
    const guess = await world.router.invoke(textOf(riddle), { tier: "light" })
    expect(grade(riddle as SyntheticTask, { content: guess.text }).correct).toBe(false)
  })

  it("is traced as one tree: the agent's chain, the router's run, one LLM run per call", async () => {
    await using world = await openWorld()
    const parents = new Map<string, string | undefined>()
    const kinds = new Map<string, string>()
    const note = (kind: string) => (_: unknown, __: unknown, runId: string, parentRunId?: string) => {
      parents.set(runId, parentRunId)
      kinds.set(runId, kind)
    }
    const callbacks = [{ handleChainStart: note("chain"), handleChatModelStart: note("llm") }]
    const agent = RunnableLambda.from((text: string, config) => world.router.invoke(text, config))
    await agent.invoke("Hello", { callbacks })
    await awaitAllCallbacks()
    const llm = [...kinds].find(([, kind]) => kind === "llm")?.[0] ?? ""
    const path: (string | undefined)[] = []
    for (let at: string | undefined = llm; at !== undefined; at = parents.get(at)) path.push(kinds.get(at))
    expect(path).toEqual(["llm", "chain", "chain"])
  })
})

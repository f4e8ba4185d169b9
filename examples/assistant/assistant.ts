import { type AIMessageChunk, type BaseMessageLike, ToolMessage } from "@langchain/core/messages"
import type { SyntheticTask } from "@tierwise/simulator"
import type { RouterCallOptions, RouterChatModel } from "tierwise"

/** One customer's visit: what they wrote, what must be done for them, and what must be worked out. */
export interface Visit {
  /** What do they want? A label for the desk. */
  readonly intent: SyntheticTask
  /** A job that needs tools. */
  readonly skill: SyntheticTask
  /** A question that has to be thought through. */
  readonly thinking: SyntheticTask
  /** What they ask in passing; how hard it is shows only in the asking. */
  readonly questions: readonly SyntheticTask[]
}

/** One finished step, with what the model said. */
export interface Step {
  readonly kind: "intent" | "skill" | "thinking" | "question"
  readonly task: SyntheticTask
  readonly reply: AIMessageChunk
}

/**
 * A shop's assistant. It never chooses a model: it says what kind of step it takes, and one router does the rest. Each
 * step is yielded when it is done.
 *
 * @param options Added to every call; the baselines pin a tier with it.
 */
export async function* assist(
  router: RouterChatModel,
  visits: readonly Visit[],
  options: Partial<RouterCallOptions> = {},
): AsyncGenerator<Step> {
  const model = router.withConfig(options)
  const ask = async (task: SyntheticTask, taskType?: string) => ({
    task,
    reply: await answer(model, task, taskType),
  })
  for (const { intent, skill, thinking, questions } of visits) {
    yield { kind: "intent", ...(await ask(intent, "intent_classification")) }
    yield { kind: "skill", task: skill, reply: await useTools(model, skill) }
    yield { kind: "thinking", ...(await ask(thinking, "thinking")) }
    for (const question of questions) yield { kind: "question", ...(await ask(question)) }
  }
}

async function answer(
  model: RouterChatModel,
  task: SyntheticTask,
  taskType?: string,
): Promise<AIMessageChunk> {
  const options = { taskType, ...(task.responseFormat && { response_format: task.responseFormat }) }
  return model.invoke(messagesOf(task), options)
}

/** Lets the model call tools, runs them, and lets it say what came of it. Returns the reply that made the calls. */
async function useTools(router: RouterChatModel, task: SyntheticTask): Promise<AIMessageChunk> {
  const model = router.bindTools([...(task.tools ?? [])])
  const asked = await model.invoke(messagesOf(task), { taskType: "skill_invocation" })
  const calls = asked.tool_calls ?? []
  if (calls.length === 0) return asked
  const results = calls.map(
    ({ id, name, args }) => new ToolMessage({ tool_call_id: id ?? "", name, content: runTool(name, args) }),
  )
  await model.invoke([...messagesOf(task), asked, ...results], {
    taskType: "skill_invocation",
  })
  return asked
}

/** The shop's back office: everything it is asked to do succeeds. */
function runTool(name: string, args: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ok: true, done: name, ...args })
}

function messagesOf(task: SyntheticTask): BaseMessageLike[] {
  return task.messages.map(({ role, content }) => ({ role, content }) as BaseMessageLike)
}

import { generateTasks, type SyntheticTask, type TaskFamily } from "@tierwise/simulator"
import type { ResponseValidator, RouterCallOptions, RouterChatModel } from "tierwise"
import { TEXTS } from "./texts.ts"
import { type BillWorld, POOR } from "./world.ts"

/** In [0, 1). */
export type Random = () => number

/** One way to call, and how often it is among all. */
export interface Kind {
  readonly name: string
  /** Parts of a hundred. */
  readonly share: number
  /** The reader goes away in the middle. Such calls are made apart: a busy machine would read late and leave later. */
  readonly leaves?: true
  /** Part of the bill that no words show: the booking cannot come near it, and is reported without a bar. */
  readonly hides?: true
  /** Builds the routers once; what is returned makes one call, and throws as the call does. */
  open(world: BillWorld, name: string): (random: Random) => Promise<unknown>
}

const TENANTS = 7

/** What callers do, and what befalls them. */
export const KINDS: readonly Kind[] = [
  {
    name: "whole",
    share: 12,
    open: (world, name) => {
      const routers = ["small", "medium", "large"].map((id) => world.router(name, { only: [id] }))
      return async (random) => ask(pick(random, routers), pick(random, TASKS), random)
    },
  },
  {
    name: "streamed",
    share: 12,
    open: (world, name) => {
      const routers = ["small", "medium", "large"].map((id) => world.router(name, { only: [id] }))
      return async (random) => read(pick(random, routers), pick(random, TASKS), random)
    },
  },
  {
    name: "tools",
    share: 6,
    open: (world, name) => {
      const router = world.router(name, { only: ["large"] })
      return async (random) => askOrRead(router, pick(random, TOOL_TASKS), random)
    },
  },
  {
    name: "structured",
    share: 5,
    open: (world, name) => {
      const router = world.router(name, { low: ["small"], high: ["large"] })
      return async (random) => askForm(router, pick(random, SCHEMA_TASKS), random)
    },
  },
  {
    name: "cached",
    share: 7,
    open: (world, name) => {
      const router = world.router(name, { only: ["keeper"] })
      return async (random) => askOrRead(router, longTask(random), random)
    },
  },
  {
    name: "reasoning",
    share: 5,
    open: (world, name) => {
      const router = world.router(name, { only: ["thinker"] })
      return async (random) => {
        const effort = pick(random, ["none", "low", "medium", "high"])
        return askOrRead(router, pick(random, TASKS), random, {
          providerOptions: { reasoning_effort: effort },
        })
      }
    },
  },
  {
    name: "several answers",
    share: 3,
    open: (world, name) => {
      const routers = ["echo-x2", "small-x3"].map((id) => world.router(name, { only: [id] }))
      return async (random) => askOrRead(pick(random, routers), echoTask(random), random)
    },
  },
  {
    name: "escalated",
    share: 4,
    open: (world, name) => {
      const router = world.router(
        name,
        { low: ["small"], high: ["medium"], top: ["large"] },
        { validator: PICKY },
      )
      return async (random) => ask(router, pick(random, TASKS), random)
    },
  },
  {
    name: "gated",
    share: 4,
    open: (world, name) => {
      const router = world.router(
        name,
        { low: ["small"], high: ["medium"], top: ["large"] },
        { validator: PICKY, gate: "full" },
      )
      return async (random) => read(router, pick(random, TASKS), random)
    },
  },
  {
    name: "fallback after a refusal",
    share: 6,
    open: (world, name) => {
      const faulty = ["refuses-429", "refuses-500", "refuses-503", "refuses-401"]
      const routers = faulty.map((id) => world.router(name, { only: [id, "echo"] }))
      return async (random) => askOrRead(pick(random, routers), echoTask(random), random)
    },
  },
  {
    name: "fallback from an answer unread",
    share: 7,
    open: (world, name) => {
      const routers = UNREAD.map((id) => world.router(name, { only: [id, "echo"] }))
      return async (random) => askOrRead(pick(random, routers), echoTask(random), random)
    },
  },
  {
    name: "fallback after a time-out",
    share: 1.5,
    open: (world, name) => {
      const routers = ["slow-cheap", "waits-in-line"].map((id) =>
        world.router(name, { only: [id, "echo"] }, { attemptTimeoutMs: 30 }),
      )
      return async (random) => askOrRead(pick(random, routers), echoTask(random), random)
    },
  },
  {
    name: "form unreadable",
    share: 1.5,
    open: (world, name) => {
      const router = world.router(name, { low: ["breaks-json"], high: ["large"] })
      return async (random) => askForm(router, pick(random, SCHEMA_TASKS), random)
    },
  },
  {
    name: "stream cut",
    share: 5,
    open: (world, name) => {
      const routers = ["cut-9", "cut-30", "error-12"].map((id) => world.router(name, { only: [id, "echo"] }))
      return async (random) => read(pick(random, routers), echoTask(random, 60), random)
    },
  },
  {
    name: "aborted before a word",
    share: 3,
    open: (world, name) => {
      const router = world.router(name, { only: ["slow"] })
      return async (random) => {
        const signal = AbortSignal.timeout(Math.floor(random() * 45))
        return askOrRead(router, echoTask(random), random, { signal })
      }
    },
  },
  {
    name: "aborted while it waits in line",
    share: 1,
    open: (world, name) => {
      const router = world.router(name, { only: ["waits-in-line"] })
      return async (random) => {
        const signal = AbortSignal.timeout(20 + Math.floor(random() * 60))
        return askOrRead(router, echoTask(random), random, { signal })
      }
    },
  },
  {
    name: "aborted, whole, half made",
    share: 1,
    open: (world, name) => {
      const router = world.router(name, { only: ["slow"] })
      return async (random) =>
        ask(router, echoTask(random, 60), random, {
          signal: AbortSignal.timeout(120 + Math.floor(random() * 200)),
        })
    },
  },
  {
    name: "aborted after some words",
    share: 3,
    leaves: true,
    open: (world, name) => {
      const router = world.router(name, { only: ["slow"] })
      return async (random) => {
        const leaving = new AbortController()
        const task = echoTask(random, 60)
        return readSome(router, task, random, { signal: leaving.signal }, () => leaving.abort())
      }
    },
  },
  {
    name: "broken off by the reader",
    share: 5,
    leaves: true,
    open: (world, name) => {
      const router = world.router(name, { only: ["slow"] })
      return async (random) => readSome(router, echoTask(random, 60), random)
    },
  },
  {
    name: "broken off, but the model finishes",
    share: 0.7,
    leaves: true,
    hides: true,
    open: (world, name) => {
      const router = world.router(name, { only: ["slow-finisher"] })
      return async (random) => readSome(router, echoTask(random, 60), random)
    },
  },
  {
    name: "broken off after hidden thoughts",
    share: 0.7,
    leaves: true,
    hides: true,
    open: (world, name) => {
      const router = world.router(name, { only: ["slow-thinker"] })
      return async (random) => readSome(router, echoTask(random, 60), random)
    },
  },
  {
    name: "broken off after a cached prompt",
    share: 0.6,
    leaves: true,
    hides: true,
    open: (world, name) => {
      const router = world.router(name, { only: ["slow-keeper"] })
      return async (random) => readSome(router, longTask(random), random)
    },
  },
  {
    name: "no usage, any tongue",
    share: 7,
    open: (world, name) => {
      const routers = new Map(
        TONGUES.map((tongue) => [tongue, world.router(`${name}/${tongue}`, { only: ["silent"] })]),
      )
      return async (random) => {
        const tongue = pick(random, TONGUES)
        return askOrRead(routers.get(tongue) as RouterChatModel, echoTask(random, 40, tongue), random)
      }
    },
  },
  {
    name: "no usage, tasks",
    share: 4,
    open: (world, name) => {
      const routers = ["silent-small", "silent-large"].map((id) => world.router(name, { only: [id] }))
      return async (random) => askOrRead(pick(random, routers), pick(random, TASKS), random)
    },
  },
  {
    name: "no usage, tools",
    share: 2,
    open: (world, name) => {
      const router = world.router(name, { only: ["silent-large"] })
      return async (random) => askOrRead(router, pick(random, TOOL_TASKS), random)
    },
  },
  {
    name: "no usage, several answers",
    share: 1,
    open: (world, name) => {
      const router = world.router(name, { only: ["silent-x2"] })
      return async (random) => askOrRead(router, echoTask(random), random)
    },
  },
  {
    name: "refused by the budget",
    share: 2,
    open: (world, name) => {
      const router = world.router(name, { low: ["small"], high: ["medium"] })
      return async (random) => askOrRead(router, echoTask(random), random, { scopes: { tenant: POOR } })
    },
  },
  {
    name: "aborted before it was sent",
    share: 1,
    open: (world, name) => {
      const router = world.router(name, { only: ["echo"] })
      return async (random) => askOrRead(router, echoTask(random), random, { signal: AbortSignal.abort() })
    },
  },
]

/** Broken before a word of it could be read. */
const UNREAD = [
  "cut-0",
  "cut-1",
  "error-0",
  "error-1",
  "error-limited",
  "error-overloaded",
  "says-string",
  "says-nothing",
  "says-null",
  "says-no-choices",
  "says-bad-choices",
]

/** Rejects about a third, always the same ones. */
const PICKY: ResponseValidator = {
  name: "picky",
  validate: ({ message }) =>
    message.text.length % 3 === 0 ? { accepted: false, reason: "its length" } : { accepted: true },
}

type Task = Pick<SyntheticTask, "messages" | "tools" | "responseFormat">

const SEED = 11

const OF_WORDS: readonly TaskFamily[] = [
  "chat",
  "lookup",
  "arithmetic",
  "multi-hop",
  "intent",
  "extraction",
  "prose",
]
const TASKS: readonly Task[] = generateTasks({
  seed: SEED,
  count: 300,
  families: OF_WORDS,
  levels: [1, 2, 3],
}).filter(({ responseFormat }) => responseFormat === undefined)
const TOOL_TASKS: readonly Task[] = generateTasks({ seed: SEED, count: 120, families: ["tools"] })
const SCHEMA_TASKS: readonly Task[] = generateTasks({ seed: SEED, count: 120, families: ["schema"] })

const TONGUES = Object.keys(TEXTS)

function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)] as T
}

/** Some sentences of one tongue, which an echo says again. @param least Characters. Default 40. */
function echoTask(random: Random, least = 40, tongue = pick(random, TONGUES)): Task {
  const sentences = TEXTS[tongue] ?? []
  const wanted = least + Math.floor(random() * 400)
  let text = ""
  while (text.length < wanted) text += `${pick(random, sentences)} `
  return { messages: [{ role: "user", content: text.trim() }] }
}

/** A handful of long beginnings that come again and again: the provider has most of them in its cache. */
function longTask(random: Random): Task {
  const which = Math.floor(random() * 12)
  const page = (TEXTS["english"] ?? []).join(" ")
  return {
    messages: [
      { role: "system", content: `Handbook ${which}. ${`${page} `.repeat(12 + 3 * which)}` },
      { role: "user", content: `Question ${Math.floor(random() * 1_000)}: what does it say of the harbour?` },
    ],
  }
}

type Options = Partial<RouterCallOptions>

function optionsOf({ tools }: Task, random: Random, options: Options): Options {
  const scopes = { tenant: `t${Math.floor(random() * TENANTS)}` }
  return { scopes, ...(tools && { tools: [...tools] as never }), ...options }
}

const messagesOf = ({ messages }: Task) => [...messages] as never

function ask(router: RouterChatModel, task: Task, random: Random, options: Options = {}): Promise<unknown> {
  return router.invoke(messagesOf(task), optionsOf(task, random, options))
}

async function read(
  router: RouterChatModel,
  task: Task,
  random: Random,
  options: Options = {},
): Promise<void> {
  for await (const _ of await router.stream(messagesOf(task), optionsOf(task, random, options)));
}

function askOrRead(
  router: RouterChatModel,
  task: Task,
  random: Random,
  options: Options = {},
): Promise<unknown> {
  return random() < 0.5 ? ask(router, task, random, options) : read(router, task, random, options)
}

/** Reads up to thirty-one chunks and goes away, or says so. */
async function readSome(
  router: RouterChatModel,
  task: Task,
  random: Random,
  options: Options = {},
  leave?: () => void,
): Promise<void> {
  let left = 4 + Math.floor(random() * 28)
  for await (const _ of await router.stream(messagesOf(task), optionsOf(task, random, options))) {
    if (--left > 0) continue
    if (leave === undefined) break
    leave()
  }
}

function askForm(router: RouterChatModel, task: Task, random: Random): Promise<unknown> {
  const { json_schema: form } = task.responseFormat as { json_schema: { name: string; schema: object } }
  if (random() < 0.5) {
    return ask(router, task, random, { response_format: task.responseFormat })
  }
  const method = random() < 0.5 ? "jsonSchema" : "functionCalling"
  const asking = router.withStructuredOutput(form.schema as never, { name: form.name, method })
  return asking.invoke(messagesOf(task), optionsOf(task, random, {}) as never)
}

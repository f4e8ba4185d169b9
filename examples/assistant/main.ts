import { fstatSync } from "node:fs"
import { createInterface } from "node:readline"
import { setTimeout as wait } from "node:timers/promises"
import { styleText } from "node:util"
import { lowConfidence, nanoToUsd, type RouteRecord, TierwiseError } from "tierwise"
import { type Models, openModels } from "../models.ts"
import { quoted, showPlan, showRecord, usd } from "../show.ts"
import type { Step } from "./assistant.ts"
import { runMorning, type Totals } from "./run.ts"
import { morning } from "./workload.ts"

/**
 * Without arguments: the assistant at work. With one: that prompt, routed and explained. With `-`, or with lines on
 * standard input: each line, routed and explained.
 */
const stop = new AbortController()
process.on("SIGINT", () => stop.abort())
// Whoever reads our output may have seen enough (`npm start | head`).
process.stdout.on("error", () => process.exit(0))

const records: RouteRecord[] = []
const models = await openModels({
  validator: lowConfidence(),
  observers: [
    {
      on: (event) => {
        if (event.type === "request-ended") records.push(event.record)
      },
    },
  ],
}).catch((error: unknown) => {
  explain(error)
  process.exit(1)
})

try {
  const prompt = process.argv.slice(2).join(" ").trim()
  if (prompt !== "" && prompt !== "-") await routeOne(models, prompt)
  else if (prompt === "-" || (await linesAreComing())) await routeLines(models)
  else await showMorning(models)
} catch (error) {
  if (stop.signal.aborted) {
    console.log(`\nStopped after ${records.length} calls, ${usd(spent(records))} spent.`)
    process.exitCode = 130
  } else {
    explain(error)
    process.exitCode = 1
  }
} finally {
  await models.close()
}

async function showMorning(models: Models): Promise<void> {
  const { simulator, timeScale } = models
  const visits = morning()
  console.log(
    styleText(
      "bold",
      "A shop's assistant: intents, skills with tools, thinking; one router chooses the models.",
    ),
  )
  console.log(
    simulator
      ? "No model is named in the environment: the simulator plays all three (times as they would be).\n"
      : "Using the models named in the environment.\n",
  )
  // One model is busy for a moment, as they are; the morning shows what the router makes of it.
  simulator?.script([{ model: "sim-medium", status: 429 }])
  let shown = 0
  const show = ({ kind, task }: Step, right: boolean) => {
    for (; shown < records.length; shown++) {
      const record = records[shown]
      if (record === undefined) continue
      const what = record.plan.features.toolResultsPending ? "what the tools brought" : promptOf(task)
      console.log(showRecord(record, `${kind}: ${what}`, timeScale))
    }
    console.log(right ? styleText("green", "    right") : styleText("red", "    wrong"), "\n")
  }
  const { signal } = stop
  const routed = await runMorning(models, {
    name: "tierwise",
    visits,
    records,
    options: { signal },
    onStep: show,
  })
  if (simulator === undefined) {
    showTotals([routed])
    const heavy = records.reduce((sum, { baselineCost }) => sum + nanoToUsd(baselineCost), 0)
    console.log(`\nThe same tokens at the heavy tier would have cost ${usd(heavy)}.`)
    return
  }
  const baselines: Totals[] = []
  for (const tier of ["light", "heavy"]) {
    process.stdout.write(`The same morning with always-${tier} …\n`)
    baselines.push(
      await runMorning(models, { name: `always-${tier}`, visits, records, options: { tier, signal } }),
    )
  }
  showTotals([routed, ...baselines])
  checkStory(routed, baselines)
}

function showTotals(all: readonly Totals[]): void {
  const row = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(14) : cell.padStart(14))).join("")
  console.log(
    `\n${styleText("bold", row(["", "right answers", "cost", "mean latency", "fallbacks", "escalations"]))}`,
  )
  for (const { name, right, steps, costUsd, meanMs, fallbacks, escalations } of all) {
    console.log(
      row([
        name,
        `${right} of ${steps}`,
        usd(costUsd),
        `${Math.round(meanMs)} ms`,
        `${fallbacks}`,
        `${escalations}`,
      ]),
    )
  }
}

/** An example that does not show what it says is broken. */
function checkStory(routed: Totals, [light, heavy]: readonly Totals[]): void {
  const claims: readonly (readonly [string, boolean])[] = [
    ["one fallback really occurred", routed.fallbacks >= 1],
    ["one escalation really occurred", routed.escalations >= 1],
    ["routing got more right than always-light", routed.right > (light?.right ?? Number.NaN)],
    ["routing cost less than always-heavy", routed.costUsd < (heavy?.costUsd ?? Number.NaN)],
  ]
  const broken = claims.filter(([, holds]) => !holds).map(([claim]) => claim)
  const saved = 1 - routed.costUsd / (heavy?.costUsd ?? Number.NaN)
  console.log(
    `\n${(saved * 100).toFixed(0)} % cheaper than always-heavy. Simulated models: real ones will differ.`,
  )
  if (broken.length === 0) return
  console.error(`This run did not show that ${broken.join(", nor that ")}.`)
  process.exitCode = 1
}

async function routeLines(models: Models): Promise<void> {
  for await (const line of createInterface({ input: process.stdin, signal: stop.signal })) {
    if (line.trim() !== "") await routeOne(models, line.trim())
  }
  stop.signal.throwIfAborted()
}

async function routeOne({ router, timeScale }: Models, prompt: string): Promise<void> {
  console.log(`${styleText("bold", "▸")} ${styleText("bold", quoted(prompt))}`)
  console.log(showPlan(await router.explain(prompt)))
  const reply = await router.invoke(prompt, { signal: stop.signal })
  const record = records.at(-1)
  if (record) console.log(showRecord(record, "so it was done:", timeScale).split("\n").slice(2).join("\n"))
  console.log(`\n${reply.text}\n`)
}

/** True if somebody pipes prompts in. An inherited pipe that stays silent is nobody. */
async function linesAreComing(): Promise<boolean> {
  if (process.stdin.isTTY) return false
  const input = fstatSync(0)
  if (input.isFile()) return input.size > 0
  if (!input.isFIFO() && !input.isSocket()) return false
  const seen = await Promise.race([
    new Promise<boolean>((resolve) => {
      process.stdin.once("readable", () => resolve(process.stdin.readableLength > 0))
      process.stdin.once("end", () => resolve(false))
    }),
    wait(300, false),
  ])
  if (!seen) process.stdin.destroy()
  return seen
}

function promptOf({ messages }: Step["task"]): string {
  const said = messages.findLast(({ role }) => role === "user")?.content
  return typeof said === "string" ? said : ""
}

function spent(all: readonly RouteRecord[]): number {
  return all.reduce((sum, { cost }) => sum + nanoToUsd(cost), 0)
}

function explain(error: unknown): void {
  const known = TierwiseError.find(error)
  console.error(
    known?.message ?? (error instanceof Error ? error.message : "something that is no error was thrown"),
  )
}

import { styleText } from "node:util"
import type { Simulator } from "@tierwise/simulator"
import {
  nanoToUsd,
  type RouteObserver,
  type RouteRecord,
  type RouterChatModel,
  type RouterOptions,
  TierwiseError,
} from "tierwise"
import { openModels } from "./models.ts"
import { showRecord, usd } from "./show.ts"

/** What a story has to play with. */
export interface Stage {
  readonly router: RouterChatModel
  /** Undefined where the environment names real models: what they answer, nobody can promise. */
  readonly simulator: Simulator | undefined
  /** Every routed call that has ended, oldest first. */
  readonly records: readonly RouteRecord[]
  /** Aborts on Ctrl-C; given to every call, it ends the story where it stands. */
  readonly signal: AbortSignal
  /**
   * Prints what was decided, tried and paid in the calls that have ended since it was last asked. `asked` says what each
   * of them was about, in order; the last one stands for all further calls.
   */
  readonly tell: (...asked: [string, ...string[]]) => void
}

/** Opens the models, tells the story, says what it cost and closes them, on every way out. */
export async function runStory(
  title: string,
  options: Omit<RouterOptions, "deployments">,
  story: (stage: Stage) => Promise<void>,
): Promise<void> {
  const stop = new AbortController()
  process.on("SIGINT", () => stop.abort())
  // Whoever reads our output may have seen enough (`node main.ts | head`).
  process.stdout.on("error", () => process.exit(0))
  const records: RouteRecord[] = []
  const recorder: RouteObserver = {
    on: (event) => {
      if (event.type === "request-ended") records.push(event.record)
    },
  }
  try {
    const { router, simulator, timeScale, close } = await openModels(
      { ...options, observers: [recorder, ...(options.observers ?? [])] },
      // A story has a dozen calls; with little time for each, what this machine takes would be all one saw.
      { timeScale: 0.1 },
    )
    let told = 0
    const tell = (...asked: [string, ...string[]]) => {
      for (let index = 0; told < records.length; told++, index++) {
        console.log(showRecord(at(records, told), asked[index] ?? asked[asked.length - 1] ?? "", timeScale))
      }
    }
    try {
      console.log(styleText("bold", title))
      await story({ router, simulator, records, signal: stop.signal, tell })
      console.log(`\n${spent(records)}${simulator ? " Simulated models: real ones will differ." : ""}`)
    } finally {
      await close()
    }
  } catch (error) {
    console.log(stop.signal.aborted ? `\nStopped. ${spent(records)}` : `\n${explained(error)}`)
    process.exitCode = stop.signal.aborted ? 130 : 1
  }
}

/** The call number `index`, as a call that has been made. */
export function at(records: readonly RouteRecord[], index: number): RouteRecord {
  const record = records.at(index)
  if (record === undefined) throw new RangeError(`there are only ${records.length} calls`)
  return record
}

function spent(records: readonly RouteRecord[]): string {
  const sum = (pick: (record: RouteRecord) => RouteRecord["cost"]) =>
    usd(records.reduce((total, record) => total + nanoToUsd(pick(record)), 0))
  const calls = records.length === 1 ? "1 call" : `${records.length} calls`
  const heavy = records.some(({ answeredBy }) => answeredBy !== undefined)
    ? `the same answers from the heavy tier: ${sum((record) => record.baselineCost)}`
    : "there is no whole answer to compare with"
  return `${calls}, ${sum((record) => record.cost)}; ${heavy}.`
}

function explained(error: unknown): string {
  const known = TierwiseError.find(error)
  if (known !== undefined) return known.message
  return error instanceof Error ? (error.stack ?? error.message) : "something that is no error was thrown"
}

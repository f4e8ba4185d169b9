import { z } from "zod"
import { SimulatorConfigError } from "./errors.ts"
import type { Fault, FaultRate, Outage, ScriptedFault } from "./faults.ts"
import type { JsonObject, JsonValue } from "./protocol.ts"
import { REFUSAL_NAMES } from "./refusals.ts"

/** @throws SimulatorConfigError for the first that cannot be meant. */
export function checkedScript(
  faults: readonly ScriptedFault[],
  modelIds: readonly string[],
): readonly ScriptedFault[] {
  return checkedList("script", faults, { shape: scriptedFault, modelIds })
}

/** @throws SimulatorConfigError for the first that cannot be meant, or whose share is more than is left. */
export function checkedRates(rates: readonly FaultRate[], modelIds: readonly string[]): readonly FaultRate[] {
  const checked = checkedList("faultRates", rates, { shape: faultRate, modelIds })
  for (const model of modelIds) {
    let total = 0
    for (const [index, rate] of checked.entries()) {
      if (rate.model !== undefined && rate.model !== model) continue
      total += rate.share
      // A tenth and a fifth are no exact doubles.
      if (total > 1 + 1e-9)
        throw new SimulatorConfigError(
          `faultRates[${index}].share`,
          `the shares of ${model} add up to more than 1`,
          "lower one of them",
        )
    }
  }
  return checked
}

/** @throws SimulatorConfigError for the first that cannot be meant, or whose times make no stretch. */
export function checkedOutages(outages: readonly Outage[], modelIds: readonly string[]): readonly Outage[] {
  const checked = checkedList("outages", outages, { shape: outage, modelIds })
  for (const [index, { fromMs = 0, toMs, everyMs }] of checked.entries()) {
    if (toMs !== undefined && toMs <= fromMs)
      throw new SimulatorConfigError(
        `outages[${index}].toMs`,
        "it ends before it begins",
        "give more than fromMs",
      )
    if (everyMs !== undefined && (toMs === undefined || everyMs < toMs))
      throw new SimulatorConfigError(
        `outages[${index}].everyMs`,
        "a period holds the whole outage",
        "give toMs, and everyMs no less than it",
      )
  }
  return checked
}

interface ListChecks {
  readonly shape: z.ZodType
  readonly modelIds: readonly string[]
}

function checkedList<T extends Fault & { readonly model?: string | undefined }>(
  name: string,
  list: readonly T[],
  { shape, modelIds }: ListChecks,
): readonly T[] {
  if (!Array.isArray(list)) throw new SimulatorConfigError(name, "it is no list", "give a list of faults")
  return list.map((fault: T, index) => {
    const path = `${name}[${index}]`
    checkShape(fault, path, shape)
    checkMeaning(fault, path)
    if (fault.model !== undefined && !modelIds.includes(fault.model))
      throw new SimulatorConfigError(
        `${path}.model`,
        `there is no model ${fault.model}`,
        `use one of ${modelIds.join(", ")}`,
      )
    return fault
  })
}

function checkShape(fault: unknown, path: string, shape: z.ZodType): void {
  const parsed = shape.safeParse(fault)
  if (parsed.success) return
  const [issue] = parsed.error.issues
  const [field, ...inside] = issue?.path ?? []
  const fix =
    FIXES[[field, ...inside].join(".")] ?? FIXES[String(field)] ?? "compare it with the list of faults"
  throw new SimulatorConfigError(
    [path, ...(issue?.path ?? [])].map(String).join("."),
    issue?.message ?? "not understood",
    fix,
  )
}

function checkMeaning(fault: Fault, path: string): void {
  for (const { isBroken, problem, fix } of RULES) {
    const field = isBroken(fault)
    if (field !== undefined)
      throw new SimulatorConfigError(field === "" ? path : `${path}.${field}`, problem, fix)
  }
}

/** Fields that only an answer has. */
const OF_AN_ANSWER = [
  "answer",
  "breaks",
  "cutAfterChunks",
  "errorAfterChunks",
  "emptyChoices",
  "usage",
  "duplicateChunks",
  "drip",
] as const

const EFFECTS = [...OF_AN_ANSWER, "status", "refusal", "html", "headers", "headerBytes", "delayMs"] as const

interface Rule {
  /** The field that breaks it, "" for the fault as a whole, undefined if none does. */
  readonly isBroken: (fault: Fault) => string | undefined
  readonly problem: string
  readonly fix: string
}

const RULES: readonly Rule[] = [
  {
    isBroken: (fault) => (given(fault, EFFECTS).length === 0 ? "" : undefined),
    problem: "it changes nothing",
    fix: `give one of ${EFFECTS.join(", ")}`,
  },
  {
    isBroken: (fault) => (isRefusal(fault) ? given(fault, OF_AN_ANSWER)[0] : undefined),
    problem: "a refused call has no answer to change",
    fix: "leave it out, or leave out status, refusal and html",
  },
  {
    isBroken: (fault) => given(fault, ["cutAfterChunks", "errorAfterChunks", "breaks"])[1],
    problem: "an answer breaks once",
    fix: "give only one of breaks, cutAfterChunks and errorAfterChunks",
  },
  {
    isBroken: ({ refusal, status, html }) =>
      refusal !== undefined && (status ?? html) !== undefined ? "refusal" : undefined,
    problem: "it brings its own status and body",
    fix: "leave out status and html; body and headers may be given",
  },
  {
    isBroken: ({ html, body }) => (html !== undefined && body !== undefined ? "body" : undefined),
    problem: "there is one body",
    fix: "give html or body",
  },
  {
    isBroken: (fault) => (fault.body !== undefined && !saysBody(fault) ? "body" : undefined),
    problem: "nobody would send it",
    fix: "give status, refusal, errorAfterChunks or breaks.how error too",
  },
  {
    isBroken: ({ retryAfter, status, refusal }) =>
      retryAfter !== undefined && (status ?? refusal) === undefined ? "retryAfter" : undefined,
    problem: "only a refusal says when to come back",
    fix: "give status or refusal too",
  },
  {
    isBroken: ({ breaks }) =>
      breaks?.at === "arrival" && !AT_ARRIVAL.has(breaks.how) ? "breaks.at" : undefined,
    problem: "there is no answer yet at arrival",
    fix: `use start, or one of ${["cut", "reset", "stalls"].join(", ")}`,
  },
  {
    isBroken: ({ breaks }) =>
      isBytes(breaks?.at) && !AT_BYTES.has(breaks?.how ?? "") ? "breaks.at" : undefined,
    problem: "it happens between chunks, not between bytes",
    fix: "use chunks, or one of cut, reset, ends, stalls",
  },
]

const AT_ARRIVAL: ReadonlySet<string> = new Set(["cut", "reset", "stalls"])
const AT_BYTES: ReadonlySet<string> = new Set(["cut", "reset", "ends", "stalls"])

function given(fault: Fault, fields: readonly (keyof Fault)[]): readonly string[] {
  return fields.filter((field) => fault[field] !== undefined)
}

function isRefusal({ status, refusal, html }: Fault): boolean {
  return (status ?? refusal ?? html) !== undefined
}

function saysBody({ status, refusal, errorAfterChunks, breaks }: Fault): boolean {
  return (status ?? refusal ?? errorAfterChunks) !== undefined || breaks?.how === "error"
}

function isBytes(at: unknown): boolean {
  return typeof at === "object" && at !== null && "bytes" in at
}

const LONGEST_MS = 3_600_000
const PLACES = ["arrival", "start", "first-token", "tool-call", "end"] as const
const PLAIN_BREAKS = [
  "cut",
  "reset",
  "ends",
  "unfinished",
  "content-filter",
  "error",
  "truncated",
  "garbled",
] as const
const HOWS = [...PLAIN_BREAKS, "stalls", "endless"]
const USAGES = ["missing", "negative", "too-high", "wrong-total"] as const

/** What may stand in a field, by the field's name or whole path. */
const FIXES: Readonly<Record<string, string>> = {
  times: "give an integer from 1",
  status: "give an integer from 400 to 599",
  refusal: `use one of ${REFUSAL_NAMES.join(", ")}`,
  retryAfter: `give "none", { seconds } or { date }, each 0 to 86400 seconds from now`,
  html: "give the page, or true for a usual one",
  headers: "give texts by name",
  headerBytes: "give an integer from 1 to 1048576",
  delayMs: `give a number from 0 to ${LONGEST_MS}`,
  answer: "give a text",
  breaks: "give { how, at }, with forMs if it stalls and everyMs if it is endless",
  "breaks.how": `use one of ${HOWS.join(", ")}`,
  "breaks.at": `use one of ${PLACES.join(", ")}, { chunks } or { bytes }`,
  "breaks.forMs": `give a number from 0 to ${LONGEST_MS}, or nothing for ever`,
  "breaks.everyMs": `give a number from 1 to ${LONGEST_MS}`,
  cutAfterChunks: "give an integer from 0",
  errorAfterChunks: "give an integer from 0",
  emptyChoices: "give true, or nothing",
  usage: `use one of ${USAGES.join(", ")}, or give an object of fields`,
  duplicateChunks: "give true, or nothing",
  drip: `give { bytes, everyMs }, bytes from 1, everyMs from 0 to ${LONGEST_MS}`,
  share: "give a number from 0 to 1",
  fromMs: "give a number from 0",
  toMs: "give a number above fromMs",
  everyMs: "give a number above 0",
}

const realMs = z.number().min(0).max(LONGEST_MS)
const seconds = z.number().min(0).max(86_400)
const jsonObject = z.custom<JsonObject>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  "not an object",
)

const place = z.union(
  [z.enum(PLACES), z.strictObject({ chunks: z.int().min(0) }), z.strictObject({ bytes: z.int().min(0) })],
  "no such place",
)

const fault = {
  model: z.string().optional(),
  status: z.int().min(400).max(599).optional(),
  refusal: z.enum(REFUSAL_NAMES).optional(),
  retryAfter: z
    .union(
      [z.literal("none"), z.strictObject({ seconds }), z.strictObject({ date: seconds })],
      "no such time",
    )
    .optional(),
  body: z.custom<JsonValue>().optional(),
  html: z.union([z.literal(true), z.string()]).optional(),
  headers: z
    .record(z.string().regex(/^[!#$%&'*+.^_`|~\w-]+$/), z.string().regex(/^[\t\x20-\x7e]*$/))
    .optional(),
  headerBytes: z.int().min(1).max(1_048_576).optional(),
  delayMs: realMs.optional(),
  answer: z.string().optional(),
  breaks: z
    .discriminatedUnion("how", [
      z.strictObject({ how: z.enum(PLAIN_BREAKS), at: place.optional() }),
      z.strictObject({ how: z.literal("stalls"), at: place.optional(), forMs: realMs.optional() }),
      z.strictObject({ how: z.literal("endless"), at: place.optional(), everyMs: realMs.min(1).optional() }),
    ])
    .optional(),
  cutAfterChunks: z.int().min(0).optional(),
  errorAfterChunks: z.int().min(0).optional(),
  emptyChoices: z.literal(true).optional(),
  usage: z.union([z.enum(USAGES), jsonObject], "no such usage").optional(),
  duplicateChunks: z.literal(true).optional(),
  drip: z.strictObject({ bytes: z.int().min(1), everyMs: realMs }).optional(),
}

const scriptedFault = z.strictObject({ ...fault, times: z.int().min(1).optional() })
const faultRate = z.strictObject({ ...fault, share: z.number().min(0).max(1) })
const outage = z.strictObject({
  ...fault,
  fromMs: z.number().min(0).optional(),
  toMs: z.number().positive().optional(),
  everyMs: z.number().positive().optional(),
})

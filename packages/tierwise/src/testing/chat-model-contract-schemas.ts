import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { Runnable } from "@langchain/core/runnables"
import { z } from "zod"
import * as z3 from "zod/v3"
import { Seen } from "./chat-model-contract-events.ts"
import { caseWith, type ModelUnderTest, mustBeReply } from "./chat-model-contract-subject.ts"
import { weatherTool } from "./chat-model-contract-tools.ts"
import { type ContractCase, must } from "./contract.ts"

const person = z.object({ name: z.string(), age: z.number().int() }).describe("A person")
const personJson = {
  title: "person",
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
}
const SCHEMAS: readonly (readonly [name: string, schema: unknown])[] = [
  ["a zod schema", person],
  ["a zod 3 schema", z3.z.object({ name: z3.z.string(), age: z3.z.number().int() })],
  ["JSON Schema", personJson],
]
const METHODS = ["functionCalling", "jsonSchema"] as const

const nested = z.object({
  person: z.object({ name: z.string(), age: z.number().int() }),
  city: z.enum(["Rome", "Oslo"]),
  tags: z.array(z.string()),
})

const ADA = JSON.stringify({ age: 36, name: "Ada" })

/** Answers under a schema. */
export function schemaCases(under: ModelUnderTest): readonly ContractCase[] {
  const { supports, prompts } = under
  if (!supports.structuredOutput) return []
  const story = caseWith(under)

  const schemas = SCHEMAS.flatMap(([name, schema]) => [
    story(`answers under ${name}`, async (model) => {
      for (const method of [undefined, ...METHODS]) {
        const config = method === undefined ? {} : { method }
        mustBeAda(await asking(model, schema, config).invoke(prompts.record), `by ${method ?? "default"}`)
      }
    }),

    story(`brings the message along under ${name}, if asked`, async (model) => {
      const both = await asking(model, schema, { includeRaw: true }).invoke(prompts.record)
      const { raw, parsed } = both as { readonly raw?: unknown; readonly parsed?: unknown }
      mustBeReply(raw, "raw")
      mustBeAda(parsed, "as parsed")
    }),

    story(`streams towards the whole answer under ${name}`, async (model) => {
      let last: unknown
      for await (const piece of await asking(model, schema, {}).stream(prompts.record)) last = piece
      mustBeAda(last, "as the last piece")
    }),
  ])

  const always = [
    story("answers under a nested schema with enums and lists", async (model) => {
      const answer = await asking(model, nested, { name: "note" }).invoke(prompts.nestedRecord)
      const { success, error } = nested.safeParse(answer)
      must(success, `${JSON.stringify(answer)} does not follow the schema: ${error?.message}`)
    }),

    story("tells tracers the schema it answers under", async (model) => {
      const seen = new Seen()
      await asking(model, person, {}).invoke(prompts.record, { callbacks: [seen] })
      const { properties } = (seen.starts.at(-1)?.schema ?? {}) as { readonly properties?: object }
      must(
        properties !== undefined && "name" in properties,
        "the run's options have no ls_structured_output_format with the schema",
      )
    }),

    story("answers a batch under a schema", async (model) => {
      const answers = await asking(model, person, {}).batch([prompts.record, prompts.record])
      for (const answer of answers) mustBeAda(answer, "in a batch")
    }),

    story("asks for a schema on a copy of itself", async (model) => {
      const structured = asking(model, person, {})
      const [plain, answer] = await Promise.all([
        model.invoke(prompts.talk),
        structured.invoke(prompts.record),
      ])
      must(plain.text !== "" && !plain.text.startsWith("{"), `the model itself said ${plain.text}`)
      mustBeAda(answer, "beside a plain call")
    }),
  ]

  const withTools = story("answers under a schema although tools were bound before", async (model) => {
    const bound = model.bindTools?.([weatherTool]) as Partial<BaseChatModel> | undefined
    must(bound !== undefined, "it has no bindTools")
    const fix = "return a model that has it from bindTools, not a RunnableBinding"
    must(
      typeof bound.withStructuredOutput === "function",
      `a bound model has no withStructuredOutput: ${fix}`,
    )
    mustBeAda(await asking(bound as BaseChatModel, person, {}).invoke(prompts.record), "with tools")
  })

  return [...schemas, ...always, ...(supports.tools ? [withTools] : [])]
}

function asking(model: BaseChatModel, schema: unknown, config: object): Runnable<string, unknown> {
  return model.withStructuredOutput(schema as never, config)
}

function mustBeAda(answer: unknown, how: string): void {
  const { name, age, ...more } = (answer ?? {}) as { readonly name?: unknown; readonly age?: unknown }
  const said = JSON.stringify({ age, name, ...more })
  must(said === ADA, `${how} it answered ${JSON.stringify(answer)}, not ${ADA}`)
}

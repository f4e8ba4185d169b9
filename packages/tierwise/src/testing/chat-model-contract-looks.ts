import { caseWith, describe, type ModelUnderTest } from "./chat-model-contract-subject.ts"
import { ContractBroken, type ContractCase, must } from "./contract.ts"

/** Names by which LangChain takes something for another thing than a chat model. */
const TRAPS = ["tools", "bound", "middle", "_queuedMethodOperations"] as const

const LS_PARAMS = [
  "ls_max_tokens",
  "ls_model_name",
  "ls_model_type",
  "ls_provider",
  "ls_stop",
  "ls_temperature",
].join(", ")

/** What can be seen of a model without asking it anything. */
export function lookCases(under: ModelUnderTest): readonly ContractCase[] {
  const story = caseWith(under)

  const looks = [
    story("looks like a chat model to LangChain and to LangGraph, and like nothing else", async (model) => {
      for (const name of [
        "invoke",
        "stream",
        "_generate",
        "_streamResponseChunks",
        "_llmType",
        "_modelType",
      ] as const) {
        must(typeof model[name] === "function", `${name} is ${typeof model[name]}`)
      }
      must(model._llmType() !== "" && model.getName() !== "", "it has no name")
      const trap = TRAPS.find((name) => name in model)
      must(trap === undefined, `it has a "${trap}", by which LangChain takes it for something else`)
    }),

    story("names itself to tracers: getLsParams has exactly their six keys", async (model) => {
      const keys = Object.keys(model.getLsParams({})).sort().join(", ")
      must(keys === LS_PARAMS, `the keys are ${keys}; they must be ${LS_PARAMS}`)
      must(model.getLsParams({ stop: ["x"] }).ls_stop?.join() === "x", "ls_stop is not the call's stop")
    }),

    story("has a profile of plain values", async (model) => {
      const odd = Object.entries(model.profile).find(
        ([, value]) => !["boolean", "number", "undefined"].includes(typeof value) && !Array.isArray(value),
      )
      must(odd === undefined, `profile.${odd?.[0]} is ${describe(odd?.[1])}`)
    }),

    story("can be written down", async (model) => {
      must(JSON.stringify(model).length > 2, "JSON.stringify(model) is empty")
      must(typeof model._identifyingParams() === "object", "_identifyingParams() is no object")
    }),
  ]

  const counting = story("counts tokens by itself, without a request", async (model) => {
    await withoutRequests(async () => {
      const short = await model.getNumTokens("Hello")
      const long = await model.getNumTokens("Hello there. ".repeat(50))
      must(short > 0 && long > 50, `it counts ${short} and ${long} tokens in 1 word and in 100`)
      const blocks = await model.getNumTokens([{ type: "text", text: "Hello" }])
      must(blocks > 0, "it counts no tokens in a content block")
    })
  })

  return under.supports.localTokenCount ? [...looks, counting] : looks
}

/** Fails at the first request through `fetch`, whatever `work` makes of it. */
async function withoutRequests(work: () => Promise<void>): Promise<void> {
  const { fetch } = globalThis
  const asked = new Promise<never>((_, reject) => {
    globalThis.fetch = async (input) => {
      const url = input instanceof Request ? input.url : String(input)
      const refusal = new ContractBroken(`it asked ${url}`)
      reject(refusal)
      throw refusal
    }
  })
  try {
    await Promise.race([work(), asked])
  } finally {
    globalThis.fetch = fetch
  }
}

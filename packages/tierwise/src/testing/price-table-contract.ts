import { ratesOf } from "../pricing/rates.ts"
import type { Price, PriceTable } from "../spec/catalog.ts"
import { TierwiseError } from "../spec/errors.ts"
import { type ContractCase, must } from "./contract.ts"

/** A table, and what it is expected to know. */
export interface PriceTableUnderTest {
  readonly table: PriceTable
  /** Models that have a price; at least one. */
  readonly known: readonly { readonly provider: string; readonly model: string }[]
  /** A model that has none. */
  readonly unknown: { readonly provider: string; readonly model: string }
}

/**
 * What every `PriceTable` must do.
 *
 * @example for (const { name, run } of priceTableContract({ table, known, unknown })) it(name, run)
 */
export function priceTableContract({ table, known, unknown }: PriceTableUnderTest): readonly ContractCase[] {
  const eachKnown = async (check: (price: Price, name: string) => void) => {
    must(known.length > 0, "no known model was given to try it with")
    for (const { provider, model } of known) {
      check(await table.priceOf(provider, model), `${provider}/${model}`)
    }
  }
  return [
    {
      name: "gives prices that a deployment can be billed at",
      run: () =>
        eachKnown((price, name) => {
          const problem = problemOf(() => ratesOf(price, name))
          must(problem === undefined, `the price of ${name} is no price: ${String(problem)}`)
        }),
    },
    {
      name: "says of every price in USD where and when it was read",
      run: () =>
        eachKnown((price, name) => {
          if (typeof price !== "object" || !("inputPerMTok" in price)) return
          must(!!price.source, `the price of ${name} has no source`)
          must(!Number.isNaN(Date.parse(price.asOf ?? "")), `the price of ${name} has no date: ${price.asOf}`)
        }),
    },
    {
      name: "gives the same price when it is asked again, and to several at once",
      run: async () => {
        for (const { provider, model } of known) {
          const ask = () => table.priceOf(provider, model)
          const [first, ...more] = await Promise.all([ask(), ask(), ask()])
          const again = [...more, await ask()]
          const other = again.find((price) => JSON.stringify(price) !== JSON.stringify(first))
          must(other === undefined, `${provider}/${model} has two prices`)
        }
      },
    },
    {
      name: "refuses a model whose price it does not know, by its name: nothing is free unless somebody says so",
      run: async () => {
        const { provider, model } = unknown
        const outcome = await table.priceOf(provider, model).then(
          (price) => ({ price }),
          (error: unknown) => ({ error }),
        )
        must(!("price" in outcome), `an unknown model has the price ${JSON.stringify(outcome)}`)
        const { error } = outcome
        const said = TierwiseError.find(error)
        must(said?.code === "invalid-config", `it threw ${String(error)}, not a ConfigError`)
        must(said.message.includes(model), `its error does not name ${model}: ${said.message}`)
      },
    },
  ]
}

function problemOf(run: () => unknown): unknown {
  try {
    run()
    return undefined
  } catch (error) {
    return error
  }
}

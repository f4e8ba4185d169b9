import type { BudgetStore } from "../spec/budget.ts"
import type { Amount } from "../spec/money.ts"
import {
  amount,
  ask,
  hold,
  type MakeBudget,
  refused,
  rejects,
  SCOPES,
  sameIn,
  shows,
  storiesOf,
} from "./budget-store-contract-subject.ts"
import { type ContractCase, must } from "./contract.ts"

const TENANT = "tenant:acme"

/** Signs that end a text, a key or a command somewhere. */
const ODD_IDS: readonly string[] = [
  "a:b",
  "a",
  ":",
  `"`,
  "'; drop table holds; --",
  "{a}",
  "{",
  "[1,2]",
  "*?%_",
  "\\",
  "\n\t\u0001",
  " ",
  "null",
  "__proto__",
  "constructor",
  "é",
  // The same to a reader, in other code points.
  "e\u0301",
  "👩‍👩‍👧‍👦",
  // 512 signs of three bytes.
  Array.from({ length: 512 }, (_, index) => String.fromCharCode(0x4e00 + index)).join(""),
]

const MOST = Number.MAX_SAFE_INTEGER

/** Names, amounts, and what is no name and no amount. */
export function inputCases(make: MakeBudget): readonly ContractCase[] {
  const story = storiesOf(make)
  return [
    story("keeps ids of scopes apart, whatever they are made of", async (world) => {
      await Promise.all(
        ODD_IDS.map((id, index) => hold(world, `${index}`, amount(index + 1), { tenant: id })),
      )
      await Promise.all(
        ODD_IDS.map((id, index) =>
          shows(world, `of the tenant ${id}`, [{ scope: `tenant:${id}`, held: index + 1 }], { tenant: id }),
        ),
      )
      await Promise.all(ODD_IDS.map((_, index) => world.store.settle(`${index}`, amount(1))))
      const last = ODD_IDS.at(-1) as string
      await shows(world, "after the last", [{ scope: `tenant:${last}`, spent: 1, held: 0 }], { tenant: last })
    }),

    story(
      "keeps scopes apart, whatever they are named",
      async (world) => {
        const scopes = { team: "a b", "team a": "b", te: "am", tea: "m", "{te}am": "b" }
        await hold(world, "a", amount(0, 60), scopes)
        await hold(world, "b", amount(0, 40), { ...scopes, team: "other", te: "other" })
        const statuses = await world.store.status(scopes)
        const seen = statuses.map(({ limit, held }) => `${held} of ${limit}`).sort()
        const expected = ["100 of 202", "100 of 204", "100 of 205", "60 of 201", "60 of 203"]
        must(seen.join() === expected.join(), `held are ${seen.join()}, not ${expected.join()}`)
      },
      {
        limits: ["team", "team a", "te", "tea", "{te}am"].map((scope, index) => ({
          scope,
          window: "day",
          tokens: 201 + index,
        })),
      },
    ),

    story("keeps holds apart, whatever their ids are made of", async (world) => {
      await Promise.all(ODD_IDS.map((id) => hold(world, id, amount(1))))
      await shows(world, "with one hold each", [{ scope: TENANT, held: ODD_IDS.length }])
      const closings = await Promise.all(ODD_IDS.map((id) => world.store.settle(id, amount(1))))
      must(!closings.includes(undefined), `the hold "${ODD_IDS[closings.indexOf(undefined)]}" is lost`)
      await shows(world, "after each was settled", [{ scope: TENANT, held: 0, spent: ODD_IDS.length }])
    }),

    story(
      "counts to the last unit up to 2^53",
      async (world) => {
        await hold(world, "a", amount(0, MOST - 1))
        await shows(world, "next to the end", [{ scope: TENANT, held: MOST - 1, remaining: 1 }])
        sameIn(await refused(world, "b", amount(0, 2)), { limit: MOST, remaining: 1 }, "the refusal")
        sameIn(await refused(world, "c", amount(0, MOST)), { remaining: 1 }, "the refusal")
        await hold(world, "d", amount(0, 1))
        await world.store.settle("a", amount(0, MOST - 2))
        await shows(world, "after a settlement", [{ scope: TENANT, spent: MOST - 2, held: 1, remaining: 1 }])
      },
      { limits: [{ scope: "tenant", window: "total", tokens: MOST }] },
    ),

    story(
      "refuses to count beyond 2^53, and changes nothing",
      async (world) => {
        const { store } = world
        await hold(world, "a", amount(0, 600))
        await hold(world, "b", amount(0, 400))
        await rejects(() => store.settle("a", amount(0, MOST)), "a settlement beyond 2^53")
        const booking = { id: "c", scopes: SCOPES, amount: amount(0, MOST - 999) }
        await rejects(() => store.book(booking), "a booking beyond 2^53")
        await shows(world, "after both were refused", [
          { scope: TENANT, window: "day", held: 1_000, spent: 0, overrun: 0 },
          { scope: TENANT, window: "total", held: 1_000, spent: 0, overrun: 0 },
        ])
        await store.settle("a", amount(0, 500))
        await store.book({ ...booking, amount: amount(0, 7) })
        await shows(world, "after amounts that fit", [
          { scope: TENANT, window: "day", held: 400, spent: 507 },
          { scope: TENANT, window: "total", held: 400, spent: 507 },
        ])
      },
      {
        limits: [
          { scope: "tenant", window: "day", tokens: 1_000 },
          { scope: "tenant", window: "total", tokens: MOST },
        ],
      },
    ),

    ...BAD_INPUT.map(([what, path, work]) =>
      story(`refuses ${what}, naming ${path}`, async (world) => {
        await hold(world, "a", amount(10, 10))
        // Which tenant calls is a client's word, and no mistake of whoever has set the server up.
        const code = path.startsWith("scopes.") ? "invalid-request" : "invalid-config"
        await rejects(() => work(world.store), what, path, code)
        await shows(world, "after bad input", [
          { scope: TENANT, held: 10, spent: 0 },
          { scope: "user:ada", held: 10, spent: 0 },
        ])
        must(await world.store.extend("a", 1_000), "the hold is not live any more")
      }),
    ),

    story("lets the same id be given well after it was given badly", async (world) => {
      await ask(world, "b", bad({ tokens: -1 })).catch(() => {})
      await hold(world, "b", amount(10, 10))
    }),
  ]
}

type BadInput = readonly [what: string, path: string, work: (store: BudgetStore) => Promise<unknown>]

function bad(part: { readonly money?: number; readonly tokens?: number }): Amount {
  return { ...amount(1, 1), ...part } as Amount
}

const reserving =
  (part: Parameters<typeof bad>[0]): BadInput[2] =>
  (store) =>
    store.reserve({ id: "b", scopes: SCOPES, amount: bad(part) })

const settling =
  (part: Parameters<typeof bad>[0]): BadInput[2] =>
  (store) =>
    store.settle("a", bad(part))

const BAD_INPUT: readonly BadInput[] = [
  ["a hold of less than nothing", "amount.money", reserving({ money: -1 })],
  ["a hold of no number", "amount.money", reserving({ money: Number.NaN })],
  ["a hold of a fraction", "amount.money", reserving({ money: 0.5 })],
  ["a hold beyond 2^53", "amount.money", reserving({ money: 2 ** 53 })],
  ["a hold of less than no tokens", "amount.tokens", reserving({ tokens: -1 })],
  ["a hold of half a token", "amount.tokens", reserving({ tokens: 1.5 })],
  ["a hold of infinitely many tokens", "amount.tokens", reserving({ tokens: Number.POSITIVE_INFINITY })],
  ["a settlement of less than nothing", "amount.money", settling({ money: -1 })],
  ["a settlement of no number of tokens", "amount.tokens", settling({ tokens: Number.NaN })],
  [
    "a booking of less than nothing",
    "amount.money",
    (store) => store.book({ id: "b", scopes: SCOPES, amount: bad({ money: -1 }) }),
  ],
  ["a hold without an id", "id", (store) => store.reserve({ id: "", scopes: SCOPES, amount: bad({}) })],
  [
    "an id of more than 512 characters",
    "id",
    (store) => store.reserve({ id: "x".repeat(513), scopes: SCOPES, amount: bad({}) }),
  ],
  [
    "an id that cannot be written down",
    "id",
    (store) => store.reserve({ id: "half a sign: \ud83d", scopes: SCOPES, amount: bad({}) }),
  ],
  ["a settlement without an id", "id", (store) => store.settle("", bad({}))],
  ["a release without an id", "id", (store) => store.release("")],
  ["an extension without an id", "id", (store) => store.extend("", 1_000)],
  ["an extension by no time", "ttlMs", (store) => store.extend("a", 0)],
  ["an extension without end", "ttlMs", (store) => store.extend("a", Number.POSITIVE_INFINITY)],
  ["an extension by no number", "ttlMs", (store) => store.extend("a", Number.NaN)],
  [
    "a scope without an id",
    "scopes.tenant",
    (store) => store.reserve({ id: "b", scopes: { tenant: "" }, amount: bad({}) }),
  ],
  [
    "a scope whose id has more than 512 characters",
    "scopes.tenant",
    (store) => store.reserve({ id: "b", scopes: { tenant: "x".repeat(513) }, amount: bad({}) }),
  ],
  [
    "a booking for half a sign",
    "scopes.tenant",
    (store) => store.book({ id: "b", scopes: { tenant: "\ud83d" }, amount: bad({}) }),
  ],
  ["the status of a scope without an id", "scopes.tenant", (store) => store.status({ tenant: "" })],
  [
    "a scope whose id ends where it should not",
    "scopes.tenant",
    (store) => store.status({ tenant: "acme\u0000" }),
  ],
]

import { DatabaseSync } from "node:sqlite"
import type { InvoiceLine } from "@tierwise/simulator"
import type { BudgetStatus } from "tierwise"
import { readWatch, type Watched } from "./watch-limits.ts"
import type { Told, Way } from "./worker.ts"

/** What the ledger, the provider's bill and the callers say of the same calls. Money is NanoUsd. */
export interface Audit extends Watched {
  /** `pragma integrity_check`: `ok`. */
  readonly integrity: string
  readonly settled: number
  /** Holds of killed processes that expired. */
  readonly unconfirmed: number
  readonly released: number
  /** Calls that the provider has billed, and what for. */
  readonly billedCalls: number
  readonly billed: number
  /** Settled and unconfirmed together. */
  readonly booked: number
  /** Requests that reached the provider and are no hold of the ledger. */
  readonly withoutHold: number
  /** Holds that were given back, or are in another state than settled and unconfirmed, and were billed. */
  readonly billedAndNotBooked: number
  /** Holds booked at their quote that were billed more. */
  readonly unconfirmedBelowBill: number
  /** Settled holds whose usage was reported, and those of them that are not booked as they were billed. */
  readonly reported: number
  readonly notExact: number
  /** Settled holds whose cost was estimated. */
  readonly estimated: EstimatedSum
  /** Between what the ledger says is spent and its own holds. */
  readonly rowsAstray: number
  /** Between what it says of one scope and of the other. */
  readonly scopesAstray: number
  readonly overrun: number
  readonly heldAtEnd: number
}

export interface EstimatedSum {
  readonly holds: number
  readonly billed: number
  readonly booked: number
  /** Holds that are booked below what was billed, and by how much in all. */
  readonly below: number
  readonly short: number
}

interface Hold {
  readonly id: string
  readonly state: "held" | "unconfirmed" | "settled" | "released" | "booked" | "unknown"
  readonly way: Way
  readonly booked: number
}

/** The teams of a tenant have the same calls as the tenant. */
export interface TenantStatus {
  readonly tenant: BudgetStatus
  readonly teams: readonly BudgetStatus[]
}

export interface AuditOptions {
  readonly path: string
  /** Of each tenant, what the ledger answers for the tenant and for its teams. */
  readonly tenants: readonly TenantStatus[]
  readonly invoices: readonly InvoiceLine[]
  readonly told: readonly Told[]
}

/** Reads the holds in the ledger's own table: what the library says of them would prove less. */
export function audit({ path, tenants, invoices, told }: AuditOptions): Audit {
  using database = new DatabaseSync(path, { timeout: 5_000 })
  const holds = readHolds(database)
  const statuses = tenants.flatMap(({ tenant, teams }) => [tenant, ...teams])
  const bills = billsOf(invoices)
  const unestimated = reportedHolds(told)

  const billOf = ({ id }: Hold) => bills.get(id)?.cost ?? 0
  const inState = (...states: readonly Hold["state"][]) =>
    [...holds.values()].filter(({ state }) => states.includes(state))
  const settled = inState("settled")
  const unconfirmed = inState("unconfirmed")
  const isReported = ({ id, way }: Hold) =>
    unestimated.has(id) || (READ_TO_THE_END.has(way) && bills.get(id)?.isCompleted === true)
  const reported = settled.filter(isReported)
  const estimated = settled.filter((hold) => !isReported(hold))

  return {
    ...readWatch(database),
    integrity: integrityOf(database),
    settled: settled.length,
    unconfirmed: unconfirmed.length,
    released: inState("released").length,
    billedCalls: [...bills.values()].filter(({ cost }) => cost > 0).length,
    billed: sum([...bills.values()], ({ cost }) => cost),
    booked: sum([...settled, ...unconfirmed], ({ booked }) => booked),
    withoutHold: [...bills.keys()].filter((id) => !holds.has(id)).length,
    billedAndNotBooked: inState("held", "released", "booked", "unknown").filter((hold) => billOf(hold) > 0)
      .length,
    unconfirmedBelowBill: unconfirmed.filter((hold) => hold.booked < billOf(hold)).length,
    reported: reported.length,
    notExact: reported.filter((hold) => hold.booked !== billOf(hold)).length,
    estimated: {
      holds: estimated.length,
      billed: sum(estimated, billOf),
      booked: sum(estimated, ({ booked }) => booked),
      below: estimated.filter((hold) => hold.booked < billOf(hold)).length,
      short: sum(estimated, (hold) => Math.max(0, billOf(hold) - hold.booked)),
    },
    rowsAstray: Math.abs(
      sum([...settled, ...unconfirmed], ({ booked }) => booked) - sum(tenants, ({ tenant }) => tenant.spent),
    ),
    scopesAstray: sum(tenants, scopesAstray),
    overrun: sum(statuses, ({ overrun }) => overrun),
    heldAtEnd: sum(statuses, ({ held }) => held),
  }
}

/** Callers that stayed to the end were told the usage, where the answer was completed. */
const READ_TO_THE_END: ReadonlySet<Way> = new Set(["whole", "streamed"])

export function integrityOf(database: DatabaseSync): string {
  const rows = database.prepare("pragma integrity_check").all() as { readonly integrity_check: string }[]
  return rows.map(({ integrity_check: said }) => said).join("; ")
}

function readHolds(database: DatabaseSync): ReadonlyMap<string, Hold> {
  const rows = database
    .prepare("select id, state, request, quoted_money, actual_money from tierwise_holds")
    .all() as {
    readonly id: string
    readonly state: Hold["state"]
    readonly request: string | null
    readonly quoted_money: number
    readonly actual_money: number | null
  }[]
  return new Map(
    rows.map(({ id, state, request, quoted_money: quoted, actual_money: actual }) => {
      const way = scopesIn(request).get("way") as Way
      return [id, { id, state, way, booked: actual ?? quoted }]
    }),
  )
}

/** A hold's request is its amount and then the names and ids of its scopes. */
function scopesIn(request: string | null): ReadonlyMap<string, string> {
  const [, , ...scopes] = JSON.parse(request ?? "[]") as readonly [number, number, ...[string, string][]]
  return new Map(scopes)
}

interface Bill {
  readonly cost: number
  /** Whether all that was billed was answered in full. */
  readonly isCompleted: boolean
}

/** Tries that were refused cost nothing, and may be repeated under one hold. */
function billsOf(invoices: readonly InvoiceLine[]): ReadonlyMap<string, Bill> {
  const bills = new Map<string, Bill>()
  for (const { requestId, costNanoUsd, outcome } of invoices) {
    const { cost, isCompleted } = bills.get(requestId) ?? { cost: 0, isCompleted: true }
    bills.set(requestId, {
      cost: cost + costNanoUsd,
      isCompleted: isCompleted && (costNanoUsd === 0 || outcome === "completed"),
    })
  }
  return bills
}

/** Holds under which the provider reported its usage, by the records of the callers that lived to tell. */
function reportedHolds(told: readonly Told[]): ReadonlySet<string> {
  const ids = new Set<string>()
  for (const attempt of told.flatMap(({ attempts }) => attempts)) {
    const isReported = attempt.outcome !== "skipped" && attempt.usage?.estimated === false
    if (isReported && attempt.holdId !== undefined) ids.add(attempt.holdId)
  }
  return ids
}

function scopesAstray({ tenant, teams }: TenantStatus): number {
  const apart = (of: (status: BudgetStatus) => number) => Math.abs(of(tenant) - sum(teams, of))
  return apart(({ spent }) => spent) + apart(({ held }) => held) + apart((status) => status.unconfirmed)
}

function sum<T>(list: readonly T[], of: (one: T) => number): number {
  return list.reduce((total, one) => total + of(one), 0)
}

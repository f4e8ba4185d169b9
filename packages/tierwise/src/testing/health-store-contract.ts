import type { ContractCase } from "./contract.ts"
import { circuitCases } from "./health-store-contract-circuits.ts"
import { changeCases, cooldownCases } from "./health-store-contract-cooldowns.ts"
import type { MakeHealthStore } from "./health-store-contract-subject.ts"

/**
 * What every `HealthStore` must do, wherever it keeps what processes know. Each case asks for a fresh store; the cases may
 * run side by side. What it does while it is away, which is to reject in good time, is for its own tests.
 *
 * @example
 * const make: MakeHealthStore = () => ({
 *   store: redisHealth({ client, name: crypto.randomUUID() }),
 *   passed: (ms) => setTimeout(ms),
 * })
 * for (const { name, run } of healthStoreContract(make)) it(name, run)
 */
export function healthStoreContract(make: MakeHealthStore): readonly ContractCase[] {
  const kinds = [circuitCases, cooldownCases, changeCases]
  return kinds.flatMap((casesOf) => casesOf(make))
}

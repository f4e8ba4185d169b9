/** One thing an implementation must do. `run` rejects, with what was wrong, if it does not. */
export interface ContractCase {
  readonly name: string
  readonly run: () => Promise<void>
}

/** @throws Error with `message` unless `holds`. */
export function must(holds: boolean, message: string): asserts holds {
  if (!holds) throw new ContractBroken(message)
}

/** What an implementation that breaks its contract is told. */
export class ContractBroken extends Error {
  override readonly name = "ContractBroken"
}

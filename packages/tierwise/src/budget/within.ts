import { BudgetUnavailableError } from "../spec/errors.ts"

/**
 * One step of a budget store, which may be anybody's and may hang. What it does in the end, nobody waits for.
 * @throws BudgetUnavailableError when the time is over.
 */
export async function within<T>(store: string, patienceMs: number, step: () => Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const tooLate = new Promise<never>((_, reject) => {
    const error = () => new BudgetUnavailableError(store, `it has not answered for ${patienceMs} ms`)
    timer = setTimeout(() => reject(error()), patienceMs)
  })
  try {
    return await Promise.race([step(), tooLate])
  } finally {
    clearTimeout(timer)
  }
}

import { describe, expect, it } from "vitest"
import { groupCommit, type StepOutcome } from "./group-commit.ts"

type Step = (rows: number[]) => unknown

class Locked extends Error {}

/** A table of numbers whose transactions are all or nothing. */
function table() {
  const committed: number[] = []
  const sizes: number[] = []
  let locks = 0
  const group = groupCommit<number[]>({
    transact(steps: readonly Step[]) {
      if (locks > 0) {
        locks--
        throw new Locked()
      }
      sizes.push(steps.length)
      const rows = [...committed]
      const outcomes = steps.map((step): StepOutcome => ({ outcome: "done", answer: step(rows) }))
      committed.splice(0, committed.length, ...rows)
      return outcomes
    },
    patience: { isLocked: (error) => error instanceof Locked, timeoutMs: 50, random: () => 0.5 },
  })
  const lock = (attempts: number) => {
    locks = attempts
  }
  return { group, committed, sizes, lock }
}

const put =
  (n: number): Step =>
  (rows) => {
    if (n < 0) throw new RangeError("negative")
    return rows.push(n)
  }

describe("groupCommit", () => {
  it("commits together what is asked for in the same moment, in order, and answers each", async () => {
    const { group, committed, sizes } = table()
    expect(await Promise.all([1, 2, 3].map((n) => group.run(put(n))))).toEqual([1, 2, 3])
    expect(await group.run(put(4))).toBe(4)
    expect(committed).toEqual([1, 2, 3, 4])
    expect(sizes).toEqual([3, 1])
  })

  it("lets a step that breaks the transaction fail alone", async () => {
    const { group, committed } = table()
    const outcomes = await Promise.allSettled([1, -1, 2, -2, 3].map((n) => group.run(put(n))))
    const broken = { status: "rejected", reason: new RangeError("negative") }
    const done = (value: number) => ({ status: "fulfilled", value })
    expect(outcomes).toEqual([done(1), broken, done(2), broken, done(3)])
    expect(committed).toEqual([1, 2, 3])
    await Promise.all([5, 6].map((n) => group.run(put(n))))
    expect(committed).toEqual([1, 2, 3, 5, 6])
  })

  it("answers one step with its failure, and goes on with the others of its transaction", async () => {
    let runs = 0
    const group = groupCommit<undefined>({
      transact(steps) {
        runs++
        return steps.map((_, index) =>
          index === 1 ? { outcome: "failed", error: new Error("no") } : { outcome: "done", answer: index },
        )
      },
      patience: { isLocked: () => false, timeoutMs: 0, random: () => 0 },
    })
    const outcomes = await Promise.allSettled([0, 1, 2].map(() => group.run(() => {})))
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"])
    expect(runs).toBe(1)
  })

  it("tries again while somebody else writes, and takes along who has come since", async () => {
    const { group, committed, sizes, lock } = table()
    lock(3)
    const first = group.run(put(1))
    await new Promise((resolve) => setTimeout(resolve, 2))
    await Promise.all([first, group.run(put(2))])
    expect(committed).toEqual([1, 2])
    expect(sizes).toEqual([2])
  })

  it("gives up on a lock that stays, and works again when it is gone", async () => {
    const { group, committed, lock } = table()
    lock(Number.POSITIVE_INFINITY)
    const outcomes = await Promise.allSettled([group.run(put(1)), group.run(put(2))])
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"])
    await expect(group.run(put(3))).rejects.toThrow("another process has kept it locked for 50 ms")
    lock(0)
    await group.run(put(4))
    expect(committed).toEqual([4])
  })

  it("shares a transaction among some hundred at most, and keeps the others waiting", async () => {
    const { group, committed, sizes } = table()
    const many = Array.from({ length: 1_000 }, (_, n) => n)
    await Promise.all(many.map((n) => group.run(put(n))))
    await group.idle()
    expect(committed).toEqual(many)
    expect(Math.max(...sizes)).toBe(512)
  })
})

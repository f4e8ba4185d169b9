import { describe, expect, it } from "vitest"
import { callGroupOf } from "./call-group.ts"

function hold() {
  const made = { dropped: 0, drop: async () => void made.dropped++ }
  return made
}

describe("callGroupOf", () => {
  it("is one for the runs that were started with the same parameters, and no part of them", () => {
    const params = { invocation_params: {} }
    expect(callGroupOf(params)).toBe(callGroupOf(params))
    expect(callGroupOf({ ...params })).not.toBe(callGroupOf(params))
    expect(JSON.stringify(params)).toBe('{"invocation_params":{}}')
    expect(Reflect.ownKeys({ ...params })).toEqual(["invocation_params"])
  })

  it("is made for every run where there is nothing to find it by", () => {
    expect(callGroupOf(undefined)).not.toBe(callGroupOf(undefined))
    const frozen = Object.freeze({})
    expect(callGroupOf(frozen)).not.toBe(callGroupOf(frozen))
  })
})

describe("a call's group", () => {
  it("gives a run to one holder per ledger", () => {
    const group = callGroupOf({})
    expect(group.claim("main", "r-1")).toBe(true)
    expect(group.claim("main", "r-1")).toBe(false)
    expect(group.claim("main", "r-2")).toBe(true)
    expect(group.claim("other", "r-1")).toBe(true)
  })

  it("lets every run hold while none is refused", async () => {
    const group = callGroupOf({})
    const [a, b] = [hold(), hold()]
    expect(await Promise.all([group.join(Promise.resolve(a)), group.join(Promise.resolve(b))])).toEqual([
      a,
      b,
    ])
    expect([a.dropped, b.dropped]).toEqual([0, 0])
  })

  it("drops what was granted before a refusal, and what is granted after it, before it tells of the refusal", async () => {
    const group = callGroupOf({})
    const [early, late] = [hold(), hold()]
    await group.join(Promise.resolve(early))
    const { promise, resolve } = Promise.withResolvers<typeof late>()
    const joining = group.join(promise)
    let told = false
    const refused = group.join(Promise.reject(new Error("no"))).catch(() => {
      told = true
    })
    await new Promise((done) => setTimeout(done))
    expect(told).toBe(false)
    resolve(late)
    await refused
    expect(await joining).toBeUndefined()
    expect([early.dropped, late.dropped]).toEqual([1, 1])
  })

  it("refuses a run that comes after a refusal: its call is off", async () => {
    const group = callGroupOf({})
    await group.join(Promise.reject(new Error("no"))).catch(() => {})
    const late = hold()
    expect(await group.join(Promise.resolve(late))).toBeUndefined()
    expect(late.dropped).toBe(1)
  })
})

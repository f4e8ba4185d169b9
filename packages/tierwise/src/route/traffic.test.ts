import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { Admission, Pass } from "../dispatch/dispatch-options.ts"
import { type HealthBook, healthBook } from "../dispatch/health/health-book.ts"
import { nanoUsd } from "../spec/money.ts"
import type { RequestFeatures } from "../spec/request.ts"
import { NO_USAGE } from "../spec/usage.ts"
import type { RouterOptions } from "./router-options.ts"
import { type Callee, trafficControl } from "./traffic.ts"

type Options = Partial<RouterOptions>
type Limits = NonNullable<Callee["candidate"]["deployment"]["limits"]>

/** Deployments that nobody calls, and requests of 100 tokens that ask for leave to. */
function open(limits: Readonly<Record<string, Limits>>, options: Options = {}) {
  const clock = { at: 1_000_000 }
  const control = trafficControl({ deployments: [], now: () => clock.at, random: () => 0.5, ...options })
  const callees = Object.entries(limits).map(([id, of]): Callee => {
    const deployment = {
      id,
      tier: "light",
      model: {} as BaseChatModel,
      price: "free",
      profile: { maxInputTokens: 9_000 },
      labels: {},
      weight: 1,
      limits: of,
    } as const
    const candidate = { deployment, quote: { money: nanoUsd(0), tokens: 100 }, maxOutputTokens: 40 }
    return { deploymentId: id, tier: "light", candidate }
  })
  const deployments = callees.map(({ candidate: { deployment } }) => deployment)
  const counts = deployments.map((one) => control.take(one, "deployments[0]"))
  const traffic = control.of(deployments)
  /** One request, which stands in the line where there is one. */
  const request = (priority?: number) => {
    const features = { inputTokens: 60 } as RequestFeatures
    const rules = traffic.rules({ messages: [], priority }, features)
    const ask = async (isRetry = false, callee = callees[0] as Callee) =>
      (await rules.admit?.(callee, isRetry)) as Admission
    /** Waits in the line; its answer is there when it is. */
    const wait = () => {
      const waiting = { how: undefined as string | undefined }
      const stand = async () => {
        waiting.how = await rules.line?.wait(undefined, undefined)
      }
      void stand()
      return waiting
    }
    return { ask, wait, rules }
  }
  return { clock, control, callees, deployments, counts, request, traffic }
}

const passOf = (admission: Admission): Pass => {
  if (!admission.admitted) throw new Error(`it was kept out: ${admission.because}`)
  return admission.pass
}
const answered = { ended: "answered", usage: NO_USAGE, firstPieceMs: 20 } as const
const failed = (failure: "server-error" | "aborted" | "invalid-request" | "defect" | "control-flow") =>
  ({ ended: "failed", failure, error: new Error(failure), isItsOwn: true }) as const
const heard = () => new Promise((resolve) => setImmediate(resolve))
const inLine = { waitingLine: {} }

/** Health that is asked for over a network, as it is where it is shared. */
function slowHealth(): HealthBook {
  const book = healthBook()
  return { ...book, enter: async (key, evenIfCooling) => book.enter(key, evenIfCooling) }
}

describe("the line before a deployment", () => {
  it.each([
    ["", {}],
    [" whose health is asked for elsewhere", { health: slowHealth() }],
  ] as [string, Options][])("wakes whoever was refused when a call ends%s", async (_, options) => {
    const { request } = open({ a: { concurrency: 1 } }, { ...inLine, ...options })
    const pass = passOf(await request().ask())
    const second = request()
    expect(await second.ask()).toMatchObject({ admitted: false, because: "saturated" })
    const waiting = second.wait()
    await heard()
    expect(waiting.how).toBeUndefined()
    pass.ended(answered)
    await heard()
    expect(waiting.how).toBe("turn")
    expect(await second.ask()).toMatchObject({ admitted: true })
  })

  it("gives the next his turn as soon as the one before has entered, not when his call is over", async () => {
    const { request } = open({ a: { concurrency: 2 } }, inLine)
    const [one, other] = [passOf(await request().ask()), passOf(await request().ask())]
    const [first, second] = [request(), request()]
    await first.ask()
    const waits = [first.wait()]
    await second.ask()
    waits.push(second.wait())
    // Both in one moment: the second turn finds the first in line on his way.
    one.ended(answered)
    other.ended(answered)
    await heard()
    expect(waits.map(({ how }) => how)).toEqual(["turn", undefined])
    passOf(await first.ask())
    await heard()
    expect(waits.map(({ how }) => how)).toEqual(["turn", "turn"])
  })

  it("keeps newcomers behind those who stand in it, and wakes them too", async () => {
    const { request } = open({ a: { concurrency: 1 } }, inLine)
    const pass = passOf(await request().ask())
    const first = request()
    await first.ask()
    first.wait()
    pass.ended(answered)
    // There is room, but the first in line is about to take it.
    const late = request()
    expect(await late.ask()).toEqual({ admitted: false, because: "saturated", until: undefined })
    const waiting = late.wait()
    const next = passOf(await first.ask())
    await heard()
    // He looks whether there is more, and there is not.
    expect(waiting.how).toBe("turn")
    expect(await late.ask()).toMatchObject({ admitted: false })
    const again = late.wait()
    next.ended(answered)
    await heard()
    expect(again.how).toBe("turn")
  })

  it("is no place to wait for who has asked for a pause", async () => {
    const { callees, clock, control, request } = open({ a: {}, b: { concurrency: 1 } }, inLine)
    const [a, b] = callees as [Callee, Callee]
    const passes = [passOf(await request().ask(false, a)), passOf(await request().ask(false, b))]
    control.health.cool("a", clock.at + 60_000, "overloaded")
    const one = request()
    expect(await one.ask(false, a)).toMatchObject({ because: "cooling-down" })
    expect(await one.ask(false, b)).toMatchObject({ because: "saturated" })
    const waiting = one.wait()
    passes[0]?.ended(answered)
    await heard()
    expect(waiting.how).toBeUndefined()
    passes[1]?.ended(answered)
    await heard()
    expect(waiting.how).toBe("turn")
  })

  it("lets a retry pass, which has had its turn", async () => {
    const { request } = open({ a: { concurrency: 1 } }, inLine)
    const pass = passOf(await request().ask())
    const first = request()
    await first.ask()
    first.wait()
    pass.ended(answered)
    const late = request()
    expect(await late.ask(true)).toMatchObject({ admitted: true })
  })
})

describe("what is known of a deployment", () => {
  it("counts what has come of its calls, and what is under way", async () => {
    const { clock, counts, request } = open({ a: {} })
    const [known] = counts
    if (known === undefined) throw new Error("there is none")
    expect([known.inFlight(), known.lastUsedAt()]).toEqual([0, undefined])
    const passes = []
    for (let call = 0; call < 7; call++) passes.push(passOf(await request().ask()))
    expect(known.inFlight()).toBe(7)
    clock.at += 500
    const endings = [
      answered,
      { ...answered, firstPieceMs: 40 },
      failed("server-error"),
      failed("aborted"),
      failed("invalid-request"),
      failed("defect"),
      { ended: "unsent" } as const,
    ]
    for (const [index, how] of endings.entries()) passes[index]?.ended(how)
    expect([known.inFlight(), known.lastUsedAt()]).toEqual([0, clock.at])
    expect(known.metrics()).toEqual({ calls: 3, failures: 1, meanFirstPieceMs: 30 })
  })

  it("takes the most that a call may use from its limit, and gives it back where nothing was sent", async () => {
    const { request } = open({ a: { tokensPerMinute: 250 } })
    const first = passOf(await request().ask())
    passOf(await request().ask())
    expect(await request().ask()).toMatchObject({ admitted: false, because: "saturated" })
    first.ended({ ended: "unsent" })
    expect(await request().ask()).toMatchObject({ admitted: true })
  })

  it.each(["least-in-flight", "lowest-latency"] as const)(
    "is what is under way, for who comes next (%s)",
    async (order) => {
      const { clock, request, traffic } = open({ a: {}, b: {} }, { order })
      const first = () => traffic.rank(undefined, "light", false)?.[0]
      expect(first()).toBe("a")
      const pass = passOf(await request().ask())
      clock.at += 100
      expect(first()).toBe("b")
      pass.ended({ ended: "unsent" })
      expect(first()).toBe("a")
    },
  )

  it("says when it may be back, and how long a request may be", async () => {
    const { clock, callees, control, request } = open({ a: {} })
    const [a] = callees as [Callee]
    const { rules } = request()
    expect(rules.backAt?.(a)).toBeUndefined()
    control.health.cool("a", clock.at + 5_000, "overloaded")
    expect(rules.backAt?.(a)).toBe(clock.at + 5_000)
    expect(rules.contextOf?.(a)).toBe(9_000)
  })

  it("is forgotten with it, but for its health", async () => {
    const { control, deployments, request } = open({ a: { concurrency: 1 } })
    const [a] = deployments
    if (a === undefined) throw new Error("there is none")
    passOf(await request().ask())
    expect(await request().ask()).toMatchObject({ admitted: false })
    control.forget(a)
    expect(await request().ask()).toMatchObject({ admitted: true })
  })

  it("is learnt from probes too, which are none of its calls", async () => {
    const { control, counts, deployments } = open({ a: {} }, { circuitBreaker: { failures: 1 } })
    const [a] = deployments
    if (a === undefined) throw new Error("there is none")
    const pass = passOf(await control.admitProbe(a, 1))
    pass.ended(failed("server-error"))
    expect(counts[0]?.metrics().calls).toBe(0)
    expect(await control.admitProbe(a, 1)).toMatchObject({ because: "circuit-open" })
  })
})

describe("hedging", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }))
  afterEach(() => void vi.useRealTimers())

  it("adds a twentieth to the calls, and two at first", () => {
    const { control } = open({ a: {} }, { hedge: { afterMs: 100 } })
    const budget = control.of([]).hedging?.budget
    const taken = () => {
      let count = 0
      while (budget?.take() === true) count++
      return count
    }
    expect(taken()).toBe(2)
    for (let call = 0; call < 20; call++) budget?.called()
    expect(taken()).toBe(1)
    // Time alone earns none.
    vi.advanceTimersByTime(60_000)
    expect(taken()).toBe(0)
  })

  it("comes after the time that is given, or after which most answers have begun", async () => {
    const given = open({ a: {} }, { hedge: { afterMs: 100 } })
    expect(given.control.of([]).hedging?.afterMs(given.callees[0] as Callee)).toBe(100)
    const { callees, control, deployments, request } = open({ a: {} }, { hedge: {} })
    const [a] = callees as [Callee]
    const { hedging } = control.of(deployments)
    expect(hedging?.afterMs(a)).toBeUndefined()
    for (let call = 0; call < 20; call++) passOf(await request().ask()).ended(answered)
    expect(hedging?.afterMs(a)).toBe(20)
    for (const one of deployments) control.forget(one)
    expect(hedging?.afterMs(a)).toBeUndefined()
  })
})

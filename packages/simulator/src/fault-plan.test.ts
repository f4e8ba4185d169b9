import { describe, expect, it } from "vitest"
import { SimulatorConfigError } from "./errors.ts"
import { type FaultPlan, type FaultPlanOptions, faultPlan } from "./fault-plan.ts"
import type { FaultRate, Outage, ScriptedFault } from "./faults.ts"
import { type Simulator, startSimulator } from "./server.ts"

describe("fault rates", () => {
  it("hit their share of the calls", () => {
    const plan = open({
      faultRates: [
        { share: 0.1, status: 429 },
        { share: 0.3, status: 500 },
      ],
    })
    const statuses = taken(plan, "a", 2_000)
    expect(statuses.filter((status) => status === 429).length / 2_000).toBeCloseTo(0.1, 1)
    expect(statuses.filter((status) => status === 500).length / 2_000).toBeCloseTo(0.3, 1)
  })

  it("hit all calls or none at the ends of the scale", () => {
    expect(taken(open({ faultRates: [{ share: 1, status: 500 }] }), "a", 50)).toEqual(Array(50).fill(500))
    expect(taken(open({ faultRates: [{ share: 0, status: 500 }] }), "a", 50)).toEqual(
      Array(50).fill(undefined),
    )
  })

  it("hit the same calls of a model whatever other models are asked, and others under another seed", () => {
    const faultRates = [{ share: 0.5, status: 500 }]
    const alone = taken(open({ faultRates }), "a", 60)
    const together = open({ faultRates })
    const between = alone.map((_, at) => {
      taken(together, "b", at % 3)
      return taken(together, "a", 1)[0]
    })
    expect(between).toEqual(alone)
    expect(taken(open({ faultRates }), "b", 60)).not.toEqual(alone)
    expect(taken(open({ faultRates, seed: 2 }), "a", 60)).not.toEqual(alone)
  })

  it("spare the models they do not name, and can be replaced", () => {
    const plan = open({ faultRates: [{ model: "a", share: 1, status: 500 }] })
    expect([...taken(plan, "a", 1), ...taken(plan, "b", 1)]).toEqual([500, undefined])
    plan.setRates([{ model: "b", share: 1, status: 503 }])
    expect([...taken(plan, "a", 1), ...taken(plan, "b", 1)]).toEqual([undefined, 503])
  })
})

describe("outages", () => {
  it("last from their first millisecond to before their last, since the start", () => {
    let now = 1_000
    const plan = open({ now: () => now, outages: [{ fromMs: 100, toMs: 200, status: 503 }] })
    const at = (elapsedMs: number): number | undefined => {
      now = 1_000 + elapsedMs
      return taken(plan, "a", 1)[0]
    }
    expect([0, 99, 100, 199, 200, 5_000].map(at)).toEqual([
      undefined,
      undefined,
      503,
      503,
      undefined,
      undefined,
    ])
  })

  it("come again in every period", () => {
    let now = 0
    const plan = open({ now: () => now, outages: [{ fromMs: 10, toMs: 20, everyMs: 50, status: 503 }] })
    const downs = Array.from({ length: 150 }, (_, at) => {
      now = at
      return taken(plan, "a", 1)[0] === 503
    })
    expect(downs.flatMap((down, at) => (down ? at : []))).toEqual(
      [10, 60, 110].flatMap((from) => Array.from({ length: 10 }, (_, more) => from + more)),
    )
  })

  it("give way to a fault in line, and go before chance", () => {
    const plan = open({
      outages: [{ model: "a", status: 503 }],
      faultRates: [{ share: 1, status: 500 }],
    })
    plan.script([{ status: 401 }])
    expect(taken(plan, "a", 2)).toEqual([401, 503])
    expect(taken(plan, "b", 1)).toEqual([500])
    plan.script([{ status: 401, times: 9 }])
    plan.heal()
    expect(taken(plan, "a", 2)).toEqual([undefined, undefined])
  })
})

describe("faults of a running simulator", () => {
  it("kill a model and heal it, in this process and over HTTP", async () => {
    await using simulator = await startSimulator({
      timeScale: 0,
      outages: [{ model: "sim-large", status: 500 }],
    })
    expect(await statusOf(simulator, "sim-large")).toBe(500)
    simulator.setOutages([{ model: "sim-small", status: 503 }])
    expect([await statusOf(simulator, "sim-small"), await statusOf(simulator, "sim-large")]).toEqual([
      503, 200,
    ])
    simulator.setFaultRates([{ model: "sim-large", share: 1, status: 429 }])
    expect(await statusOf(simulator, "sim-large")).toBe(429)
    simulator.heal()
    expect([await statusOf(simulator, "sim-small"), await statusOf(simulator, "sim-large")]).toEqual([
      200, 200,
    ])

    expect(await tell(simulator, "/outages", [{ status: 503 }])).toEqual([200, undefined])
    expect(await statusOf(simulator, "sim-small")).toBe(503)
    expect(await tell(simulator, "/outages", [])).toEqual([200, undefined])
    expect(await statusOf(simulator, "sim-small")).toBe(200)
    expect(await tell(simulator, "/fault-rates", [{ share: 1, status: 500 }])).toEqual([200, undefined])
    expect(await statusOf(simulator, "sim-small")).toBe(500)
    expect(await tell(simulator, "/heal", {})).toEqual([200, undefined])
    expect(await statusOf(simulator, "sim-small")).toBe(200)
    expect(await tell(simulator, "/fault-rates", [{ share: 2, status: 500 }])).toEqual([
      400,
      "faultRates[0].share",
    ])
    expect(await tell(simulator, "/outages", {})).toEqual([400, null])
  })
})

describe("faults that cannot be meant", () => {
  it("are named by their field, with what to give instead", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const scripts: readonly (readonly [object, string])[] = [
      [{}, "script[0]"],
      [{ model: "sim-small", times: 2 }, "script[0]"],
      [{ retryAfter: "none" }, "script[0]"],
      [{ status: 200 }, "script[0].status"],
      [{ status: 500, times: 0 }, "script[0].times"],
      [{ status: 500, model: "x" }, "script[0].model"],
      [{ status: 500, answer: "x" }, "script[0].answer"],
      [{ html: true, drip: { bytes: 1, everyMs: 1 } }, "script[0].drip"],
      [{ refusal: "nobody" }, "script[0].refusal"],
      [{ refusal: "azure-rate-limit", status: 429 }, "script[0].refusal"],
      [{ status: 429, retryAfter: { seconds: -1 } }, "script[0].retryAfter.seconds"],
      [{ answer: "x", retryAfter: "none" }, "script[0].retryAfter"],
      [{ answer: "x", body: {} }, "script[0].body"],
      [{ html: true, body: {} }, "script[0].body"],
      [{ headerBytes: 0 }, "script[0].headerBytes"],
      [{ headers: { "x-odd": "two\nlines" } }, "script[0].headers.x-odd"],
      [{ delayMs: -1 }, "script[0].delayMs"],
      [{ cutAfterChunks: 1, errorAfterChunks: 1 }, "script[0].errorAfterChunks"],
      [{ cutAfterChunks: 1, breaks: { how: "cut" } }, "script[0].breaks"],
      [{ breaks: { how: "melts" } }, "script[0].breaks.how"],
      [{ breaks: { how: "cut", at: "noon" } }, "script[0].breaks.at"],
      [{ breaks: { how: "cut", at: { bytes: -1 } } }, "script[0].breaks.at.bytes"],
      [{ breaks: { how: "cut", forMs: 1 } }, "script[0].breaks"],
      [{ breaks: { how: "stalls", forMs: -1 } }, "script[0].breaks.forMs"],
      [{ breaks: { how: "endless", everyMs: 0 } }, "script[0].breaks.everyMs"],
      [{ breaks: { how: "error", at: "arrival" } }, "script[0].breaks.at"],
      [{ breaks: { how: "garbled", at: { bytes: 3 } } }, "script[0].breaks.at"],
      [{ usage: "odd" }, "script[0].usage"],
      [{ drip: { bytes: 0, everyMs: 1 } }, "script[0].drip.bytes"],
      [{ status: 500, share: 1 }, "script[0]"],
    ]
    for (const [fault, path] of scripts)
      expect(
        problemOf(() => simulator.script([fault as ScriptedFault])),
        JSON.stringify(fault),
      ).toBe(path)
    const rates: readonly (readonly [readonly object[], string])[] = [
      [[{ status: 500 }], "faultRates[0].share"],
      [[{ status: 500, share: 1.1 }], "faultRates[0].share"],
      [[{ share: 0.5 }], "faultRates[0]"],
      [
        [
          { status: 500, share: 0.6 },
          { status: 503, share: 0.5, model: "sim-large" },
        ],
        "faultRates[1].share",
      ],
    ]
    for (const [list, path] of rates)
      expect(
        problemOf(() => simulator.setFaultRates(list as FaultRate[])),
        JSON.stringify(list),
      ).toBe(path)
    const outages: readonly (readonly [object, string])[] = [
      [{ status: 500, fromMs: 5, toMs: 5 }, "outages[0].toMs"],
      [{ status: 500, everyMs: 5 }, "outages[0].everyMs"],
      [{ status: 500, toMs: 6, everyMs: 5 }, "outages[0].everyMs"],
      [{ status: 500, fromMs: -1 }, "outages[0].fromMs"],
      [{ toMs: 6 }, "outages[0]"],
    ]
    for (const [outage, path] of outages)
      expect(
        problemOf(() => simulator.setOutages([outage as Outage])),
        JSON.stringify(outage),
      ).toBe(path)
    expect(await statusOf(simulator, "sim-large")).toBe(200)
    expect(() => simulator.script([{ breaks: { how: "melts" as "cut" } }])).toThrow(
      /Fix: use one of cut, reset, ends/,
    )
  })

  it("stop a simulator from starting", async () => {
    const faultRates = [{ share: 2, status: 500 }]
    await expect(startSimulator({ faultRates })).rejects.toMatchObject({ path: "faultRates[0].share" })
    await expect(startSimulator({ outages: [{ model: "x", status: 500 }] })).rejects.toMatchObject({
      path: "outages[0].model",
    })
  })
})

function open(options: Partial<FaultPlanOptions> = {}): FaultPlan {
  return faultPlan({ modelIds: ["a", "b"], seed: 1, now: () => 0, faultRates: [], outages: [], ...options })
}

function taken(plan: FaultPlan, model: string, calls: number): readonly (number | undefined)[] {
  return Array.from({ length: calls }, () => plan.take(model)?.status)
}

async function statusOf(simulator: Simulator, model: string): Promise<number> {
  const messages = [{ role: "user", content: "Hello" }]
  const body = JSON.stringify({ model, messages })
  const response = await fetch(`${simulator.baseUrl}/chat/completions`, { method: "POST", body })
  await response.text()
  return response.status
}

async function tell(simulator: Simulator, path: string, body: unknown): Promise<readonly unknown[]> {
  const url = new URL(path, simulator.baseUrl)
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) })
  const { error } = (await response.json()) as { readonly error?: { readonly param: string | null } }
  return [response.status, error?.param]
}

function problemOf(attempt: () => void): string {
  try {
    attempt()
  } catch (error) {
    if (error instanceof SimulatorConfigError) return error.path
    throw error
  }
  return "nothing is wrong"
}

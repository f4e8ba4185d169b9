import { createServer } from "node:net"
import { describe, expect, it, vi } from "vitest"
import { type Simulator, startSimulator } from "./server.ts"
import { startSimulatorProcess } from "./simulator-process.ts"

describe("a simulator that refuses connections", () => {
  it("breaks those there are, accepts no more, and resumes on the same port", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    simulator.script([{ breaks: { how: "stalls" }, answer: "one two" }])
    const stream = await ask(simulator.baseUrl, { stream: true })
    await simulator.refuse()
    await simulator.refuse()
    await expect(stream.text()).rejects.toThrow(/terminated/)
    await expect(ask(simulator.baseUrl)).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } })
    await vi.waitFor(() =>
      expect(simulator.invoices()).toMatchObject([{ outcome: "aborted", outputTokens: 1 }]),
    )
    await simulator.resume()
    await simulator.resume()
    expect((await ask(simulator.baseUrl)).status).toBe(200)
    // Nobody was billed for a call that never came.
    expect(simulator.invoices()).toHaveLength(2)
  })

  it("resumes by itself after a time, unless it is told otherwise", async () => {
    const waits: { ms: number; signal: AbortSignal; end: () => void }[] = []
    const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
      new Promise((end) => void waits.push({ ms, signal, end }))
    await using simulator = await startSimulator({ timeScale: 0, sleep })
    await simulator.refuse(700)
    await expect(ask(simulator.baseUrl)).rejects.toThrow(/fetch failed/)
    expect(waits.map(({ ms }) => ms)).toEqual([700])
    waits[0]?.end()
    await vi.waitFor(async () => expect((await ask(simulator.baseUrl)).status).toBe(200))

    await simulator.refuse(700)
    await simulator.refuse()
    expect(waits[1]?.signal.aborted).toBe(true)
    waits[1]?.end()
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
    await expect(ask(simulator.baseUrl)).rejects.toThrow(/fetch failed/)
    await expect(simulator.refuse(0)).rejects.toMatchObject({ path: "forMs" })
  })

  it("says so when its port was taken meanwhile, and can be closed all the same", async () => {
    const simulator = await startSimulator({ timeScale: 0 })
    await simulator.refuse()
    const other = createServer()
    const { port } = new URL(simulator.baseUrl)
    await new Promise<void>((resolve) => other.listen(Number(port), "127.0.0.1", resolve))
    await expect(simulator.resume()).rejects.toMatchObject({ name: "SimulatorConfigError", path: "port" })
    await simulator.close()
    await new Promise((resolve) => other.close(resolve))
    await simulator.resume()
    await expect(ask(simulator.baseUrl)).rejects.toThrow(/fetch failed/)
  })

  it("can be told so over HTTP, for a time", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    expect(await refuseOverHttp(simulator, {})).toBe(400)
    expect(await refuseOverHttp(simulator, { forMs: 0 })).toBe(400)
    expect(await refuseOverHttp(simulator, { forMs: 60_000 })).toBe(200)
    await vi.waitFor(() => expect(ask(simulator.baseUrl)).rejects.toThrow(/fetch failed/))
    await simulator.resume()
    expect((await ask(simulator.baseUrl)).status).toBe(200)
  })

  it("does it in a process of its own, with the other faults", async () => {
    await using simulator = await startSimulatorProcess({ timeScale: 0 })
    await simulator.refuse()
    await expect(ask(simulator.baseUrl)).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } })
    await expect(simulator.refuse(-1)).rejects.toMatchObject({ path: "forMs" })
    await simulator.resume()
    expect((await ask(simulator.baseUrl)).status).toBe(200)
    await simulator.setOutages([{ status: 503 }])
    expect((await ask(simulator.baseUrl)).status).toBe(503)
    await simulator.setOutages([])
    await simulator.setFaultRates([{ share: 1, breaks: { how: "reset", at: "arrival" } }])
    await expect(ask(simulator.baseUrl)).rejects.toMatchObject({ cause: { code: "ECONNRESET" } })
    await simulator.heal()
    expect((await ask(simulator.baseUrl)).status).toBe(200)
    await expect(simulator.setFaultRates([{ share: 7, status: 500 }])).rejects.toMatchObject({
      path: "faultRates[0].share",
    })
    expect(await simulator.invoices()).toHaveLength(4)
    await simulator.close()
    await expect(simulator.refuse()).rejects.toThrow(/has ended/)
  })
})

function ask(baseUrl: string, more: object = {}): Promise<Response> {
  const messages = [{ role: "user", content: "Hello" }]
  const body = JSON.stringify({ model: "sim-small", messages, ...more })
  return fetch(`${baseUrl}/chat/completions`, { method: "POST", body })
}

async function refuseOverHttp({ baseUrl }: Simulator, order: object): Promise<number> {
  const url = new URL("/refuse", baseUrl)
  const response = await fetch(url, { method: "POST", body: JSON.stringify(order) })
  await response.text()
  return response.status
}

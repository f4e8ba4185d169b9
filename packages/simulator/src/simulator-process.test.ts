import { spawn } from "node:child_process"
import { once } from "node:events"
import { describe, expect, it } from "vitest"
import { SimulatorConfigError } from "./errors.ts"
import { DEFAULT_MODELS } from "./models.ts"
import { readInvoices } from "./read-invoices.ts"
import { startSimulatorProcess } from "./simulator-process.ts"

describe("simulator in a process of its own", () => {
  it("bills calls of many processes, and lets any of them read the bill", async () => {
    await using simulator = await startSimulatorProcess({ timeScale: 0 })
    expect(simulator.pid).not.toBe(process.pid)
    await Promise.all(["a", "b", "c"].map((name) => callFromAnotherProcess(simulator.baseUrl, name, 5)))
    const lines = await simulator.invoices()
    expect(lines.map(({ number }) => number)).toEqual(Array.from({ length: 15 }, (_, at) => at + 1))
    const ids = ["a", "b", "c"].flatMap((name) => Array.from({ length: 5 }, (_, at) => `${name}-${at}`))
    expect(lines.map(({ requestId }) => requestId).sort()).toEqual(ids)
    expect(await readInvoices(simulator.baseUrl, { after: 13 })).toEqual(lines.slice(13))
  })

  it("takes the models it is given, and faults while it runs", async () => {
    const [small] = DEFAULT_MODELS
    if (small === undefined) throw new Error("there are no models")
    await using simulator = await startSimulatorProcess({ timeScale: 0, models: [{ ...small, id: "mine" }] })
    await simulator.script([{ model: "mine", status: 503 }])
    expect((await ask(simulator.baseUrl, "mine")).status).toBe(503)
    expect((await ask(simulator.baseUrl, "mine")).status).toBe(200)
    await expect(simulator.script([{ model: "sim-small", status: 503 }])).rejects.toThrow(/there is no model/)
  })

  it("names the option that cannot work", async () => {
    await expect(startSimulatorProcess({ timeScale: 11 })).rejects.toThrow(SimulatorConfigError)
    await using simulator = await startSimulatorProcess()
    const port = Number(new URL(simulator.baseUrl).port)
    await expect(startSimulatorProcess({ port })).rejects.toMatchObject({ path: "port" })
  })

  it("is gone when it is closed, with the calls that were under way", async () => {
    const simulator = await startSimulatorProcess()
    await simulator.script([{ delayMs: 60_000 }])
    const call = ask(simulator.baseUrl, "sim-small")
    call.catch(() => undefined)
    const openCalls = async (): Promise<number> => {
      const page = await (await fetch(new URL("/invoices", simulator.baseUrl))).json()
      return (page as { readonly open_calls: number }).open_calls
    }
    await expect.poll(openCalls).toBe(1)
    await simulator.close()
    await simulator.close()
    await expect(call).rejects.toThrow(/fetch failed/)
    expect(() => process.kill(simulator.pid, 0)).toThrow(/ESRCH/)
    await expect(simulator.invoices()).rejects.toThrow(/fetch failed/)
  })

  it("ends with the process that started it, even if that is killed", async () => {
    const module = new URL("./simulator-process.ts", import.meta.url)
    const parent = spawnProgram(`
      const { startSimulatorProcess } = await import(${JSON.stringify(module)})
      const { pid } = await startSimulatorProcess()
      console.log(pid)`)
    const [line] = (await once(parent.stdout, "data")) as [Buffer]
    const pid = Number(line.toString())
    expect(process.kill(pid, 0)).toBe(true)
    parent.kill("SIGKILL")
    await expect.poll(() => isGone(pid), { timeout: 10_000 }).toBe(true)
  })
})

function ask(baseUrl: string, model: string): Promise<Response> {
  const messages = [{ role: "user", content: "Hello" }]
  return fetch(`${baseUrl}/chat/completions`, { method: "POST", body: JSON.stringify({ model, messages }) })
}

/** A process with no code of the simulator in it. */
async function callFromAnotherProcess(baseUrl: string, name: string, calls: number): Promise<void> {
  const child = spawnProgram(`
    for (let at = 0; at < ${calls}; at += 1) {
      const response = await fetch("${baseUrl}/chat/completions", {
        method: "POST",
        headers: { "x-request-id": "${name}-" + at },
        body: JSON.stringify({ model: "sim-echo", messages: [{ role: "user", content: "Hello" }] }),
      })
      await response.text()
      if (response.status !== 200) process.exit(1)
    }`)
  const [code] = (await once(child, "exit")) as [number | null]
  expect(code).toBe(0)
}

function spawnProgram(program: string) {
  return spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  })
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}

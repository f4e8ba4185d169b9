import type { ServerResponse } from "node:http"
import type { Fault } from "./faults.ts"
import type { Sleep } from "./options.ts"

/**
 * The body of a response on its way out. Both resolve when there is room for more, to false if the connection broke and
 * nothing can follow; they reject when the reader goes away.
 */
export interface Outlet {
  write(text: string): Promise<boolean>
  end(text?: string): Promise<boolean>
}

/** What goes wrong with the bytes of a body. */
export interface ByteFaults {
  /** Default: nothing happens between bytes. */
  readonly afterBytes: number | undefined
  /** Happens once, there or at the end of a shorter body; resolves to false if nothing can follow. */
  readonly happen: () => Promise<boolean>
  /** Default: all bytes at once. */
  readonly drip: Fault["drip"]
  readonly sleep: Sleep
}

export function outlet(response: ServerResponse, signal: AbortSignal): Outlet {
  return {
    write: async (text) => {
      await written(response, text, signal)
      return true
    },
    end: async (text = "") => {
      response.end(text)
      return true
    },
  }
}

export function faultyOutlet(response: ServerResponse, signal: AbortSignal, faults: ByteFaults): Outlet {
  const { afterBytes = Number.POSITIVE_INFINITY, happen, drip, sleep } = faults
  let left = afterBytes
  const goesOn = async (): Promise<boolean> => {
    if (left > 0) return true
    left = Number.POSITIVE_INFINITY
    response.flushHeaders()
    return happen()
  }
  const write = async (text: string): Promise<boolean> => {
    let rest = Buffer.from(text)
    while (rest.length > 0) {
      if (!(await goesOn())) return false
      const size = Math.min(rest.length, left, drip?.bytes ?? rest.length)
      await written(response, rest.subarray(0, size), signal)
      rest = rest.subarray(size)
      left -= size
      if (drip !== undefined) await sleep(drip.everyMs, signal)
    }
    return true
  }
  return {
    write,
    end: async (text = "") => {
      if (!(await write(text))) return false
      if (left < Number.POSITIVE_INFINITY) left = 0
      if (!(await goesOn())) return false
      response.end()
      return true
    },
  }
}

async function written(response: ServerResponse, bytes: string | Buffer, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  if (!response.write(bytes)) await drained(response, signal)
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      response.off("drain", settle)
      signal.removeEventListener("abort", settle)
      if (signal.aborted) reject(signal.reason)
      else resolve()
    }
    response.on("drain", settle)
    signal.addEventListener("abort", settle)
  })
}

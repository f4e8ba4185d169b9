import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { SimulatorConfigError } from "./errors.ts"
import type { SimulatorSettings } from "./options.ts"

/** The port of a simulator, which can be shut for a while. Its verbs are done one after the other. */
export interface Door {
  readonly baseUrl: string
  /**
   * Breaks all connections and frees the port, so that a new one is refused.
   * @param forMs Real milliseconds until it opens again by itself. Undefined: it does not.
   */
  refuse(forMs: number | undefined): Promise<void>
  /** Listens on the same port again. @throws SimulatorConfigError if somebody else has taken it meanwhile. */
  resume(): Promise<void>
  /** As `refuse`, for good. */
  close(): Promise<void>
}

/** @throws SimulatorConfigError for a port or a host that cannot be had. */
export async function openDoor(server: Server, settings: SimulatorSettings): Promise<Door> {
  await listening(server, settings)
  const { address, port, family } = server.address() as AddressInfo
  let isClosed = false
  let last: Promise<void> = Promise.resolve()
  let opening = new AbortController()

  const inTurn = (step: () => Promise<void>): Promise<void> => {
    const done = last.then(step)
    last = done.catch(() => undefined)
    return done
  }
  const forgetOpening = (): AbortSignal => {
    opening.abort()
    opening = new AbortController()
    return opening.signal
  }
  const resume = async (): Promise<void> => {
    if (!isClosed && !server.listening) await listening(server, { ...settings, port })
  }
  const resumeLater = async (forMs: number, signal: AbortSignal): Promise<void> => {
    await settings.sleep(forMs, signal)
    if (!signal.aborted) await inTurn(resume)
  }
  return {
    baseUrl: `http://${family === "IPv6" ? `[${address}]` : address}:${port}/v1`,
    refuse: async (forMs) => {
      const signal = forgetOpening()
      await inTurn(() => shut(server))
      // A port that was taken meanwhile stays refused: the next `resume` says why.
      if (forMs !== undefined) resumeLater(forMs, signal).catch(() => undefined)
    },
    resume: () => {
      forgetOpening()
      return inTurn(resume)
    },
    close: () => {
      isClosed = true
      forgetOpening()
      return inTurn(() => shut(server))
    },
  }
}

function shut(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

async function listening(server: Server, { port, host }: SimulatorSettings): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => reject(asConfigError(error, port, host))
    server.once("error", failed)
    server.listen(port, host, () => {
      server.off("error", failed)
      resolve()
    })
  })
}

function asConfigError(error: NodeJS.ErrnoException, port: number, host: string): Error {
  if (error.code === "EADDRINUSE")
    return new SimulatorConfigError(
      "port",
      `${port} is in use on ${host}`,
      "choose another, or 0 for any free one",
      { cause: error },
    )
  if (error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND")
    return new SimulatorConfigError("host", `${host} is not an address of this machine`, "use 127.0.0.1", {
      cause: error,
    })
  if (error.code === "EACCES")
    return new SimulatorConfigError(
      "port",
      `${port} may not be opened by this user`,
      "choose one above 1023",
      { cause: error },
    )
  return error
}

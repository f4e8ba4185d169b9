import { subscribe, unsubscribe } from "node:diagnostics_channel"
import type { Socket } from "node:net"

/** Sees what a run leaves behind. Everything is undone by `end`. */
export interface Watch {
  /** Where the timers were set that the router has neither cleared nor seen fire. */
  timers(): readonly string[]
  /** Connections that servers of this process have open. */
  connections(): number
  /** What was rejected with nobody to handle it. */
  rejections(): readonly unknown[]
  end(): void
}

export function startWatch(): Watch {
  const timers = watchTimers()
  const sockets = watchSockets()
  const rejections: unknown[] = []
  const onRejection = (reason: unknown) => rejections.push(reason)
  process.on("unhandledRejection", onRejection)
  return {
    timers: () => timers.left(),
    connections: () => sockets.open(),
    rejections: () => rejections,
    end: () => {
      timers.end()
      sockets.end()
      process.off("unhandledRejection", onRejection)
    },
  }
}

/** The router's own: a provider's client and the test runner have timers that outlive a call on purpose. */
const OF_THE_ROUTER = /packages\/tierwise\/src\/.*/

/** Of the code that called the function which asks, if it is the router's. As a text, a stack takes ten times as long. */
function placeOfCaller(): string | undefined {
  const usual = {
    prepareStackTrace: Reflect.get(Error, "prepareStackTrace") as unknown,
    stackTraceLimit: Error.stackTraceLimit,
  }
  Error.stackTraceLimit = 3
  Error.prepareStackTrace = (_, sites) => {
    const caller = sites[2]
    return `${caller?.getFileName() ?? ""}:${caller?.getFunctionName() ?? ""}`
  }
  const { stack } = new Error("where")
  Object.assign(Error, usual)
  return OF_THE_ROUTER.exec(stack ?? "")?.[0]
}

/** Timers that are unreferenced are seen too, which keep no process alive but everything they refer to. */
function watchTimers(): { left(): readonly string[]; end(): void } {
  const { setTimeout: set, clearTimeout: clear } = globalThis
  const waiting = new Map<unknown, string>()
  const setWatched = (work: (...given: unknown[]) => void, ms?: number, ...given: unknown[]) => {
    const place = placeOfCaller()
    if (place === undefined) return set(work, ms, ...given)
    const timer = set(() => {
      waiting.delete(timer)
      work(...given)
    }, ms)
    waiting.set(timer, place)
    return timer
  }
  globalThis.setTimeout = Object.assign(setWatched, set)
  globalThis.clearTimeout = (timer) => {
    waiting.delete(timer)
    clear(timer)
  }
  return {
    left: () => [...waiting.values()],
    end: () => Object.assign(globalThis, { setTimeout: set, clearTimeout: clear }),
  }
}

function watchSockets(): { open(): number; end(): void } {
  const open = new Set<Socket>()
  const onSocket = (message: unknown) => {
    const { socket } = message as { readonly socket: Socket }
    open.add(socket)
    socket.once("close", () => open.delete(socket))
  }
  subscribe("net.server.socket", onSocket)
  return { open: () => open.size, end: () => unsubscribe("net.server.socket", onSocket) }
}

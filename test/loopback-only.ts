import { Socket } from "node:net"

/*
 * Loaded with `node --import` before an example: whatever would leave this machine fails at once, so that "runs
 * offline" is proven also where there is a network.
 */

const connect = Reflect.get(Socket.prototype, "connect") as (...args: unknown[]) => Socket

Socket.prototype.connect = function (this: Socket, ...args: unknown[]): Socket {
  const host = hostOf(args)
  if (!/^(?:localhost|127(?:\.\d+){3}|::1)$/.test(host)) {
    throw new Error(`A connection to ${host} was asked for, but this must run offline`)
  }
  return connect.apply(this, args)
}

/** Of `connect(options)`, `connect(port, host)` or the list that Node makes of either; a socket file is local. */
function hostOf(args: readonly unknown[]): string {
  const [first, second] = args
  if (Array.isArray(first)) return hostOf(first)
  if (typeof first === "object" && first !== null) {
    const { host, path } = first as { host?: string | null; path?: string | null }
    return typeof path === "string" ? "localhost" : (host ?? "localhost")
  }
  return typeof second === "string" ? second : "localhost"
}

import type { Redis } from "ioredis"

/** The last script that was called: how large it is, and with what. */
export interface SeenScript {
  readonly bytes: number
  readonly keys: readonly string[]
  readonly args: readonly string[]
}

/** A client that remembers the script it was asked to run, so that a bare one of the same size can be compared. */
export function watched(client: Redis): { readonly client: Redis; seen(): SeenScript } {
  let bytes = 0
  let last: readonly unknown[] = []
  const observed = new Proxy(client, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== "function") return member
      return (...args: unknown[]) => {
        const flat: readonly unknown[] = args.flat()
        for (const arg of flat) if (typeof arg === "string") bytes = Math.max(bytes, Buffer.byteLength(arg))
        if (["eval", "evalsha", "call"].includes(String(name))) last = flat
        return (member as (...all: unknown[]) => unknown).apply(target, args)
      }
    },
  })
  return {
    client: observed,
    seen() {
      // [EVALSHA,] sha or script, number of keys, keys …, arguments …
      const from = last.findIndex((arg) => /^\d{1,2}$/.test(String(arg)))
      const count = Number(last[from])
      if (from === -1 || bytes < 100)
        throw new Error(`no script was called: ${JSON.stringify(last).slice(0, 200)}`)
      const rest = last.slice(from + 1).map(String)
      return { bytes, keys: rest.slice(0, count), args: rest.slice(count) }
    },
  }
}

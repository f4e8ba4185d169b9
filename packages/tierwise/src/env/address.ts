import { ConfigError } from "../spec/errors.ts"
import { isPrivateAddress } from "./providers.ts"

/** True if nobody on the way can read or change what goes there and comes back: it is https, or in a private network. */
export function isSafeOnItsWay(url: string): boolean {
  return new URL(url).protocol === "https:" || isPrivateAddress(url)
}

/** `https://user:password@…` */
export function holdsCredentials(url: string): boolean {
  const { username, password } = new URL(url)
  return username !== "" || password !== ""
}

/** Without what may be a secret in it. */
export function shown(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

/**
 * The origins that hosts stand for: `models.example` the usual ports of http and https there, `models.example:443` that port.
 *
 * @throws ConfigError for what is no host.
 */
export function originsOf(hosts: readonly string[]): ReadonlySet<string> {
  return new Set(
    hosts.flatMap((host, index) => {
      checkHost(host, `registry.hosts[${index}]`)
      return ["http", "https"].map((protocol) => new URL(`${protocol}://${host}`).origin)
    }),
  )
}

function checkHost(host: string, path: string): void {
  if (typeof host === "string" && !/[\s/\\?#@]/.test(host) && URL.canParse(`http://${host}`)) return
  throw new ConfigError(path, "it is no host", 'give one without a protocol, such as "eu.example.com:8000"')
}

import { existsSync, readFileSync } from "node:fs"
import { parseEnv } from "node:util"
import { describe } from "vitest"

/** A service that some tests need; `scripts/services start` starts them all. */
export type Service = keyof typeof VARIABLES

/** Where each service's address stands: in the environment, or else in .services/env. */
const VARIABLES = { redis: "REDIS_URL", postgres: "DATABASE_URL" } as const

const STARTED = new URL("../.services/env", import.meta.url)

/**
 * A `describe` for tests that need a service, e.g. `describeWithService("redis", (url) => { it(…) })`. Where the
 * service was not started its tests are skipped, by name, and the run lists them.
 */
export function describeWithService(service: Service, story: (url: string) => void): void {
  const url = serviceUrl(service)
  const hint = url === undefined ? ` (not started: scripts/services start ${service})` : ""
  describe.skipIf(url === undefined)(`${service}${hint}`, () => {
    // Skipped tests are collected too, and never see the address.
    story(url ?? "")
  })
}

/** The address of a started service, undefined if there is none. */
export function serviceUrl(
  service: Service,
  env: Readonly<Record<string, string | undefined>> = process.env,
  started: URL = STARTED,
): string | undefined {
  const variable = VARIABLES[service]
  const given = env[variable]
  if (given !== undefined && given !== "") return given
  return existsSync(started) ? parseEnv(readFileSync(started, "utf8"))[variable] : undefined
}

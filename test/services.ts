import { existsSync, mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { parseEnv } from "node:util"
import { describe } from "vitest"
import { runProgram } from "./run-program.ts"

/** A service that some tests need; `scripts/services start` starts them all. */
export type Service = keyof typeof VARIABLES

/** Where each service's address stands: in the environment, or else in .services/env. */
const VARIABLES = { redis: "REDIS_URL", postgres: "DATABASE_URL" } as const

const ROOT = new URL("..", import.meta.url)

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
  env: Environment = process.env,
  started: URL = startedFile(env),
): string | undefined {
  const variable = VARIABLES[service]
  const given = env[variable]
  if (given !== undefined && given !== "") return given
  return existsSync(started) ? parseEnv(readFileSync(started, "utf8"))[variable] : undefined
}

/** Services that belong to one test. Close them, or declare them with `await using`. */
export interface OwnServices {
  /** Stays the same over restarts. @throws Error for one that was not started. */
  url(service: Service): string
  /** Stops them in order and starts them with the same data; while that lasts, nobody answers. Also after a crash. */
  restart(...services: readonly Service[]): Promise<void>
  /** Kills it where it stands. `restart` starts it again. */
  crash(service: Service): void
  /** Stops them and throws their data away. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts services beside those that other tests use, so that a test may restart them. Takes a second or two. */
export async function startOwnServices(...services: readonly Service[]): Promise<OwnServices> {
  const home = mkdtempSync(join(tmpdir(), "tierwise-services-"))
  const started = pathToFileURL(join(home, "env"))
  await scriptsServices(home, "start", services)
  return {
    url: (service) => {
      const url = serviceUrl(service, {}, started)
      if (url === undefined) throw new Error(`${service} is none of this test's services`)
      return url
    },
    crash: (service) => {
      const { pid } = JSON.parse(readFileSync(join(home, `${service}.json`), "utf8")) as { pid: number }
      process.kill(pid, "SIGKILL")
    },
    restart: (...some) => scriptsServices(home, "restart", some),
    [Symbol.asyncDispose]: () => scriptsServices(home, "stop", []),
  }
}

type Environment = Readonly<Record<string, string | undefined>>

function startedFile({ SERVICES_HOME: own = "" }: Environment): URL {
  return own === "" ? new URL(".services/env", ROOT) : pathToFileURL(join(own, "env"))
}

async function scriptsServices(home: string, verb: string, services: readonly Service[]): Promise<void> {
  const { code, output } = await runProgram(
    process.execPath,
    [fileURLToPath(new URL("scripts/services.mjs", ROOT)), verb, ...services],
    { cwd: fileURLToPath(ROOT), env: { ...process.env, SERVICES_HOME: home } },
  )
  if (code !== 0) throw new Error(output)
}

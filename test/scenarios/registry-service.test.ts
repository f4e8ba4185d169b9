import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { type Simulator, startSimulator } from "@tierwise/simulator"
import { type ConfigError, type FromEnvOptions, type RouteEvent, RouterChatModel } from "tierwise"
import { describe, expect, it, vi } from "vitest"
import { talking } from "./registry-world.ts"
import { replyMetadata } from "./world.ts"

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A service that says which models there are, and models to say it of. */
interface Service {
  readonly url: string
  readonly simulator: Simulator
  /** A folder that is gone with the service. */
  readonly folder: string
  /** Status of each answer so far. */
  readonly statuses: readonly number[]
  readonly problems: readonly Error[]
  /** With an ETag, unless it is told not to. */
  serves(document: unknown, options?: { readonly etag?: boolean }): void
  readonly answers: (answer: Answer) => void
  readonly deployment: (tier: string, fields?: object) => Record<string, unknown>
  open(
    options?: Partial<FromEnvOptions["registry"]>,
    env?: Record<string, string>,
    router?: FromEnvOptions["router"],
  ): Promise<RouterChatModel>
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const MODELS: Readonly<Record<string, string>> = { light: "sim-small", heavy: "sim-large" }
const tiers = ["light", "heavy"]
const toHeavy = { tier: "heavy" }

async function openService(): Promise<Service> {
  const simulator = await startSimulator({ timeScale: 0 })
  const folder = mkdtempSync(join(tmpdir(), "tierwise-registry-"))
  const statuses: number[] = []
  const problems: Error[] = []
  const routers: RouterChatModel[] = []
  let answer: Answer = (_, response) => void response.writeHead(404).end()
  const server = createServer((request, response) => {
    response.on("finish", () => statuses.push(response.statusCode))
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models.json`
  const stop = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return {
    url,
    simulator,
    folder,
    statuses,
    problems,
    stop,
    answers(given) {
      answer = given
    },
    serves(document, { etag: hasEtag = true } = {}) {
      const text = typeof document === "string" ? document : JSON.stringify(document)
      const etag = `"${createHash("sha256").update(text).digest("hex")}"`
      answer = (request, response) => {
        if (request.headers["if-none-match"] === etag) response.writeHead(304).end()
        else response.writeHead(200, hasEtag ? { etag } : {}).end(text)
      }
    },
    deployment: (tier, fields = {}) => ({
      id: tier,
      tier,
      provider: "openai-compatible",
      model: MODELS[tier],
      baseUrl: simulator.baseUrl,
      price: { inputPerMTok: 1, outputPerMTok: 2 },
      profile: { maxInputTokens: 32_000 },
      ...fields,
    }),
    async open(registry = {}, env = {}, more?) {
      const router = await RouterChatModel.fromEnv({
        env: { MODEL_REGISTRY_URL: url, ...env },
        envFile: false,
        router: more,
        registry: {
          everyMs: 100,
          timeoutMs: 1_000,
          onProblem: (error) => void problems.push(error),
          ...registry,
        },
      })
      routers.push(router)
      return router
    },
    async [Symbol.asyncDispose]() {
      for (const router of routers) await router.close()
      await stop()
      await simulator.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const versionsOf = ({ registry }: RouterChatModel) =>
  registry.list().map(({ id, version }) => `${id} ${version}`)
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 5_000, interval: 20 })

describe("a model registry over HTTP", () => {
  it("says which models there are, with versions and prices [A2.from-service] [A2.versions] [A2.cost]", async () => {
    await using service = await openService()
    const { deployment } = service
    service.serves({ tiers, deployments: [deployment("light"), deployment("heavy", { version: "v1" })] })
    const router = await service.open()
    expect(versionsOf(router)).toEqual(["light undefined", "heavy v1"])
    const reply = await router.invoke("Hello", toHeavy)
    expect(replyMetadata(reply)).toMatchObject({ deployment: "heavy", tier: "heavy" })
    expect(replyMetadata(reply).costUsd).toBeGreaterThan(0)
  })

  it("is asked with its ETag, and a new version takes calls without a restart [A2.versions]", async () => {
    await using service = await openService()
    const { deployment } = service
    service.serves({ tiers, deployments: [deployment("light"), deployment("heavy", { version: "v1" })] })
    const router = await service.open()
    const [{ metrics: _, ...light }] = router.registry.list() as [ReturnType<typeof router.registry.list>[0]]
    await eventually(() => expect(service.statuses).toContain(304))
    service.serves({
      tiers,
      deployments: [
        deployment("light"),
        deployment("heavy", { version: "v2", model: "sim-medium" }),
        deployment("heavy", { id: "more", version: "1" }),
      ],
    })
    await eventually(() => expect(versionsOf(router)).toEqual(["light undefined", "heavy v2", "more 1"]))
    expect(router.registry.list()[0]).toMatchObject(light)
    await router.registry.drain("more")
    await router.invoke("Hello", toHeavy)
    expect(service.simulator.requests().at(-1)?.body).toMatchObject({ model: "sim-medium" })
    service.serves({
      tiers,
      deployments: [deployment("light"), deployment("heavy", { version: "v2", model: "sim-medium" })],
    })
    await eventually(() => expect(versionsOf(router)).toEqual(["light undefined", "heavy v2"]))
    expect(service.problems).toEqual([])
  })

  it.each<[string, (service: Service) => unknown, string]>([
    ["no JSON", () => "<html>", "registry: it is not JSON"],
    [
      "one wrong field among many right ones",
      ({ deployment }) => ({
        tiers,
        deployments: [deployment("light", { version: "v2" }), deployment("heavy", { weight: -1 })],
      }),
      "registry.deployments[1].weight",
    ],
    [
      "a price that is too high to count",
      ({ deployment }) => ({
        tiers,
        deployments: [
          deployment("light", { version: "v2" }),
          deployment("heavy", { price: { inputPerMTok: 1e9, outputPerMTok: 1 } }),
        ],
      }),
      "registry.deployments[1].price",
    ],
    [
      "nobody in a tier",
      ({ deployment }) => ({ tiers, deployments: [deployment("light", { version: "v2" })] }),
      'the tier "heavy"',
    ],
    [
      "an id that is there twice",
      ({ deployment }) => ({
        tiers,
        deployments: [deployment("light"), deployment("heavy"), deployment("heavy", { version: "v2" })],
      }),
      '"heavy" is there twice',
    ],
    [
      "a model whose key is not set",
      ({ deployment }) => ({
        tiers,
        deployments: [
          deployment("light", { version: "v2" }),
          deployment("heavy", { apiKeyVariable: "NOBODYS_API_KEY" }),
        ],
      }),
      "set NOBODYS_API_KEY",
    ],
    [
      "other tiers",
      ({ deployment }) => ({ tiers: ["light"], deployments: [deployment("light")] }),
      "registry.tiers",
    ],
    [
      "no tiers, which means the default ones",
      ({ deployment }) => ({ deployments: [deployment("light", { version: "v2" }), deployment("heavy")] }),
      "registry.tiers: without them it means light, standard, heavy",
    ],
    [
      "an entry that is there twice",
      ({ deployment }) => ({
        tiers,
        deployments: [deployment("light"), deployment("heavy"), deployment("heavy")],
      }),
      '"heavy" is there twice',
    ],
  ])("is refused whole with %s: everything stays as it is, and somebody is told", async (_, bad, words) => {
    await using service = await openService()
    const { deployment } = service
    const keepIn = join(service.folder, "kept.json")
    const good = { tiers, deployments: [deployment("light"), deployment("heavy")] }
    service.serves(good)
    const router = await service.open({ keepIn })
    service.serves(bad(service))
    await eventually(() => expect(service.problems).toHaveLength(1))
    expect(service.problems[0]).toMatchObject({ code: "invalid-config", fix: expect.any(String) as string })
    expect((service.problems[0] as ConfigError).message).toContain(words)
    expect(versionsOf(router)).toEqual(["light undefined", "heavy undefined"])
    expect(JSON.parse(readFileSync(keepIn, "utf8"))).toEqual(good)
    service.serves({ tiers, deployments: [deployment("light"), deployment("heavy", { version: "v3" })] })
    await eventually(() => expect(versionsOf(router)).toEqual(["light undefined", "heavy v3"]))
    expect(service.problems).toHaveLength(1)
  })

  it("says itself whom every tier has, whoever was added by hand", async () => {
    await using service = await openService()
    const { deployment } = service
    const keepIn = join(service.folder, "kept.json")
    const good = { tiers, deployments: [deployment("light"), deployment("heavy")] }
    service.serves(good)
    const router = await service.open({ keepIn })
    router.registry.add(talking("heavy", "own"))
    service.serves({ tiers, deployments: [deployment("light", { version: "v2" })] })
    await eventually(() =>
      expect(service.problems).toMatchObject([
        { path: "registry.deployments", problem: 'the tier "heavy" has none' },
      ]),
    )
    expect(versionsOf(router)).toEqual(["light undefined", "heavy undefined", "own undefined"])
    expect(JSON.parse(readFileSync(keepIn, "utf8"))).toEqual(good)
  })

  it("may leave out the tiers where the router has its own", async () => {
    await using service = await openService()
    const { deployment } = service
    service.serves({ deployments: [deployment("light"), deployment("heavy")] })
    const router = await service.open({}, {}, { tiers })
    service.serves({ deployments: [deployment("light", { version: "v2" }), deployment("heavy")] })
    await eventually(() => expect(versionsOf(router)).toEqual(["light v2", "heavy undefined"]))
    expect(service.problems).toEqual([])
  })

  it.each<[string, (service: Service) => unknown]>([
    ["is away", (service) => service.stop()],
    ["answers 500", (service) => service.answers((_, response) => void response.writeHead(500).end("oh"))],
    ["never answers", (service) => service.answers(() => {})],
    [
      "never ends its answer",
      (service) => service.answers((_, response) => void response.writeHead(200).write('{"deployments":')),
    ],
    ["sends too much", (service) => service.answers((_, response) => void response.end("x".repeat(20_000)))],
    [
      "sends elsewhere",
      ({ answers, deployment }) =>
        answers(({ url }, response) => {
          const elsewhere = JSON.stringify({ tiers, deployments: [deployment("light"), deployment("heavy")] })
          if (url === "/other") response.end(elsewhere)
          else response.writeHead(302, { location: "/other" }).end()
        }),
    ],
    ["serves nonsense", (service) => service.serves({ deployments: [] })],
    [
      "serves what no router can be made of",
      (service) => service.serves({ tiers, deployments: [service.deployment("light")] }),
    ],
  ])("starts with the document that was kept while the service %s [A2.from-service]", async (_, breaks) => {
    await using service = await openService()
    const { deployment } = service
    const keepIn = join(service.folder, "kept.json")
    const good = { tiers, deployments: [deployment("light"), deployment("heavy", { version: "kept" })] }
    service.serves(good)
    await (await service.open({}, { MODEL_REGISTRY_FILE: keepIn })).close()
    await breaks(service)
    const limits = { timeoutMs: 200, mostBytes: 10_000, keepIn }
    const router = await service.open(limits)
    expect(versionsOf(router)).toEqual(["light undefined", "heavy kept"])
    expect(replyMetadata(await router.invoke("Hello", toHeavy)).deployment).toBe("heavy")
    expect(service.problems).toHaveLength(1)
    expect(readdirSync(service.folder)).toEqual(["kept.json"])
    expect(JSON.parse(readFileSync(keepIn, "utf8"))).toEqual(good)

    await expect(
      service.open({ ...limits, keepIn: join(service.folder, "none.json") }),
    ).rejects.toMatchObject({
      code: "invalid-config",
    })
    writeFileSync(join(service.folder, "broken.json"), "{")
    const broken = service.open({ ...limits, keepIn: join(service.folder, "broken.json") })
    await expect(broken).rejects.not.toThrow("it is not JSON")
  })

  it("has kept the latest document, whole, when the router is closed", async () => {
    await using service = await openService()
    const { deployment } = service
    const of = (version: string) => ({
      tiers,
      deployments: [deployment("light"), deployment("heavy", { version })],
    })
    service.serves(of("v1"))
    const keepIn = join(service.folder, "kept.json")
    const router = await service.open({ keepIn })
    service.serves(of("v2"))
    // It is taken before it is kept.
    while (!versionsOf(router).includes("heavy v2")) await new Promise((resolve) => setImmediate(resolve))
    await router.close()
    expect(readdirSync(service.folder)).toEqual(["kept.json"])
    expect(JSON.parse(readFileSync(keepIn, "utf8"))).toEqual(of("v2"))
  })

  it("catches up after an outage, and tells of it once", async () => {
    await using service = await openService()
    const { deployment } = service
    service.serves({ tiers, deployments: [deployment("light"), deployment("heavy")] })
    const router = await service.open()
    service.answers((_, response) => void response.writeHead(503).end())
    await eventually(() =>
      expect(service.statuses.filter((status) => status === 503).length).toBeGreaterThan(2),
    )
    expect(service.problems.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^MODEL_REGISTRY_URL: the model registry .* cannot be read \(it answered 503\)/),
    ])
    service.serves({ tiers, deployments: [deployment("light", { version: "2" }), deployment("heavy")] })
    await eventually(() => expect(versionsOf(router)).toEqual(["light 2", "heavy undefined"]))
  })

  it("is not asked any more once the router is closed", async () => {
    await using service = await openService()
    const { deployment } = service
    service.serves({ tiers, deployments: [deployment("light"), deployment("heavy")] })
    const router = await service.open()
    await eventually(() => expect(service.statuses.length).toBeGreaterThan(1))
    await router.close()
    const { length } = service.statuses
    await new Promise((resolve) => setTimeout(resolve, 350))
    expect(service.statuses.length - length).toBeLessThanOrEqual(1)
  })

  it("leaves alone whom somebody added by hand", async () => {
    await using service = await openService()
    const { deployment } = service
    service.serves({ tiers, deployments: [deployment("light"), deployment("heavy")] })
    const router = await service.open()
    router.registry.add(talking("heavy", "own"))
    service.serves({ tiers, deployments: [deployment("light", { version: "2" }), deployment("heavy")] })
    await eventually(() =>
      expect(versionsOf(router)).toEqual(["light 2", "heavy undefined", "own undefined"]),
    )
  })

  it("tells once of a file that cannot be written, goes on, and keeps it when it can", async () => {
    await using service = await openService()
    const { deployment } = service
    const document = { tiers, deployments: [deployment("light"), deployment("heavy")] }
    service.serves(document)
    const keepIn = join(service.folder, "later", "kept.json")
    await service.open({ keepIn })
    await eventually(() => expect(service.statuses.length).toBeGreaterThan(3))
    expect(service.problems).toMatchObject([{ path: "registry.keepIn" }])
    mkdirSync(join(service.folder, "later"))
    await eventually(() => expect(JSON.parse(readFileSync(keepIn, "utf8"))).toEqual(document))
    expect(service.problems).toHaveLength(1)
  })

  it("writes the file only for another document, also where the service has no ETags", async () => {
    await using service = await openService()
    const { deployment } = service
    const of = (version: string) => ({
      tiers,
      deployments: [deployment("light"), deployment("heavy", { version })],
    })
    const keepIn = join(service.folder, "kept.json")
    service.serves(of("v1"), { etag: false })
    await service.open({ keepIn })
    const { ino } = statSync(keepIn)
    await eventually(() => expect(service.statuses.length).toBeGreaterThan(3))
    expect(statSync(keepIn).ino).toBe(ino)
    service.serves(of("v2"), { etag: false })
    await eventually(() => expect(JSON.parse(readFileSync(keepIn, "utf8"))).toEqual(of("v2")))
  })

  it("tells its problems to observers too, and is not stopped by whoever is told", async () => {
    await using service = await openService()
    const { deployment } = service
    service.serves({ tiers, deployments: [deployment("light"), deployment("heavy")] })
    const events: RouteEvent[] = []
    const unhandled: unknown[] = []
    const onUnhandled = (reason: unknown) => unhandled.push(reason)
    process.on("unhandledRejection", onUnhandled)
    try {
      const onProblem = () => Promise.reject(new Error("the pager is down")) as unknown as undefined
      const observers = [{ on: (event: RouteEvent) => void events.push(event) }]
      const router = await service.open({ onProblem }, {}, { observers })
      service.serves("<html>")
      await eventually(() =>
        expect(events).toEqual([
          { type: "registry-failed", error: "registry: it is not JSON. Fix: serve a JSON document." },
        ]),
      )
      service.serves({ tiers, deployments: [deployment("light", { version: "v2" }), deployment("heavy")] })
      await eventually(() => expect(versionsOf(router)).toEqual(["light v2", "heavy undefined"]))
      expect(unhandled).toEqual([])
    } finally {
      process.off("unhandledRejection", onUnhandled)
    }
  })

  it("tells of a refused document once, also if the service was away meanwhile", async () => {
    await using service = await openService()
    const { deployment } = service
    service.serves({ tiers, deployments: [deployment("light"), deployment("heavy")] })
    await service.open()
    const told = () => service.problems.map(({ message }) => /not JSON|503/.exec(message)?.[0])
    const asked = async () => {
      const { length } = service.statuses
      await eventually(() => expect(service.statuses.length).toBeGreaterThan(length + 1))
    }
    service.serves("<html>")
    await asked()
    service.answers((_, response) => void response.writeHead(503).end())
    await asked()
    service.serves("<html>")
    await asked()
    expect(told()).toEqual(["not JSON", "503"])
  })

  it("tells again of a problem that was over", async () => {
    await using service = await openService()
    const { deployment } = service
    const of = (version: string) => ({
      tiers,
      deployments: [deployment("light"), deployment("heavy", { version })],
    })
    const folder = join(service.folder, "kept")
    const keepIn = join(folder, "kept.json")
    const told: string[] = []
    const toldOf = async (words: string) => {
      await eventually(() => expect(told).toEqual([expect.stringContaining(words)]))
      told.length = 0
    }
    service.serves(of("v1"))
    const router = await service.open({ keepIn, onProblem: ({ message }) => void told.push(message) })
    await toldOf("cannot be kept")
    mkdirSync(folder)
    await eventually(() => expect(readdirSync(folder)).toEqual(["kept.json"]))
    for (const _ of [1, 2]) {
      service.serves("<html>")
      await toldOf("it is not JSON")
      service.serves(of("v1"))
      const { length } = service.statuses
      await eventually(() => expect(service.statuses.slice(length + 1)).toContain(304))
      service.answers((_, response) => void response.writeHead(503).end())
      await toldOf("it answered 503")
    }
    rmSync(folder, { recursive: true })
    service.serves(of("v2"))
    await toldOf("cannot be kept")
    expect(versionsOf(router)).toEqual(["light undefined", "heavy v2"])
  })

  it("tells nobody of the question that the router's end broke off", async () => {
    await using service = await openService()
    const { deployment } = service
    service.serves({ tiers, deployments: [deployment("light"), deployment("heavy")] })
    const router = await service.open()
    await new Promise<void>((resolve) => service.answers(() => resolve()))
    await router.close()
    expect(service.problems).toEqual([])
  })

  it("is asked with the headers that were given", async () => {
    await using service = await openService()
    const { deployment } = service
    const document = { tiers, deployments: [deployment("light"), deployment("heavy")] }
    service.answers(({ headers }, response) => {
      if (headers.authorization === "Bearer right") response.end(JSON.stringify(document))
      else response.writeHead(401).end()
    })
    await expect(service.open({ headers: { authorization: "Bearer wrong" } })).rejects.toThrow(
      "it answered 401",
    )
    const router = await service.open({ headers: { Authorization: "Bearer right" } })
    expect(versionsOf(router)).toEqual(["light undefined", "heavy undefined"])
  })

  it.each<[string, FromEnvOptions["registry"], string]>([
    ["an address with a password", { url: "https://robot:s3cr3t@models.example/x" }, "registry.url"],
    ["an address with a user name", { url: "https://s3cr3t@models.example/x" }, "registry.url"],
    ["no address", { url: "https://robot:s3cr3t@models .example/x" }, "registry.url"],
    [
      "a header of two lines",
      { headers: { authorization: "Bearer s3cr3t\nX" } },
      "registry.headers.authorization",
    ],
    [
      "a header beyond Latin-1",
      { headers: { authorization: "s3cr3t\u2028" } },
      "registry.headers.authorization",
    ],
    ["a header that is set to nothing", { headers: { x: undefined as never } }, "registry.headers.x"],
    ["a header in place of a name", { headers: { "authorization: s3cr3t": "" } }, "registry.headers"],
    ["a host that is an address", { hosts: ["https://models.example"] }, "registry.hosts[0]"],
    ["a host with a path", { hosts: ["models.example", "models.example/v1"] }, "registry.hosts[1]"],
    ["a host with a user", { hosts: ["s3cr3t@models.example"] }, "registry.hosts[0]"],
    ["an empty host", { hosts: [""] }, "registry.hosts[0]"],
  ])("is refused with %s, and no secret is told", async (_, registry, path) => {
    const options = { env: {}, envFile: false as const, registry: { url: "https://x.example", ...registry } }
    const error: unknown = await RouterChatModel.fromEnv(options).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: "invalid-config", path })
    expect(inspect(error)).not.toContain("s3cr3t")
  })

  it.each<[string, FromEnvOptions, string]>([
    ["an http address elsewhere", { registry: { url: "http://models.example/x" } }, "registry.url"],
    ["no address", { env: { MODEL_REGISTRY_URL: "models" } }, "MODEL_REGISTRY_URL"],
    [
      "deployments beside it",
      { registry: { url: "https://x.example" }, router: { deployments: [] } },
      "router.deployments",
    ],
    [
      "an interval that is too short",
      { registry: { url: "https://x.example", everyMs: 1 } },
      "registry.everyMs",
    ],
  ])("is refused with %s", async (_, options, path) => {
    await expect(RouterChatModel.fromEnv({ env: {}, envFile: false, ...options })).rejects.toMatchObject({
      path,
    })
  })
})

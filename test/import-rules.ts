import { isBuiltin } from "node:module"
import { type ImportEdge, importCycles } from "./import-graph.ts"

/** The published entries of the workspace's packages: name → subpaths, e.g. `tierwise` → `.`, `./testing`. */
export type PublishedEntries = ReadonlyMap<string, ReadonlySet<string>>

/** A part of the library's house. A room is one of several that do not know each other. */
type Place = "spec" | "tokens" | "room" | "langchain" | "hall" | "door"

const LIBRARY = "packages/tierwise/src/"

const ROOMS = [
  "features",
  "complexity",
  "policy",
  "catalog",
  "pricing",
  "budget",
  "dispatch",
  "validation",
  "telemetry",
  "cache",
  "reports",
]

/** Every folder of the library. A file at the top of src is a door, but for the hall, route.ts. */
const FOLDERS: ReadonlyMap<string, Place> = new Map<string, Place>([
  ["spec", "spec"],
  ["tokens", "tokens"],
  ["langchain", "langchain"],
  ["route", "hall"],
  ["middleware", "door"],
  ["callbacks", "door"],
  ["testing", "door"],
  ["fallback", "door"],
  ["env", "door"],
  ["sqlite", "door"],
  ["redis", "door"],
  ["postgres", "door"],
  ...ROOMS.map((room): [string, Place] => [room, "room"]),
])

/** spec ◄── tokens ◄── rooms ◄── route.ts ◄── doors. A room that seems to need another needs a value instead. */
const MAY_IMPORT: Readonly<Record<Place, { readonly places: readonly Place[]; readonly words: string }>> = {
  spec: { places: ["spec"], words: "spec may import spec alone" },
  tokens: { places: ["spec", "tokens"], words: "tokens may import spec and itself" },
  room: { places: ["spec", "tokens"], words: "a room may import spec, tokens and itself" },
  langchain: {
    places: ["spec", "tokens", "langchain"],
    words: "langchain may import spec, tokens and itself",
  },
  hall: {
    places: ["spec", "tokens", "room", "langchain", "hall"],
    words: "the hall may import rooms, langchain, tokens and spec",
  },
  door: { places: ["spec", "tokens", "room", "langchain", "hall", "door"], words: "a door may import all" },
}

/**
 * What the library's unit tests may import besides what their place may: contract suites, sample requests, and the
 * room that reads features, because invented features would prove nothing.
 */
const TESTS_ALSO_IMPORT: readonly string[] = ["testing", "features"]

/** Package → the workspace packages that its sources never import; `exceptTests` lets *.test.ts have them. */
const NEVER_IMPORTS: Readonly<
  Record<string, { readonly packages: string[]; readonly exceptTests: boolean }>
> = {
  "packages/tierwise": { packages: ["tierwise", "@tierwise/simulator"], exceptTests: true },
  "packages/simulator": { packages: ["tierwise", "@tierwise/simulator"], exceptTests: false },
}

/** Every broken rule as one line that says where, what and why. Empty: the house stands. */
export function brokenImportRules(
  edges: readonly ImportEdge[],
  published: PublishedEntries,
): readonly string[] {
  const problems = edges.flatMap((edge) => {
    const rules = [leavesItsPackage, entersPublishedDoors(published), staysInPlace, runsInABrowser, canBeRead]
    const why = rules.map((rule) => rule(edge)).find((problem) => problem !== undefined)
    const what = edge.specifier === undefined ? "an unknown module" : `"${edge.specifier}"`
    return why === undefined ? [] : [`${edge.from}:${edge.line} imports ${what}: ${why}`]
  })
  const cycles = importCycles(edges).map((cycle) => `import cycle: ${[...cycle, cycle[0]].join(" → ")}`)
  return [...problems, ...cycles]
}

/** The place of a library file, undefined if it stands where no place is known. */
export function placeOf(file: string): string | undefined {
  const folder = folderOf(file)
  const place = placeKind(file)
  return place === "room" ? `room ${folder}` : place
}

function leavesItsPackage({ from, to }: ImportEdge): string | undefined {
  if (to === undefined || unitOf(to) === unitOf(from)) return undefined
  return `relative paths stay inside ${unitOf(from)}; import the published entry`
}

function entersPublishedDoors(published: PublishedEntries): (edge: ImportEdge) => string | undefined {
  return ({ from, to, specifier }) => {
    if (to !== undefined || specifier === undefined) return undefined
    const name = [...published.keys()].find((one) => specifier === one || specifier.startsWith(`${one}/`))
    if (name === undefined) return undefined

    const ban = NEVER_IMPORTS[unitOf(from)]
    if (ban?.packages.includes(name) === true && !(ban.exceptTests && isTest(from))) {
      return `${unitOf(from)} never imports ${name}`
    }
    const entry = `.${specifier.slice(name.length)}`
    if (published.get(name)?.has(entry) !== true) return `${name} publishes no entry "${entry}"`
    return undefined
  }
}

function staysInPlace({ from, to, kind, specifier }: ImportEdge): string | undefined {
  if (!from.startsWith(LIBRARY)) return undefined
  const place = placeKind(from)
  if (place === undefined)
    return `src/${folderOf(from)} is no place of the house; name it in test/import-rules.ts`

  if (to === undefined) {
    const outside = specifier !== undefined && place === "spec" && kind !== "type" && !isTest(from)
    return outside ? "spec has no behaviour; of other packages it may import types alone" : undefined
  }
  const target = placeKind(to)
  if (target === undefined)
    return `src/${folderOf(to)} is no place of the house; name it in test/import-rules.ts`
  if (isTest(from) && TESTS_ALSO_IMPORT.includes(folderOf(to))) return undefined
  if (place === "room" && target === "room" && folderOf(from) === folderOf(to)) return undefined
  return MAY_IMPORT[place].places.includes(target) ? undefined : MAY_IMPORT[place].words
}

function runsInABrowser({ from, kind, specifier }: ImportEdge): string | undefined {
  const isOurs = from.startsWith(LIBRARY) && !isTest(from) && folderOf(from) !== "testing"
  if (!isOurs || specifier === undefined || !isBuiltin(specifier) || kind === "type") return undefined
  if (folderOf(from) === "sqlite" || (kind === "dynamic" && folderOf(from) === "env")) return undefined
  return "the library also runs in browsers and at the edge; only sqlite/ may import Node's modules, and env/ load them"
}

function canBeRead({ from, specifier }: ImportEdge): string | undefined {
  if (specifier !== undefined || !from.startsWith("packages/")) return undefined
  return "only a run can tell what that is; write the name as a plain string"
}

/** `packages/tierwise`, `examples`, `test`: what a relative path may not leave. */
function unitOf(file: string): string {
  const [first = "", second = ""] = file.split("/")
  return first === "packages" ? `${first}/${second}` : first
}

function placeKind(file: string): Place | undefined {
  if (!file.startsWith(LIBRARY)) return undefined
  const folder = folderOf(file)
  if (folder !== "") return FOLDERS.get(folder)
  return /^route(?:\.test)?\.ts$/.test(file.slice(LIBRARY.length)) ? "hall" : "door"
}

/** The folder below src that holds a library file, "" at the top. */
function folderOf(file: string): string {
  const path = file.slice(LIBRARY.length)
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : ""
}

function isTest(file: string): boolean {
  return /\.test(?:-d)?\.ts$/.test(file)
}

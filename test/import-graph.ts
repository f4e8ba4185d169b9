import { globSync, readFileSync } from "node:fs"
import { dirname, join, posix } from "node:path"
import { parseSync, Visitor } from "oxc-parser"

/** One import, however it is written. */
export interface ImportEdge {
  /** The importing file, relative to the root, with forward slashes. */
  readonly from: string
  readonly line: number
  /** As written; undefined for a dynamic import of something that is not a plain string. */
  readonly specifier: string | undefined
  /** The imported file, relative to the root, if the specifier is a relative path. */
  readonly to: string | undefined
  readonly kind: ImportKind
}

/**
 * `type` is erased before anything runs; `dynamic` runs when the line is reached. `import { type A }` is static: the
 * names are erased and the import stays.
 */
export type ImportKind = "static" | "type" | "dynamic"

/** Every import in the TypeScript and JavaScript files that match the patterns, read with a real parser. */
export function readImports(root: string, patterns: readonly string[]): readonly ImportEdge[] {
  const files = globSync([...patterns], {
    cwd: root,
    exclude: ["**/node_modules/**", "**/dist/**", "**/.*/**"],
  })
  return files
    .map((file) => file.replaceAll("\\", "/"))
    .sort()
    .flatMap((file) => importsOf(file, readFileSync(join(root, file), "utf8")))
}

/** The imports of one file. Throws if it cannot be parsed: what cannot be read cannot be checked. */
export function importsOf(file: string, source: string): readonly ImportEdge[] {
  const { program, errors } = parseSync(file, source)
  const [broken] = errors
  if (broken !== undefined) throw new SyntaxError(`${file}: ${broken.message}`)

  const edges: ImportEdge[] = []
  const add = (start: number, specifier: string | undefined, kind: ImportKind): void => {
    edges.push({
      from: file,
      line: source.slice(0, start).split("\n").length,
      specifier,
      to: specifier?.startsWith(".") ? posix.join(dirname(file), specifier) : undefined,
      kind,
    })
  }
  new Visitor({
    ImportDeclaration: ({ start, source, importKind }) => {
      add(start, source.value, importKind === "type" ? "type" : "static")
    },
    ExportNamedDeclaration: ({ start, source, exportKind }) => {
      if (source) add(start, source.value, exportKind === "type" ? "type" : "static")
    },
    ExportAllDeclaration: ({ start, source, exportKind }) => {
      add(start, source.value, exportKind === "type" ? "type" : "static")
    },
    ImportExpression: ({ start, source }) => add(start, literalText(source), "dynamic"),
    TSImportType: ({ start, source }) => add(start, literalText(source), "type"),
    CallExpression: ({ start, callee, arguments: [first] }) => {
      if (callee.type === "Identifier" && callee.name === "require") {
        add(start, literalText(first), "dynamic")
      }
    },
  }).visit(program)
  return edges
}

/** The import cycles: groups of files that need each other before any of them can run. Types make no cycle. */
export function importCycles(edges: readonly ImportEdge[]): readonly (readonly string[])[] {
  const next = new Map<string, string[]>()
  for (const { from, to, kind } of edges) {
    if (to !== undefined && kind === "static") next.set(from, [...(next.get(from) ?? []), to])
  }
  const cycles = new Map<string, readonly string[]>()
  const done = new Set<string>()
  const walk = (file: string, path: readonly string[]): void => {
    const seenAt = path.indexOf(file)
    if (seenAt !== -1) {
      const cycle = path.slice(seenAt)
      cycles.set([...cycle].sort().join(" "), cycle)
      return
    }
    if (done.has(file)) return
    for (const imported of next.get(file) ?? []) walk(imported, [...path, file])
    done.add(file)
  }
  for (const file of next.keys()) walk(file, [])
  return [...cycles.values()]
}

function literalText(node: { type: string; value?: unknown } | undefined): string | undefined {
  return node?.type === "Literal" && typeof node.value === "string" ? node.value : undefined
}

type Options = Readonly<Record<string, unknown>>

/** The tools among bound options, in whatever form they were bound; of several sets of options the last one counts. */
export function toolsIn(...options: readonly (Options | undefined)[]): readonly unknown[] {
  const lists = options.map((one) => one?.["tools"]).filter((tools) => Array.isArray(tools))
  return lists.at(-1) ?? []
}

/** Both lists; a tool of the second replaces the one of its name in the first. */
export function unitedTools(earlier: readonly unknown[], later: readonly unknown[]): readonly unknown[] {
  const names = new Set(later.map(nameOf).filter((name) => name !== undefined))
  const kept = earlier.filter((tool) => {
    const name = nameOf(tool)
    return !later.includes(tool) && (name === undefined || !names.has(name))
  })
  return [...kept, ...later]
}

/** LangChain's and Anthropic's tools carry their name, OpenAI's have it under `function`; some forms have none. */
function nameOf(tool: unknown): string | undefined {
  const { name, function: named } = (tool ?? {}) as { name?: unknown; function?: { name?: unknown } }
  const said = name ?? named?.name
  return typeof said === "string" ? said : undefined
}

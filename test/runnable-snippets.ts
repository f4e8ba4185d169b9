import { basename } from "node:path"

/** A piece of code in a page that a reader may copy and run. */
export interface Snippet {
  readonly page: string
  /** The line of its opening fence. */
  readonly line: number
  /** For a file: `README-12`. */
  readonly name: string
  readonly code: string
}

/**
 * The TypeScript blocks of a Markdown page that say they can run: the fence reads ```` ```ts test ````, or the first
 * line of the code is `// quick-start`.
 */
export function runnableSnippets(page: string, markdown: string): readonly Snippet[] {
  return [...markdown.matchAll(/^```(?:ts|typescript)( test)?[ \t]*\r?\n([\s\S]*?)^```[ \t]*$/gm)]
    .filter(([, test, code = ""]) => test !== undefined || /^\/\/ quick-start\b/.test(code))
    .map(({ index, 2: code = "" }) => {
      const line = markdown.slice(0, index).split("\n").length
      return { page, line, name: `${basename(page, ".md")}-${line}`, code }
    })
}

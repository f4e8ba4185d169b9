import { execFileSync } from "node:child_process"
import { readdirSync } from "node:fs"
import type { Bench } from "./bench.ts"

/** `npm run bench -- NAME`: progress on standard error, one JSON line on standard output, exit 1 if a bar is missed. */
const name = process.argv[2] ?? ""
const benches = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

if (!benches.includes(name)) {
  console.error(
    `${name === "" ? "No benchmark was named" : `There is no benchmark "${name}"`}. Try: ${benches.join(", ")}`,
  )
  process.exit(2)
}

const { bench } = (await import(`./${name}/${name}.ts`)) as { bench: Bench }
const { figures, bars } = await bench.run((line) => console.error(line))
for (const { name, value, bound, ok } of bars)
  console.error(`${ok ? "ok  " : "MISS"} ${name}: ${value} (${bound})`)
console.log(JSON.stringify({ bench: name, commit: commit(), figures, bars }))
process.exit(bars.every(({ ok }) => ok) ? 0 : 1)

function commit(): string {
  try {
    const short = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim()
    const dirty = execFileSync("git", ["status", "--porcelain"], { encoding: "utf8" }) !== ""
    return dirty ? `${short}+changes` : short
  } catch {
    return "unknown"
  }
}

import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { requirementsReporter } from "./requirements-reporter.ts"
import { TEST_PROJECTS } from "./test-projects.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

// Packages are tested from their sources, without a build; Vite wants the condition in both places. "import" is not
// among them: workers would also answer a package's own require() with its ES module, which breaks pg.
const conditions = ["@tierwise/source", "node", "module", "default"]

const shared = { root, resolve: { conditions }, ssr: { resolve: { conditions } } }

export default defineConfig({
  root,
  test: {
    // Ours first: the run ends with the default reporter's summary.
    reporters: [requirementsReporter({ provenFile: new URL("proven.json", import.meta.url) }), "default"],
    projects: [
      {
        ...shared,
        test: {
          name: "unit",
          include: [TEST_PROJECTS.unit],
          pool: "threads",
          isolate: true,
        },
      },
      {
        ...shared,
        test: {
          name: "scenarios",
          include: [TEST_PROJECTS.scenarios],
          pool: "forks",
          isolate: true,
          testTimeout: 30_000,
        },
      },
      {
        ...shared,
        test: {
          name: "workspace",
          include: [TEST_PROJECTS.workspace],
          pool: "forks",
          isolate: true,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})

/** The runner's projects and the files that each of them runs. */
export const TEST_PROJECTS = {
  unit: "packages/*/src/**/*.test.ts",
  scenarios: "test/scenarios/**/*.test.ts",
  workspace: "test/*.test.ts",
} as const

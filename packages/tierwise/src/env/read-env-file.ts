import { ConfigError } from "../spec/errors.ts"

/**
 * The variables of a dotenv file. Without a path: `.env` in the working directory, and no harm done if there is none.
 * @throws ConfigError if a file that was named cannot be read.
 */
export async function readEnvFile(path: string | undefined): Promise<Record<string, string | undefined>> {
  // Loaded only here, so that the router itself runs where there is no file system.
  const [{ readFile }, { parseEnv }] = await Promise.all([import("node:fs/promises"), import("node:util")])
  try {
    return parseEnv(await readFile(path ?? ".env", "utf8"))
  } catch (cause) {
    if (path === undefined && (cause as { code?: unknown }).code === "ENOENT") return {}
    const fix = "check the path and its permissions, or pass envFile: false"
    throw new ConfigError("envFile", `${path ?? ".env"} cannot be read`, fix, { cause })
  }
}

import { spawn } from "node:child_process"

export interface ProgramRun {
  /** The exit code; 128 + 9 when the time was up. */
  readonly code: number
  /** What it wrote, both streams as they came. */
  readonly output: string
}

export interface ProgramOptions {
  readonly cwd: string
  /** Default: this process's environment without npm's variables and without keys of model providers. */
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Default: 60,000. */
  readonly timeoutMs?: number | undefined
}

/** Runs a program to its end, without input. Rejects only if it cannot be started. */
export function runProgram(
  program: string,
  args: readonly string[],
  { cwd, env = environmentWithoutKeys(), timeoutMs = 60_000 }: ProgramOptions,
): Promise<ProgramRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      shell: process.platform === "win32",
    })
    const pieces: Buffer[] = []
    child.stdout.on("data", (piece: Buffer) => pieces.push(piece))
    child.stderr.on("data", (piece: Buffer) => pieces.push(piece))
    child.on("error", reject)
    child.on("close", (code) => {
      resolve({
        code: code ?? 137,
        output: `${Buffer.concat(pieces).toString()}${code === null ? " (killed)" : ""}`,
      })
    })
  })
}

/** A key that happens to be set would make an example talk to a real provider, and a bill. */
export function environmentWithoutKeys(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_|_API_KEY$|_TOKEN$/i.test(name)))
}

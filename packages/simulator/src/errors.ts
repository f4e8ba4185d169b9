/** An option that cannot work. Nothing was started. */
export class SimulatorConfigError extends Error {
  readonly code = "invalid-config"
  /** Where: `models[1].price.inputPerMTok`. */
  readonly path: string
  readonly problem: string
  /** What to do about it. */
  readonly fix: string

  constructor(path: string, problem: string, fix: string, options?: ErrorOptions) {
    super(`${path}: ${problem}. Fix: ${fix}.`, options)
    this.name = "SimulatorConfigError"
    this.path = path
    this.problem = problem
    this.fix = fix
  }
}

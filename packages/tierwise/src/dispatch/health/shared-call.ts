import type { BreakerCall, CallEnding } from "../../spec/health.ts"

/** A call whose end is told to more than its breaker. The entry and the call in one. */
export class SharedCall implements BreakerCall {
  readonly allowed = true
  readonly isProbe: boolean
  readonly #call: BreakerCall
  #end: ((call: BreakerCall, how: CallEnding) => void) | undefined

  constructor(call: BreakerCall, end: (call: BreakerCall, how: CallEnding) => void) {
    this.isProbe = call.isProbe
    this.#call = call
    this.#end = end
  }

  get call(): BreakerCall {
    return this
  }

  ended(how: CallEnding): void {
    const end = this.#end
    this.#end = undefined
    end?.(this.#call, how)
  }
}

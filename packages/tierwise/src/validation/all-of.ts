import type { ResponseValidator } from "../spec/validation.ts"

/** Accepts what every validator accepts; the first rejection counts, the rest is not asked. */
export function allOf(...validators: readonly ResponseValidator[]): ResponseValidator {
  return {
    name: validators.map(({ name }) => name).join(" + "),
    async validate(answer, request) {
      for (const validator of validators) {
        const verdict = await validator.validate(answer, request)
        if (!verdict.accepted) return { ...verdict, reason: `${validator.name}: ${verdict.reason}` }
      }
      return { accepted: true }
    },
  }
}

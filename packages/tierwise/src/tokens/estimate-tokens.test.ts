import { describe, expect, it } from "vitest"
import { estimateTokens } from "./estimate-tokens.ts"

// Exact counts by o200k_base.
const COUNTED = [
  {
    kind: "prose",
    exact: 36,
    text:
      "Please compare the two deployment strategies for our payment service. The first keeps a single region and " +
      "fails over by hand; the second runs active-active in two regions with a quorum store.",
  },
  {
    kind: "code",
    exact: 29,
    text: "export function add(left: number, right: number): number {\n  return left + right\n}\n\nconsole.log(add(1, 2))\n",
  },
  {
    kind: "Chinese",
    exact: 32,
    text: "请比较我们支付服务的两种部署策略。第一种保留一个区域并手动切换；第二种在两个区域中主动运行。",
  },
] as const

describe("estimateTokens", () => {
  it.each(COUNTED)("comes within 30 % of a real tokenizer on $kind", ({ text, exact }) => {
    const estimate = estimateTokens(text)
    expect(estimate).toBeGreaterThan(exact * 0.9)
    expect(estimate).toBeLessThan(exact * 1.3)
  })

  it("counts nothing in an empty text", () => {
    expect(estimateTokens("")).toBe(0)
  })

  it("gives a megabyte about ten times the tokens of a tenth of it, in words or in one word", () => {
    for (const piece of ["words and ", "x", "中", "🎉", "{ }\n"]) {
      const small = estimateTokens(piece.repeat(100_000 / piece.length))
      const large = estimateTokens(piece.repeat(1_000_000 / piece.length))
      expect(large / small).toBeCloseTo(10, 0)
    }
  })
})

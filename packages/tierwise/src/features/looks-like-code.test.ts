import { describe, expect, it } from "vitest"
import { looksLikeCode } from "./looks-like-code.ts"

describe("looksLikeCode", () => {
  it.each([
    "What does this do?\n```\nls\n```",
    "def add(a, b):\n    return a + b\n\nprint(add(1, 2))",
    "function add(a, b) {\n  return a + b;\n}",
    "SELECT u.name, count(*) FROM users u\nJOIN orders o ON o.user_id = u.id\nGROUP BY u.name;",
    "for (int i = 0; i < n; i++) {\n  sum += a[i];\n}",
    "x = 5\ny = x + 2\nprint(y)",
    '<div class="a"><p>hello</p></div>',
    "let map = new Map();\nmap.set('a', 1);",
  ])("sees code: %j", (text) => {
    expect(looksLikeCode(text)).toBe(true)
  })

  it.each([
    "",
    "Solve f(x) = 3x + 2, g(x) = x^2, find f(g(2)).",
    "Dear team (and friends),\nplease review: the error(s) in section(s) 3; thanks;\n",
    "Compare A/B tests, and/or canary releases: which is better?",
    "My list:\n- one (first)\n- two (second)\n1) three",
    "If you can, import from the class of 1999; public or private.",
  ])("takes prose for prose: %j", (text) => {
    expect(looksLikeCode(text)).toBe(false)
  })

  it("is not misled by one call in a long text", () => {
    expect(looksLikeCode(`${"Some words about nothing. ".repeat(40)} foo(bar); baz(1);`)).toBe(false)
  })
})

import { styleText } from "node:util"
import { type Attempt, nanoToUsd, type Plan, type RouteRecord } from "tierwise"

/** What one decision was and what came of it, in a few lines for people. */
export function showRecord(record: RouteRecord, prompt: string, timeScale: number): string {
  const { plan, decisions, attempts, verdicts } = record
  const lines = [
    `${styleText("bold", "▸")} ${styleText("bold", quoted(prompt))}`,
    `  ${factorLine(plan)}`,
    ...decisions.map(
      ({ tier, reason, because }) => `  ${styleText("cyan", `→ ${tier}`)} (${reason}: ${because})`,
    ),
    ...attempts.map((attempt) => `    ${attemptLine(attempt, timeScale)}`),
    ...verdicts.flatMap(({ deploymentId, verdict }) =>
      verdict.accepted
        ? []
        : [styleText("yellow", `    ${deploymentId} was not good enough: ${verdict.reason}`)],
    ),
    ...record.problems.map(({ room, error }) => styleText("yellow", `    ${room}: ${error}`)),
  ]
  return lines.join("\n")
}

/** What would be done with a prompt, as `explain` has it. */
export function showPlan(plan: Plan): string {
  const { features, decision, candidates, excluded } = plan
  return [
    `  ${factorLine(plan)}`,
    `  seen: about ${features.inputTokens} tokens, language ${features.language}, ${features.turns} turn(s)`,
    `  ${styleText("cyan", `→ ${decision.tier}`)} (${decision.reason}: ${decision.because})`,
    ...candidates.map(
      ({ deploymentId, tier, quote, maxOutputTokens }, index) =>
        `    ${index + 1}. ${deploymentId} (${tier}) costs at most ${usd(nanoToUsd(quote.money))} for up to ${maxOutputTokens} tokens`,
    ),
    ...excluded.map(({ id, because }) => `    –  ${id} cannot: ${because}`),
  ].join("\n")
}

export function chapter(title: string): void {
  console.log(`\n${styleText("underline", title)}`)
}

/** The score with the factors that made it, the strongest first. */
function factorLine({ estimate, estimator }: Plan): string {
  if (estimate === undefined) return `no estimate (${estimator})`
  const factors = Object.entries(estimate.factors)
    .filter(([, value]) => value > 0)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([name, value]) => `${name} ${value.toFixed(2)}`)
  return `score ${estimate.score.toFixed(2)}  ${factors.join(" · ") || "nothing that is hard"}`
}

function attemptLine(attempt: Attempt, timeScale: number): string {
  const took = `${Math.round(attempt.durationMs / timeScale)} ms`
  switch (attempt.outcome) {
    case "answered":
      return `${attempt.deploymentId} answered  ${took}  ${usd(nanoToUsd(attempt.cost))}`
    case "failed":
      return styleText("red", `${attempt.deploymentId} failed (${attempt.failure})  ${took}`)
    default:
      return styleText("yellow", `${attempt.deploymentId} skipped (${attempt.because})`)
  }
}

export function usd(amount: number): string {
  return `$${amount.toFixed(6)}`
}

export function quoted(text: string): string {
  const line = text.replace(/\s+/g, " ").trim()
  return line.length > 100 ? `“${line.slice(0, 60)} … ${line.slice(-35)}”` : `“${line}”`
}

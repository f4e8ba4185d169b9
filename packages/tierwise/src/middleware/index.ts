export type { AgentLimit, AgentLimits, AgentScope } from "./agent-accounts.ts"
export type { AgentStepKind } from "./agent-step.ts"
export { type BudgetMiddleware, type BudgetMiddlewareOptions, budgetMiddleware } from "./budget-middleware.ts"
export {
  type AgentStep,
  type RouterContext,
  type RouterMiddleware,
  type RouterMiddlewareOptions,
  type RouterState,
  routerMiddleware,
  type StepOptions,
} from "./router-middleware.ts"
export type { Choice, ChoiceOptions } from "./router-of-choices.ts"
export type { BudgetAnswer, BudgetQuestion, OnExhausted } from "./stop-message.ts"

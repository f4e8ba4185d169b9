export { type BudgetLimit, type MemoryBudgetOptions, memoryBudget } from "./budget/memory-budget.ts"
export type { CacheRules } from "./cache/cache-key.ts"
export { type KeyvCacheOptions, type KeyvStore, keyvCache } from "./cache/keyv-cache.ts"
export { ASSUMED_CONTEXT_WINDOW, MIN_OUTPUT_ROOM } from "./catalog/eligibility.ts"
export {
  CAPABILITY_CRITICALITY,
  COMPLEX_KEYWORDS,
  type FiveFactorOptions,
  fiveFactor,
} from "./complexity/five-factor.ts"
export { type Rule, type RuleConditions, type RulesOptions, rules } from "./complexity/rules.ts"
export {
  difficultyLevel,
  EASY_KEYWORDS,
  HARD_KEYWORDS,
  type ThreeFactorOptions,
  threeFactor,
} from "./complexity/three-factor.ts"
export {
  ComplexityEstimator,
  type ComplexityEstimatorInput,
  type ComplexityEstimatorOptions,
  type ComplexityResult,
} from "./complexity-estimator.ts"
export { classifyFailure, type FailureContext } from "./dispatch/classify-failure.ts"
export { FAILURE_HANDLING, type FailureHandling } from "./dispatch/failure-handling.ts"
export type { FromEnvOptions } from "./env/options-from-env.ts"
export {
  type FallbackAnswer,
  FallbackChain,
  type FallbackChainFields,
  type FallbackChatOptions,
  type FallbackLink,
  type FallbackOptions,
} from "./fallback-chain.ts"
export type { ReplyMetadata } from "./langchain/reply.ts"
export type { StructuredSchema } from "./langchain/structured-schema.ts"
export {
  DEFAULT_TASK_RULES,
  type TaskRule,
  type ThresholdPolicyOptions,
  thresholdPolicy,
} from "./policy/threshold-policy.ts"
export type { CandidateOrder } from "./pricing/order.ts"
export { DEFAULT_MEDIA_TOKENS, type MediaTokens, type QuoteInput } from "./pricing/quote.ts"
export { DEFAULT_BASE_PRICE } from "./pricing/rates.ts"
export { DEFAULT_TIERS } from "./route/resolve-options.ts"
export type { DeploymentOptions, RouterOptions } from "./route/router-options.ts"
export {
  type RouterCallOptions,
  RouterChatModel,
  type RouterChatModelFields,
} from "./router-chat-model.ts"
export type {
  BudgetStatus,
  BudgetStore,
  BudgetWindow,
  Refusal,
  Reservation,
  ReserveOutcome,
  ReserveRequest,
} from "./spec/budget.ts"
export type {
  Candidate,
  Deployment,
  DeploymentProfile,
  Exclusion,
  Price,
  PublishedPrice,
  TokenPrice,
} from "./spec/catalog.ts"
export type { ComplexityEstimate, Estimator, EstimatorInput } from "./spec/complexity.ts"
export type { Attempt, FailureKind } from "./spec/dispatch.ts"
export {
  BudgetExceededError,
  CandidatesExhaustedError,
  ConfigError,
  InvalidRequestError,
  NoEligibleDeploymentError,
  TierwiseError,
  type TierwiseErrorCode,
} from "./spec/errors.ts"
export { type Amount, type NanoUsd, nanoToUsd, nanoUsd, usdToNano } from "./spec/money.ts"
export type { DecisionReason, PolicyInput, RoutingDecision, RoutingPolicy, Snapshot } from "./spec/policy.ts"
export type {
  AgentSpec,
  AskedText,
  Gate,
  RequestFeatures,
  ResponseFormat,
  RouteHints,
  RouteRequest,
  Scopes,
  Tier,
} from "./spec/request.ts"
export type {
  JudgedAnswer,
  Plan,
  PlannedCandidate,
  Problem,
  RouteEvent,
  RouteObserver,
  RouteRecord,
} from "./spec/telemetry.ts"
export type { Usage } from "./spec/usage.ts"
export type { Answer, ResponseValidator, Verdict } from "./spec/validation.ts"
export { allOf } from "./validation/all-of.ts"
export {
  HEDGING_PHRASES,
  type LowConfidenceOptions,
  lowConfidence,
  SHORT_ANSWER_TASKS,
} from "./validation/low-confidence.ts"
export { matchesSchema } from "./validation/matches-schema.ts"
export { notEmpty } from "./validation/not-empty.ts"

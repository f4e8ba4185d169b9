export type { BudgetOptions, SharedBudgetOptions } from "./budget/ledger.ts"
export type { BudgetLimit } from "./budget/limits.ts"
export { type MemoryBudgetOptions, memoryBudget } from "./budget/memory-budget.ts"
export type { PaceOptions, PressureOptions } from "./budget/pressure.ts"
export { type AllowanceOptions, withAllowance } from "./budget/with-allowance.ts"
export type { CacheRules } from "./cache/cache-key.ts"
export { type KeyvCacheOptions, type KeyvStore, keyvCache } from "./cache/keyv-cache.ts"
export { BudgetCallbackHandler } from "./callbacks/budget-callback-handler.ts"
export type { BudgetCallbackHandlerOptions } from "./callbacks/budget-handler-options.ts"
export type { CalledModel } from "./callbacks/called-model.ts"
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
export type { AfterRefusal } from "./dispatch/dispatch-options.ts"
export { classifyFailure, type FailureContext } from "./dispatch/failures/classify-failure.ts"
export {
  FAILURE_HANDLING,
  type FailureHandling,
  type FailureOverrides,
  type FailureTable,
} from "./dispatch/failures/failure-handling.ts"
export type { BreakerOptions } from "./dispatch/health/circuit-breaker.ts"
export { type HealthBook, type HealthBookOptions, healthBook } from "./dispatch/health/health-book.ts"
export {
  type HeardFetch,
  type ResponseHeadersOptions,
  responseHeaders,
} from "./dispatch/limits/response-headers.ts"
export {
  PROCESS_RETRY_BUDGET,
  type RetryBudget,
  type RetryBudgetOptions,
  retryBudget,
} from "./dispatch/retry-budget.ts"
export type { ModelRegistryOptions } from "./env/model-registry.ts"
export type { FromEnvOptions } from "./env/options-from-env.ts"
export {
  type FallbackAnswer,
  FallbackChain,
  type FallbackChainFields,
  type FallbackChatOptions,
  type FallbackLink,
  type FallbackOptions,
} from "./fallback-chain.ts"
export { isRestart } from "./langchain/is-restart.ts"
export type { ReplyMetadata } from "./langchain/reply.ts"
export type { StructuredSchema } from "./langchain/structured-schema.ts"
export {
  DEFAULT_TASK_RULES,
  type TaskRule,
  type ThresholdPolicyOptions,
  thresholdPolicy,
} from "./policy/threshold-policy.ts"
export { LEGACY_PRICES } from "./pricing/legacy-prices.ts"
export type { CandidateOrder } from "./pricing/order.ts"
export { type PriceTableOptions, priceTable, type StalePrice } from "./pricing/price-table.ts"
export { DEFAULT_MEDIA_TOKENS, type MediaTokens, type QuoteInput } from "./pricing/quote.ts"
export { DEFAULT_BASE_PRICE } from "./pricing/rates.ts"
export {
  type BudgetProjection,
  type BudgetReport,
  budgetReport,
  type MonthlyBudget,
  monthlyBudget,
} from "./reports/budget-report.ts"
export type { SkippedRecord } from "./reports/check-record.ts"
export { type CostSuggestions, costSuggestions } from "./reports/cost-suggestions.ts"
export { formatReport } from "./reports/format-report.ts"
export { type MixRow, type ModelMix, modelMix } from "./reports/model-mix.ts"
export {
  type CountChange,
  monthlyReport,
  type PeriodChange,
  type PeriodOptions,
  type PeriodReport,
  type PeriodReports,
  weeklyReport,
} from "./reports/period-reports.ts"
export type { ReportMoney } from "./reports/report-money.ts"
export {
  type Comparison,
  type GpuHours,
  type Savings,
  type SavingsOptions,
  type SavingsReport,
  type SavingsRow,
  savingsReport,
  type TokenSavings,
} from "./reports/savings-report.ts"
export {
  type Spend,
  type SpendGrouping,
  type SpendOptions,
  type SpendReport,
  type SpendRow,
  spendReport,
} from "./reports/spend-report.ts"
export type { Suggestion } from "./reports/suggestion.ts"
export { DEFAULT_SUGGESTION_THRESHOLDS, type SuggestionThresholds } from "./reports/suggestion-thresholds.ts"
export type { Reported, SkippedRecords } from "./reports/tally.ts"
export type { CloseOptions, CloseReport } from "./route/calls-under-way.ts"
export type { CallQuote, PredictedCost } from "./route/predict-cost.ts"
export { DEFAULT_TIERS } from "./route/resolve-options.ts"
export type {
  DeploymentOptions,
  HedgeSettings,
  ProbeSettings,
  RouterOptions,
  UnderPressure,
  WaitingLineSettings,
} from "./route/router-options.ts"
export type { RefusalQuestion, WhenRefused } from "./route/router-parts.ts"
export type { DeploymentRegistry, DeploymentStatus } from "./route/router-registry.ts"
export type { DeploymentMetrics } from "./route/traffic.ts"
export {
  type RouterCallOptions,
  RouterChatModel,
  type RouterChatModelFields,
} from "./router-chat-model.ts"
export type {
  BudgetStatus,
  BudgetStore,
  BudgetUnit,
  BudgetWarning,
  BudgetWindow,
  Closing,
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
  LongContextPrice,
  Price,
  PriceTable,
  PublishedPrice,
  TokenPrice,
} from "./spec/catalog.ts"
export type { ComplexityEstimate, Estimator, EstimatorInput } from "./spec/complexity.ts"
export type { Attempt, FailureKind, SkipReason, Unavailable } from "./spec/dispatch.ts"
export {
  BudgetExceededError,
  BudgetUnavailableError,
  CandidatesExhaustedError,
  ConfigError,
  DeadlineExceededError,
  InvalidRequestError,
  NoEligibleDeploymentError,
  RouterClosedError,
  StreamBrokenError,
  TierwiseError,
  type TierwiseErrorCode,
} from "./spec/errors.ts"
export type { HeaderSource, HeardHeaders } from "./spec/headers.ts"
export type {
  BreakerCall,
  BreakerChange,
  BreakerState,
  CallEnding,
  HealthChanges,
  HealthEntry,
  HealthReport,
  HealthStore,
  SharedCircuit,
  SharedCooldown,
} from "./spec/health.ts"
export { type Amount, type NanoUsd, nanoToUsd, nanoUsd, usdToNano } from "./spec/money.ts"
export type {
  BudgetPressure,
  DecisionReason,
  PolicyInput,
  RoutingDecision,
  RoutingPolicy,
  Snapshot,
} from "./spec/policy.ts"
export type {
  AgentSpec,
  AskedText,
  Gate,
  MidStream,
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
  Recovery,
  RouteEvent,
  RouteObserver,
  RouteRecord,
  TierCost,
} from "./spec/telemetry.ts"
export type { BalanceKind, TrafficLimit } from "./spec/traffic.ts"
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

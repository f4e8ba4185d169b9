/** One row of what the product must do: every clause is a requirement of its own, with the id `ROW.clause`. */
export interface RequirementRow {
  readonly what: string
  /** Clause slug → what must hold, with its formulas, numbers and names. */
  readonly clauses: Readonly<Record<string, string>>
}

export interface RequirementSystem {
  readonly title: string
  readonly rows: Readonly<Record<string, RequirementRow>>
}

/**
 * What Tierwise must do, as data. A clause is proven when a passing test cites its id in its title,
 * e.g. `it("scores Hello as light [E1.hello-light]", …)`; `npm test` prints how many are.
 */
export const requirements: Readonly<Record<string, RequirementSystem>> = {
  E: {
    title: "Tiered router with token budgets",
    rows: {
      E1: {
        what: "A complexity estimator over five weighted factors",
        clauses: {
          "message-complexity":
            "Message complexity weighs 30 %: word count, vocabulary richness, sentence structure",
          "context-requirement": "Context requirement weighs 15 %: the size of the retrieved context",
          "capability-criticality":
            "Capability criticality weighs 25 %: safety-critical capabilities such as security and compliance lead to a heavier tier",
          "conversation-depth": "Conversation depth weighs 10 %",
          "keyword-signals": "Keyword signals weigh 20 %: analyze, architecture, security …",
          "weighted-sum": "The score is the weighted sum of the five factors and lies in 0–1",
          "factor-values": "Every factor's value is returned",
          "recommended-tier": "The recommended tier is returned",
          inputs: "Inputs: message, context length, agent capabilities, history length",
          "hello-light": '"Hello" scores < 0.3 (light)',
          "security-analysis-heavy":
            "A zero-trust/mTLS security-analysis request with context 2048 and capability `security_analysis` scores > 0.7 (heavy)",
        },
      },
      E2: {
        what: "Three tiers by default",
        clauses: {
          thresholds: "light 0.0–0.3, standard 0.3–0.7, heavy 0.7–1.0",
          "model-id": "Each tier has a model id",
          "cost-weight": "Each tier has a cost weight: 1.0 / 3.0 / 10.0",
          "gpu-memory": "Each tier has a GPU memory size: 8 / 32 / 72 GB",
          "default-light": "The default light model is `ollama/qwen2.5:7b`",
          "default-standard": "The default standard model is `ollama/qwen2.5:32b`",
          "default-heavy": "The default heavy model is `vllm/qwen2.5:72b`",
        },
      },
      E3: {
        what: "Task type and an agent's own spec decide the tier too",
        clauses: {
          "intent-classification-light": "Intent classification → light",
          "pii-detection-light": "PII detection → light",
          "simple-qa-light": "Simple Q&A → light",
          "agent-execution-standard": "Agent execution → standard",
          "skill-invocation-standard": "Skill invocation → standard",
          "thinking-tools-heavy": "Thinking tools → heavy",
          "security-analysis-heavy": "Security analysis → heavy",
          "architecture-design-heavy": "Architecture design → heavy",
          "agent-spec-pin": "An agent's own spec can pin the tier",
          "agent-spec-bound": "An agent's own spec can bound the tier",
        },
      },
      E4: {
        what: "Token budgets per tenant",
        clauses: {
          "per-tenant": "Every tenant has a token budget of its own",
          daily: "A daily budget, default 1,000,000 tokens",
          monthly: "A monthly budget, default 20,000,000 tokens",
          "check-before": "The budget is checked before the call",
          "record-after": "What was used is recorded after the call",
          "alert-80": "An alert at 80 %",
          "alert-95": "An alert at 95 %",
        },
      },
      E5: {
        what: "A savings report per tenant",
        clauses: {
          "per-tenant": "The report is made per tenant",
          "tokens-saved": "Tokens saved against an all-heavy baseline",
          "cost-reduction": "Cost reduction in percent against an all-heavy baseline",
        },
      },
      E6: {
        what: "A fallback chain over tiers",
        clauses: {
          chain: "A failing tier falls back to another tier",
          "preferred-start": "It starts at a preferred tier",
          answer: "It returns the answer",
          "answering-tier": "It returns the tier that really answered",
        },
      },
      E7: {
        what: "A metrics collector",
        clauses: {
          "decision-record":
            "Every decision is recorded: {timestamp, tenant, task type, selected tier, estimated complexity, tokens, latency ms}",
          "tier-distribution": "Tier distribution over the last N hours per tenant",
          "savings-estimate": "A savings estimate",
          "gpu-hours-saved": "GPU hours saved are part of the savings estimate",
          "quality-by-tier": "Quality by tier where feedback exists",
          "fallback-events": "Fallback events are recorded",
          export: "Export for a dashboard",
        },
      },
      E8: {
        what: "Configuration by environment",
        clauses: {
          "routing-enabled": "`MODEL_ROUTING_ENABLED`, default true",
          "model-light": "`MODEL_LIGHT` names the light model",
          "model-standard": "`MODEL_STANDARD` names the standard model",
          "model-heavy": "`MODEL_HEAVY` names the heavy model",
          "budget-daily": "`TOKEN_BUDGET_DAILY` sets the daily token budget",
          "budget-monthly": "`TOKEN_BUDGET_MONTHLY` sets the monthly token budget",
          "price-cost-weight":
            "Self-hosted defaults have no price list: they can be priced by cost weight × a base price, so that savings mean something",
          "price-gpu-second":
            "Self-hosted models can be priced by GPU-second, so that savings mean something",
        },
      },
      E9: {
        what: "Where state and metrics live",
        clauses: {
          "in-memory": "In-memory by default",
          redis: "Redis-backed for many processes",
          prometheus: "Prometheus metrics",
          dashboard: "A real-time dashboard",
        },
      },
      E10: {
        what: "An agent orchestrator composes it",
        clauses: {
          "intent-classification": "The orchestrator's intent classification reaches the right tier",
          skills: "The orchestrator's skills reach the right tier",
          "thinking-tools": "The orchestrator's thinking tools reach the right tier",
        },
      },
    },
  },

  C: {
    title: "Routing service with difficulty and a monthly budget",
    rows: {
      C1: {
        what: "A difficulty estimator over three factors",
        clauses: {
          length: "Length weighs 40 % (short/medium/long)",
          keywords: "Keywords weigh 40 % (complex and simple lists)",
          structure: "Structure weighs 20 % (several questions, lists, code blocks)",
          score: "The score lies in 0–1",
          level: "A level is given: easy/medium/hard",
        },
      },
      C2: {
        what: "Policy and prices",
        clauses: {
          "easy-cheap": "easy → cheap",
          "medium-mid": "medium → mid",
          "hard-high": "hard → high",
          "price-gpt-3-5-turbo": "gpt-3.5-turbo costs 0.0005/0.0015 USD per 1K input/output tokens",
          "price-gpt-4": "gpt-4 costs 0.03/0.06 USD per 1K input/output tokens",
          "price-gpt-4-turbo": "gpt-4-turbo costs 0.01/0.03 USD per 1K input/output tokens",
          "cheapest-capable": 'By price gpt-4-turbo undercuts gpt-4: "cheapest capable" notices it',
        },
      },
      C3: {
        what: "Retry and escalation",
        clauses: {
          "retry-3": "Retry up to 3 times",
          "exponential-backoff": "Retries back off exponentially",
          "escalate-short": "A short answer has low confidence and escalates to a stronger model",
          "escalate-uncertain":
            "An answer with uncertainty phrases has low confidence and escalates to a stronger model",
        },
      },
      C4: {
        what: "A monthly dollar budget",
        clauses: {
          limit: "`MONTHLY_BUDGET_LIMIT`, default 100.0 USD",
          tracks: "Spend is tracked",
          blocks: "Calls are blocked when the budget is exceeded",
          status: "The status is reported in real time",
        },
      },
      C5: {
        what: "Every request is stored",
        clauses: {
          "request-row":
            "Stored: timestamp, prompt, response, model, difficulty score and level, tokens, cost, latency, success, retry count, escalated",
          "budget-rows": "Monthly budget rows with spend and request count",
          sqlite: "SQLite by default",
          "database-url": "`DATABASE_URL` chooses the database",
        },
      },
      C6: {
        what: "HTTP",
        clauses: {
          "post-prompt":
            "`POST /api/prompt` {prompt, max_tokens} → {success, response, model_used, difficulty_score, difficulty_level, tokens_used, cost, latency_ms, escalated, retry_count}",
          "get-budget":
            "`GET /api/budget` → {year, month, monthly_limit, total_spent, remaining, percentage_used, request_count}",
          "get-stats":
            "`GET /api/stats` → {total_requests, successful_requests, failed_requests, success_rate, total_cost, avg_latency_ms, total_tokens, escalation_rate}",
          "get-health": "`GET /api/health`",
          docs: "Interactive API docs at `/docs`",
          redoc: "A ReDoc-style reference at `/redoc`",
        },
      },
      C7: {
        what: "A demo without a key",
        clauses: {
          "demo-no-key": "The demo needs no API key",
          "key-from-env": "`OPENAI_API_KEY` from the environment switches to real models",
          "key-from-dotenv": "`OPENAI_API_KEY` from `.env` switches to real models",
        },
      },
      C8: {
        what: "The wish list, each its own requirement",
        clauses: {
          streaming: "Core: streaming",
          "response-caching": "Core: response caching",
          "prompt-templates": "Core: prompt templates",
          "multi-turn": "Core: multi-turn conversations",
          "model-override": "Core: per-request model override",
          "learned-estimator": "Intelligence: a learned estimator",
          "ab-comparison": "Intelligence: A/B comparison",
          "feedback-learning": "Intelligence: learning from feedback",
          "quality-scoring": "Intelligence: response quality scoring",
          "key-load-balancing": "Intelligence: load balancing over API keys",
          "prometheus-metrics": "Operations: Prometheus metrics",
          "request-log": "Operations: a searchable request log",
          "webhook-alerts": "Operations: alerts by webhook",
          "webhook-alerts-slack": "Operations: the alert webhook has a format that Slack takes",
          "webhook-alerts-mail": "Operations: the alert webhook has a format that mail relays take",
          "weekly-reports": "Operations: weekly cost reports with suggestions",
          "monthly-reports": "Operations: monthly cost reports with suggestions",
          "live-dashboard": "Operations: a live dashboard",
          "async-webhooks": "Interfaces: webhooks for async results",
          "batch-api": "Interfaces: a batch API",
          "openai-clients": "Interfaces: any OpenAI client in any language works",
          "example-curl": "Interfaces: an example in curl",
          "example-python": "Interfaces: an example in Python",
          "example-javascript": "Interfaces: an example in JavaScript",
          "example-go": "Interfaces: an example in Go",
          cli: "Interfaces: a command line",
          "langchain-integration": "Interfaces: LangChain integration",
          "rate-limit-user": "Safety: rate limits per user",
          "rate-limit-global": "Safety: a global rate limit",
          "api-key-quotas": "Safety: API keys with quotas",
          "api-key-permissions": "Safety: API keys with permissions",
          "request-validation": "Safety: request validation",
          "fallback-models": "Safety: fallback models",
          "circuit-breaker": "Safety: a circuit breaker",
          "user-budgets": "Cost: budgets per user",
          "team-budgets": "Cost: budgets per team",
          "project-budgets": "Cost: budgets per project",
          "cost-prediction": "Cost: the cost is predicted before the call",
          "budget-alerts": "Cost: budget alerts",
          "token-quotas": "Cost: token quotas",
          "cost-suggestions": "Cost: suggestions",
          "integration-tests": "Testing: integration tests",
          benchmarks: "Testing: benchmarks",
          "synthetic-prompts": "Testing: synthetic prompts across difficulty levels",
          "chaos-tests": "Testing: chaos tests",
          container: "Delivery: a container",
          compose: "Delivery: compose",
          helm: "Delivery: Helm",
          ensembling: "Advanced: ensembling for critical queries",
          "cost-quality-preference": "Advanced: a cost–quality preference (fast/cheap … slow/accurate)",
          "custom-scoring": "Advanced: custom scoring",
          "pre-processing": "Advanced: pre-processing plug-ins",
          "post-processing": "Advanced: post-processing plug-ins",
          "history-tuning": "Advanced: tuning from history",
        },
      },
    },
  },

  D: {
    title: "A/B routing between a small and a large model",
    rows: {
      D1: {
        what: "Domain rules decide complexity",
        clauses: {
          "query-type": "Rules by query type",
          entities: "Rules by entities",
          "comparison-words": 'Rules by comparison words: "compare", "vs", "difference between"',
          "several-entities-in-field": "Rules by several entities in one field",
          "metric-lookup": 'Rules by "metric lookup" patterns',
          "simple-small": "SIMPLE → small",
          "complex-large": "COMPLEX → large",
          "user-rules": "Rules belong to the user, not to the library",
        },
      },
      D2: {
        what: "MEDIUM is split by consistent hashing",
        clauses: {
          "hash-split": "MEDIUM is split by consistent hashing at `ab_test_ratio`",
          "ratio-0-large": "`ab_test_ratio` 0 = all large",
          "ratio-1-small": "`ab_test_ratio` 1 = all small",
          "same-query-same-model": "The same query always reaches the same model, so caching stays right",
        },
      },
      D3: {
        what: "Statistics of the test",
        clauses: {
          statistics:
            "{total_requests, model_distribution {id: {count, percentage, avg_latency_ms}}, average_latency_ms, baseline_latency_ms, latency_improvement_pct, estimated_cost_savings_pct, ab_test_ratio, routing_enabled}",
          reset: "A reset starts a fresh test",
        },
      },
      D4: {
        what: "Logged decisions",
        clauses: {
          "decision-reason": "Each decision is logged with its reason, e.g. MEDIUM A/B 0.23 < 0.50 → small",
        },
      },
      D5: {
        what: "Routing can be off, and its failure is harmless",
        clauses: {
          "routing-off": "Routing can be off: a fixed default model answers",
          "enable-model-routing": "`ENABLE_MODEL_ROUTING` is read beside `MODEL_ROUTING_ENABLED`",
          "failure-harmless": "A routing failure never fails the request",
          "model-3b-name": "`MODEL_3B_NAME` names the light model",
          "model-8b-name": "`MODEL_8B_NAME` names the heavy model",
          "ab-test-ratio": "`AB_TEST_RATIO` sets the split",
        },
      },
      D6: {
        what: "Rollout in steps",
        clauses: {
          steps: "The steps are 0.1 → 0.3 → 0.5 → 0.8",
          "gate-pass": "Quality gate: degradation < 5 % passes",
          "gate-review": "Quality gate: degradation of 5–10 % asks for review",
          "gate-rollback": "Quality gate: degradation > 10 % rolls back automatically",
        },
      },
      D7: {
        what: "What-if projections before rollout",
        clauses: {
          distribution: "The distribution is projected",
          latency: "The latency is projected",
          cost: "The cost is projected",
          quality: "The quality is projected",
          settings: "Projections exist for conservative, balanced and aggressive settings",
        },
      },
      D8: {
        what: "Works together with streaming, caching and prompt reduction",
        clauses: {
          streaming: "Routing works together with streaming",
          "cache-hit-bypasses": "A cache hit bypasses routing",
          "cache-key-normalised": "The cache key uses a normalised query",
          "prompt-reduction": "Prompt reduction: fewer input tokens, same meaning",
          "combined-effect": "The combined effect is measured on the simulator",
          "effect-by-part": "The measurement says what each part gave",
        },
      },
      D9: {
        what: "A thin door and its domain rules",
        clauses: {
          "post-generate":
            "`POST /v1/generate` {query, domain, language, query_type, entities, context_docs} is a thin door",
          "short-factual-simple": "Short factual questions (≤ 10 words) are SIMPLE under its rules",
          "metric-lookup-simple": "Metric look-ups are SIMPLE under its rules",
          "strategy-per-domain": "Strategies can differ per domain",
          satisfaction: "User satisfaction (thumbs) is tracked",
          "time-to-first-token": "Perceived latency (time to first token) is tracked",
        },
      },
    },
  },

  A: {
    title: "Dynamic routing architecture",
    rows: {
      A1: {
        what: "The most cost-effective model within a budget",
        clauses: {
          "most-cost-effective": "The most cost-effective model for a task within a budget is selected",
          "estimate-before": "A cost estimate is given before execution",
          "request-budget": "A per-request budget: `DEFAULT_BUDGET`, 0.01 USD",
          "alert-threshold": "An alert threshold: `COST_ALERT_THRESHOLD`, 0.8",
          "default-model": "`DEFAULT_MODEL` names the default model",
          "max-fallback-attempts": "`MAX_FALLBACK_ATTEMPTS`, 2",
          "price-phi-3-5-mini": "phi-3.5-mini costs 0.0001 USD per 1K tokens",
          "price-mistral-7b": "mistral-7b costs 0.0002 USD per 1K tokens",
          "price-llama-3-1-70b": "llama-3.1-70b costs 0.0008 USD per 1K tokens",
        },
      },
      A2: {
        what: "A model registry",
        clauses: {
          versions: "It knows versions",
          "health-checks": "It checks health",
          "performance-metrics": "It keeps performance metrics",
          cost: "It knows the cost",
          "from-config": "It can come from config",
          "from-service": "It can come from a registry service (`MODEL_REGISTRY_URL`)",
        },
      },
      A3: {
        what: "A quality validator",
        clauses: {
          thresholds: "A quality validator with thresholds",
          "failed-check-next": "A failed check tries the next model",
          "quality-per-model": "Quality is tracked per model",
        },
      },
      A4: {
        what: "Resilience",
        clauses: {
          "retry-more-capable": "Retry with more capable models",
          "graceful-degradation": "Graceful degradation under load",
          "circuit-breakers": "Circuit breakers",
        },
      },
      A5: {
        what: "Latency and throughput",
        clauses: {
          "warm-up": "Warm-up",
          caching: "Caching",
          "request-batching": "Request batching",
          "connection-reuse": "Connection reuse",
          "load-balancing": "Load balancing",
        },
      },
      A6: {
        what: "Security and privacy",
        clauses: {
          "api-keys": "Security: API keys",
          "rate-limits": "Security: rate limits",
          "request-signing": "Security: request signing",
          "input-sanitising": "Privacy: input sanitising",
          "output-sanitising": "Privacy: output sanitising",
          "output-validation": "Privacy: output validation",
          "audit-log": "Privacy: an audit log",
        },
      },
      A7: {
        what: "Metrics and alerts",
        clauses: {
          "metric-latency": "Metric: latency",
          "metric-error-rate": "Metric: error rate",
          "metric-cost-per-request": "Metric: cost per request",
          "metric-model-performance": "Metric: model performance",
          "alert-budget": "Alert: budget thresholds",
          "alert-error-spikes": "Alert: error spikes",
          "alert-latency": "Alert: latency degradation",
          "alert-quality": "Alert: quality degradation",
        },
      },
      A8: {
        what: "Later",
        clauses: {
          "load-on-demand": "Models are loaded on demand",
          "unload-on-demand": "Models are unloaded on demand",
          "version-ab": "A/B between model versions",
          "adaptive-routing": "Adaptive routing on live performance",
          "several-clouds": "Several clouds",
        },
      },
    },
  },

  B: {
    title: "The same, carrying an analytics product",
    rows: {
      B1: {
        what: "Four execution paths by intent, with measured cost and share",
        clauses: {
          "cache-hit": "Cache hit: $0.0001, 60 %",
          "simple-sql": "Simple SQL + small model: $0.001, 25 %",
          "semantic-search": "Semantic search + middle model: $0.01, 10 %",
          "full-analysis": "Full analysis + large model: $0.25, 5 %",
          "by-intent": "The path is chosen by intent",
          "blended-cost": "Blended cost about $0.015 a query against $0.25 always-large",
        },
      },
      B2: {
        what: "Model mix and savings, reported from real records",
        clauses: {
          "model-mix": "A model mix of 70/20/10, reported from real records",
          savings: "85 % saved against always-large, reported from real records",
        },
      },
      B3: {
        what: "Dashboards",
        clauses: {
          "latency-percentiles": "Latency p50/p95/p99 by intent",
          "cache-hit-rate": "Cache hit rate (> 60 %)",
          "model-distribution": "Model distribution",
          "cost-per-query": "Cost per query (< $0.02)",
        },
      },
      B4: {
        what: "Prometheus alert rules",
        clauses: {
          "latency-alert": "p95 latency > 3 s for 5 min",
          "cache-alert": "Cache hit rate < 50 % for 15 min",
        },
      },
      B5: {
        what: "A working example product over it",
        clauses: {
          connector: "Support tickets arrive through a connector: incremental export API, rate-limited",
          "relational-store": "Tickets land in a relational store",
          embeddings: "Tickets are embedded for semantic search",
          graph: "Tickets are linked as a graph",
          "cheapest-path": "Questions are answered through the router by the cheapest path",
          "sync-rate": "Initial sync is measured in tickets per hour",
          "embedding-rate": "Embedding is measured in tickets per hour",
          "sync-lag": "Sync lag is shown",
          "index-size": "Index size is shown",
          "pool-use": "Pool use is shown",
          "stage-hand-over":
            "The stages hand over through a log or queue that can be a broker (a Kafka topic)",
          "analytics-page": "An analytics page asks and answers",
        },
      },
    },
  },

  L: {
    title: "LangChain.js",
    rows: {
      L1: {
        what: "RouterChatModel is a BaseChatModel and a drop-in anywhere one is taken",
        clauses: {
          "base-chat-model": "`RouterChatModel` is a `BaseChatModel`",
          invoke: "`invoke`",
          stream: "`stream`",
          batch: "`batch`",
          "stream-events": "`streamEvents`",
          "bind-tools": "`bindTools`",
          "with-structured-output": "`withStructuredOutput`",
          "with-config": "`withConfig`",
          "with-retry": "`withRetry`",
          "with-fallbacks": "`withFallbacks`",
          "lcel-pipes": "LCEL pipes",
          "create-agent": "`createAgent`",
          langgraph: "LangGraph",
          "abort-signals": "Abort signals",
          timeouts: "Timeouts",
          callbacks: "Callbacks",
          tags: "Tags",
          metadata: "Metadata",
        },
      },
      L2: {
        what: "Runnables",
        clauses: {
          "estimator-runnable": "`ComplexityEstimator` is a Runnable",
          "fallback-chain-runnable": "`FallbackChain` is a Runnable",
          "fallback-over-chat-models": "`FallbackChain` works over chat models",
          "fallback-over-any-runnable": "`FallbackChain` works over any Runnable",
        },
      },
      L3: {
        what: "Callback handlers for any LangChain model",
        clauses: {
          "budget-routed": "`BudgetCallbackHandler` works with a routed model",
          "budget-unrouted": "`BudgetCallbackHandler` works with a model that is not routed",
          "metrics-routed": "`MetricsCallbackHandler` works with a routed model",
          "metrics-unrouted": "`MetricsCallbackHandler` works with a model that is not routed",
        },
      },
      L4: {
        what: "Middleware for createAgent",
        clauses: {
          "routing-per-step": "Routing per step",
          budgets: "Budgets",
          "with-response-format": "Correct together with `responseFormat`",
          "with-other-middleware": "Correct together with other middleware",
        },
      },
      L5: {
        what: "OpenTelemetry traces",
        clauses: {
          "genai-conventions": "GenAI semantic conventions",
          "one-decision-per-call": "One decision is visible per call",
          "usage-once": "Usage is counted once",
        },
      },
      L6: {
        what: "Example agent apps",
        clauses: {
          "offline-examples": "The example agent apps run offline",
        },
      },
      L7: {
        what: "The stack asked for is really used, each on a shipped, tested path",
        clauses: {
          langchain: "`langchain`",
          "langchain-core": "`@langchain/core`",
          "langchain-openai": "`@langchain/openai`",
          "community-chat-models": "`@langchain/community`: its chat models as deployments",
          "community-caches": "`@langchain/community`: its caches",
          "opentelemetry-api": "`@opentelemetry/api`",
          "keyv-response-cache": "`keyv`: the response cache over any Keyv store",
          "keyv-session-state": "`keyv`: session state over any Keyv store",
          "keyv-registry-state": "`keyv`: registry state over any Keyv store",
          vitest: "`vitest`",
        },
      },
    },
  },

  N: {
    title: "What none of the peers has",
    rows: {
      N1: {
        what: "Money is a ledger",
        clauses: {
          reserve: "Money is reserved before a call",
          settle: "A reservation is settled with what the call really cost",
          release: "A reservation that was not used is released",
          "atomic-across-processes": "Atomic across processes",
          "re-reserved-per-hop": "Re-reserved on every fallback hop",
          "unknown-price-refused": "An unknown price is refused, not free",
        },
      },
      N2: {
        what: "Cost exact to the bill wherever usage is reported",
        clauses: {
          "exact-plain": "Cost equals the bill where usage is reported",
          "exact-cached": "Cost equals the bill with cached tokens",
          "exact-reasoning": "Cost equals the bill with reasoning tokens",
          "exact-streamed": "Cost equals the bill of a streamed answer",
          "estimate-aborted": "The cost of an aborted call is labelled an estimate",
          "estimate-broken-off": "The cost of a call that broke off is labelled an estimate",
        },
      },
      N3: {
        what: "Switching is priced",
        clauses: {
          "never-mid-tool-loop": "Never mid tool-loop",
          "gain-beats-lost-cache": "Only when the gain beats the lost prompt cache",
        },
      },
      N4: {
        what: "Capability filters fail closed",
        clauses: {
          "fail-closed": "A capability filter that cannot tell excludes",
          "say-why": "Every exclusion says why",
        },
      },
      N5: {
        what: "Stream-safe failover",
        clauses: {
          "stream-failover": "A stream that fails before its first piece fails over",
          "mid-stream-policy": "An explicit mid-stream policy",
          "truncated-not-success": "A truncated stream is never a success",
        },
      },
      N6: {
        what: "explain equals decide",
        clauses: {
          "one-pure-function": "`explain` and `decide` are one pure function",
          "on-every-reply": "Its result is on every reply",
        },
      },
      N7: {
        what: "Replay of your own logs against any configuration",
        clauses: {
          replay: "Your own logs are replayed against any configuration",
          "baseline-always-light": "Beside the baseline always-light",
          "baseline-always-heavy": "Beside the baseline always-heavy",
          "baseline-random-mix": "Beside the baseline random mix",
          "baseline-oracle": "Beside the baseline oracle",
        },
      },
      N8: {
        what: "Calibration on your own data with a guarantee",
        clauses: {
          "own-data": "Calibration on your own data",
          guarantee: '"Quality loss at most ε with confidence 1−δ"',
        },
      },
      N9: {
        what: "Experiments that stop themselves",
        clauses: {
          canary: "Canary",
          "sequential-test": "Sequential test",
          "automatic-rollback": "Automatic rollback",
        },
      },
      N10: {
        what: "Tenant-safe by construction",
        clauses: {
          cache: "No cache crosses tenants",
          budget: "No budget crosses tenants",
          log: "No log crosses tenants",
          experiment: "No experiment crosses tenants",
        },
      },
    },
  },
}

/** Every id, `E1.hello-light` and so on, in the order of the rows. */
export const requirementIds: ReadonlySet<string> = new Set(
  Object.values(requirements).flatMap(({ rows }) =>
    Object.entries(rows).flatMap(([row, { clauses }]) =>
      Object.keys(clauses).map((clause) => `${row}.${clause}`),
    ),
  ),
)

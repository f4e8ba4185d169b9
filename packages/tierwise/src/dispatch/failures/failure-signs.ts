import type { FailureKind } from "../../spec/dispatch.ts"

/*
 * What providers and their packages say when they fail, as data. Specific codes come first, statuses next; a message is
 * read only where both leave open which failure it is. The bodies these tables are proved with, each with its source,
 * are in test/failures.
 */

/** Names that interrupts and graph commands go by, their own or their class's. */
export const CONTROL_FLOW_NAMES: ReadonlySet<unknown> = new Set([
  "GraphInterrupt",
  "NodeInterrupt",
  "GraphBubbleUp",
  "ParentCommand",
])

type Table = Readonly<Record<string, FailureKind>>

/** Names of errors, or of their classes, that leave no doubt. */
export const BY_NAME: Table = {
  TimeoutError: "timeout",
  APIConnectionTimeoutError: "timeout",
  ContextOverflowError: "context-overflow",
  TruncatedError: "truncated",
  OutputParserException: "unparseable",
  ZodError: "unparseable",
  $ZodError: "unparseable",
  StructuredOutputParsingError: "unparseable",
  MultipleStructuredOutputsError: "unparseable",
  LengthFinishReasonError: "unparseable",
  ContentFilterFinishReasonError: "content-filtered",
  ModelRefusalError: "content-filtered",
  InsufficientQuotaError: "quota-exhausted",
  // Amazon Bedrock says what is wrong by the error's name.
  ThrottlingException: "rate-limited",
  TooManyRequestsException: "rate-limited",
  ServiceQuotaExceededException: "quota-exhausted",
  ModelNotReadyException: "overloaded",
  ServiceUnavailableException: "overloaded",
  InternalServerException: "server-error",
  ModelErrorException: "server-error",
  ModelStreamErrorException: "truncated",
  ModelTimeoutException: "timeout",
  AccessDeniedException: "authentication",
  UnrecognizedClientException: "authentication",
  ExpiredTokenException: "authentication",
  InvalidSignatureException: "authentication",
  IncompleteSignatureException: "authentication",
  CredentialsProviderError: "authentication",
  ResourceNotFoundException: "not-found",
}

/** Names that say little: a cause that says more is believed instead. */
export const BY_VAGUE_NAME: Table = {
  APIConnectionError: "network",
  SyntaxError: "unparseable",
  TypeError: "defect",
  RangeError: "defect",
  ReferenceError: "defect",
}

/** What fetch says of a network that failed, as the message of a TypeError; each engine has words of its own. */
export const BY_FETCH_MESSAGE: Table = {
  "fetch failed": "network", // undici, Node
  "Failed to fetch": "network", // Chromium
  "NetworkError when attempting to fetch resource.": "network", // Firefox
  "Load failed": "network", // Safari
  terminated: "truncated", // undici: the body broke off
  "network error": "truncated", // Chromium: the body broke off
}

/** Codes and types that say which failure it is, whatever the status. */
export const BY_CODE: Table = {
  // LangChain
  MODEL_AUTHENTICATION: "authentication",
  MODEL_NOT_FOUND: "not-found",
  CONTEXT_OVERFLOW: "context-overflow",
  OUTPUT_PARSING_FAILURE: "unparseable",
  INVALID_TOOL_RESULTS: "invalid-request",
  // OpenAI, and those who speak its language
  rate_limit_exceeded: "rate-limited",
  insufficient_quota: "quota-exhausted",
  billing_hard_limit_reached: "quota-exhausted",
  billing_not_active: "quota-exhausted",
  context_length_exceeded: "context-overflow",
  content_filter: "content-filtered",
  content_policy_violation: "content-filtered",
  ResponsibleAIPolicyViolation: "content-filtered",
  model_not_found: "not-found",
  model_decommissioned: "not-found",
  DeploymentNotFound: "not-found",
  invalid_api_key: "authentication",
  account_deactivated: "authentication",
  unsupported_country_region_territory: "authentication",
  server_is_overloaded: "overloaded",
  slow_down: "overloaded",
  service_unavailable_error: "overloaded",
  // Anthropic
  authentication_error: "authentication",
  permission_error: "authentication",
  billing_error: "quota-exhausted",
  rate_limit_error: "rate-limited",
  request_too_large: "context-overflow",
  timeout_error: "timeout",
  overloaded_error: "overloaded",
  // Google
  RESOURCE_EXHAUSTED: "rate-limited",
  UNAVAILABLE: "overloaded",
  DEADLINE_EXCEEDED: "timeout",
  INTERNAL: "server-error",
  PERMISSION_DENIED: "authentication",
  UNAUTHENTICATED: "authentication",
  NOT_FOUND: "not-found",
  API_KEY_INVALID: "authentication",
  MODEL_CAPACITY_EXHAUSTED: "overloaded",
  "type.googleapis.com/google.rpc.QuotaFailure": "rate-limited",
  // Groq, Mistral, llama.cpp
  capacity_exceeded: "overloaded",
  service_tier_capacity_exceeded: "overloaded",
  rate_limited: "rate-limited",
  exceed_context_size_error: "context-overflow",
  unavailable_error: "overloaded",
  // The network, as Node and undici name its failures. A connection that was never made costs nothing; one that broke may
  // have carried the request.
  ECONNREFUSED: "network",
  ENOTFOUND: "network",
  EAI_AGAIN: "network",
  EAI_FAIL: "network",
  EHOSTUNREACH: "network",
  EHOSTDOWN: "network",
  ENETUNREACH: "network",
  ENETDOWN: "network",
  EADDRNOTAVAIL: "network",
  ETIMEDOUT: "network",
  EPROTO: "network",
  CERT_HAS_EXPIRED: "network",
  DEPTH_ZERO_SELF_SIGNED_CERT: "network",
  SELF_SIGNED_CERT_IN_CHAIN: "network",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "network",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "network",
  ERR_TLS_CERT_ALTNAME_INVALID: "network",
  UND_ERR_CONNECT_TIMEOUT: "network",
  ECONNRESET: "truncated",
  ECONNABORTED: "truncated",
  EPIPE: "truncated",
  ERR_STREAM_PREMATURE_CLOSE: "truncated",
  ERR_HTTP2_ERROR: "truncated",
  ERR_HTTP2_STREAM_ERROR: "truncated",
  ERR_HTTP2_STREAM_CANCEL: "truncated",
  ERR_HTTP2_SESSION_ERROR: "truncated",
  ERR_HTTP2_GOAWAY_SESSION: "truncated",
  Z_BUF_ERROR: "truncated",
  Z_DATA_ERROR: "truncated",
  UND_ERR_SOCKET: "truncated",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "truncated",
  UND_ERR_HEADERS_OVERFLOW: "truncated",
  UND_ERR_RES_EXCEEDED_MAX_SIZE: "truncated",
  UND_ERR_HEADERS_TIMEOUT: "timeout",
  UND_ERR_BODY_TIMEOUT: "timeout",
}

/** Codes of Node's HTTP parser: the other side does not speak HTTP, or stopped in the middle of it. */
export const HTTP_PARSER_CODE: RegExp = /^HPE_/

/** Types that say no more than a status does, for errors that come without one, in the middle of a stream. */
export const BY_VAGUE_CODE: Table = {
  server_error: "server-error",
  api_error: "server-error",
  internal_server_error: "server-error",
  invalid_request_error: "invalid-request",
  BadRequestError: "invalid-request",
  not_found_error: "not-found",
  NotFoundError: "not-found",
  INVALID_ARGUMENT: "invalid-request",
  FAILED_PRECONDITION: "invalid-request",
}

/** LangChain's `rateLimitType`, which it puts on a 429. */
export const BY_RATE_LIMIT_STAMP: Table = {
  wait: "rate-limited",
  capacity: "rate-limited",
  stop: "quota-exhausted",
}

export const BY_STATUS: Readonly<Record<number, FailureKind>> = {
  401: "authentication",
  402: "quota-exhausted",
  403: "authentication",
  404: "not-found",
  408: "timeout",
  409: "server-error",
  413: "context-overflow",
  424: "server-error", // Bedrock: the model itself failed
  425: "server-error",
  429: "rate-limited",
  498: "overloaded", // Groq: no capacity left in the flex tier
  503: "overloaded",
  504: "timeout",
  524: "timeout", // Cloudflare: the server was reached, and did not answer in time
  529: "overloaded", // Anthropic
}

/** What a message makes of a failure that its code and status leave open. */
export interface MessageSign {
  readonly kind: FailureKind
  /** What code and status say; any other kind is believed. "unknown": they say nothing. */
  readonly insteadOf: readonly FailureKind[]
  readonly pattern: RegExp
  /** Who writes so. */
  readonly saidBy: string
}

const BAD_REQUEST: readonly FailureKind[] = ["invalid-request"]
const BAD_SIZE: readonly FailureKind[] = ["invalid-request", "server-error", "unknown"]
const LIMITED: readonly FailureKind[] = ["rate-limited", "invalid-request"]

/** The first that fits counts. */
export const BY_MESSAGE: readonly MessageSign[] = [
  {
    kind: "truncated",
    insteadOf: ["unknown"],
    pattern: /^Received empty response from chat model call/,
    saidBy: "LangChain, of a stream that a handler reads and that ends before it begins",
  },
  {
    kind: "context-overflow",
    insteadOf: BAD_SIZE,
    pattern:
      /maximum context length|context length is only|exceeds? (?:the |its )?context (?:window|length)/i,
    saidBy: "OpenAI, OpenRouter, vLLM, Mistral, LM Studio",
  },
  {
    kind: "context-overflow",
    insteadOf: BAD_SIZE,
    pattern: /prompt is too long|exceed context limit|exceeds model context window/i,
    saidBy: "Anthropic",
  },
  {
    kind: "context-overflow",
    insteadOf: BAD_SIZE,
    pattern: /input token count(?: \(\d+\))? exceeds the maximum/i,
    saidBy: "Google",
  },
  {
    kind: "context-overflow",
    insteadOf: BAD_SIZE,
    pattern: /available context size|context size has been exceeded|exceed context window of|exceed n_ctx/i,
    saidBy: "llama.cpp and those built on it",
  },
  {
    kind: "context-overflow",
    insteadOf: BAD_SIZE,
    pattern: /input is too long for requested model/i,
    saidBy: "Amazon Bedrock",
  },
  {
    kind: "quota-exhausted",
    insteadOf: LIMITED,
    pattern: /credit balance is too low|reached your specified API usage limits/i,
    saidBy: "Anthropic",
  },
  {
    kind: "quota-exhausted",
    insteadOf: ["rate-limited"],
    // A limit per day is an amount that is spent, not a speed.
    pattern: /per[ -]?day/i,
    saidBy: "Amazon Bedrock, Google, Groq, OpenAI, OpenRouter",
  },
  {
    kind: "quota-exhausted",
    insteadOf: LIMITED,
    pattern: /quota exceeded for metric: [\w./-]+, limit: 0\b/i,
    saidBy: "Google, of a model that the plan does not include",
  },
  {
    kind: "overloaded",
    insteadOf: ["rate-limited", "server-error"],
    pattern: /capacity exceeded|no capacity available|experiencing high demand|\boverloaded\b/i,
    saidBy: "Mistral, Google, Azure OpenAI, Anthropic, OpenAI",
  },
  {
    kind: "content-filtered",
    insteadOf: BAD_REQUEST,
    pattern: /blocked by content filtering policy/i,
    saidBy: "Anthropic",
  },
  {
    kind: "content-filtered",
    insteadOf: BAD_REQUEST,
    pattern: /flagged as potentially violating|triggering Azure OpenAI.s content management policy/i,
    saidBy: "OpenAI, Azure OpenAI",
  },
  {
    kind: "authentication",
    insteadOf: BAD_REQUEST,
    pattern: /API key not (?:valid|found)|user location is not supported/i,
    saidBy: "Google",
  },
  {
    kind: "not-found",
    insteadOf: BAD_REQUEST,
    pattern: /has been decommissioned/i,
    saidBy: "Groq",
  },
]

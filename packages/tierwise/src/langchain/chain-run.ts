import {
  CallbackManager,
  type CallbackManagerForChainRun,
  type Callbacks,
  ensureHandler,
} from "@langchain/core/callbacks/manager"
import type { Serialized } from "@langchain/core/load/serializable"
import { patchConfig, type RunnableConfig } from "@langchain/core/runnables"

export interface ChainRunOptions {
  readonly config: RunnableConfig
  readonly name: string
  /** Asked only when somebody listens. */
  readonly serialized: () => Serialized
  /** Callbacks, tags and metadata given to the router's constructor; inherited by the deployments' runs. */
  readonly own: {
    readonly callbacks?: Callbacks | undefined
    readonly tags?: string[] | undefined
    readonly metadata?: Record<string, unknown> | undefined
    readonly verbose?: boolean | undefined
  }
  readonly inputs: Readonly<Record<string, unknown>>
}

/**
 * The router's own run: a chain whose children are one LLM run per provider call. That way every token is reported
 * exactly once, under the model that made it.
 */
export interface ChainRun {
  /** Config for the children. */
  readonly childConfig: RunnableConfig
  end(output: unknown): Promise<void>
  fail(error: unknown): Promise<void>
}

export async function startChainRun({
  config,
  name,
  serialized,
  own,
  inputs,
}: ChainRunOptions): Promise<ChainRun> {
  const { runId, runName, ...rest } = config
  const manager = managerFor(rest, own)
  const run: CallbackManagerForChainRun | undefined = await manager?.handleChainStart(
    serialized(),
    inputs,
    runId,
    undefined,
    undefined,
    undefined,
    runName ?? name,
  )
  return {
    childConfig: run === undefined ? rest : patchConfig(rest, { callbacks: run.getChild() }),
    end: async (output) => run?.handleChainEnd({ output }),
    fail: async (error) => run?.handleChainError(error),
  }
}

function managerFor(config: RunnableConfig, own: ChainRunOptions["own"]): CallbackManager | undefined {
  const { callbacks, tags, metadata } = config
  const verbose = { verbose: own.verbose ?? false }
  const manager = CallbackManager._configureSync(
    callbacks,
    undefined,
    tags,
    own.tags,
    metadata,
    own.metadata,
    verbose,
  )
  const handlers = Array.isArray(own.callbacks) ? own.callbacks.map(ensureHandler) : own.callbacks?.handlers
  if (handlers === undefined || handlers.length === 0) return manager
  const withOwn = manager ?? new CallbackManager()
  // A model's constructor callbacks see its LLM runs; ours happen in the children, so they must be inherited.
  for (const handler of handlers) withOwn.addHandler(handler, true)
  return withOwn
}

import {
  CallbackManager,
  type CallbackManagerForChainRun,
  type Callbacks,
} from "@langchain/core/callbacks/manager"
import type { Serialized } from "@langchain/core/load/serializable"
import { mergeConfigs, patchConfig, type RunnableConfig } from "@langchain/core/runnables"
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons"

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
  /** Runs `work` so that models called inside it without a config become children too. */
  readonly within: <T>(work: () => Promise<T>) => Promise<T>
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
  const childConfig = run === undefined ? rest : patchConfig(rest, { callbacks: run.getChild() })
  return {
    childConfig,
    within: (work) => {
      if (run === undefined) return work()
      return AsyncLocalStorageProviderSingleton.runWithConfig<ReturnType<typeof work>>(childConfig, work)
    },
    end: async (output) => run?.handleChainEnd({ output }),
    fail: async (error) => run?.handleChainError(error),
  }
}

/** What the constructor was given is inherited: a model's own callbacks see its LLM runs, and ours are the children's. */
function managerFor(config: RunnableConfig, own: ChainRunOptions["own"]): CallbackManager | undefined {
  const given = [own.callbacks, own.tags, own.metadata].some((value) => value !== undefined)
  const { callbacks, tags, metadata } = given ? mergeConfigs(own as RunnableConfig, config) : config
  const verbose = { verbose: own.verbose ?? false }
  return CallbackManager._configureSync(callbacks, undefined, tags, undefined, metadata, undefined, verbose)
}

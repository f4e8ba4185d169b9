import type { HealthStore, SharedCircuit, SharedCooldown, SharedStep } from "../spec/health.ts"

interface Circuit {
  readonly version: number
  readonly state: "open" | "closed"
  readonly openUntil: number
  readonly failedProbes: number
  readonly probeUntil: number
  readonly probe: string
}

interface Pause {
  readonly version: number
  readonly until: number
  readonly isCalledOff: boolean
  readonly because: string
}

const CLOSED = { state: "closed", openUntil: 0, failedProbes: 0, probeUntil: 0 } as const

/**
 * What every store does, in one process: for tests of those that use one.
 *
 * @param now Epoch ms, by the store's clock.
 */
export function memoryHealth(now: () => number): HealthStore {
  const circuits = new Map<string, Circuit>()
  const pauses = new Map<string, Pause>()
  let version = 0

  function write(key: string, circuit: Omit<Circuit, "version">): SharedStep {
    const written = { ...circuit, version: ++version }
    circuits.set(key, written)
    return { done: true, circuit: shown(key, written) }
  }

  function shown(key: string, { openUntil, probeUntil, ...circuit }: Circuit): SharedCircuit {
    return {
      ...circuit,
      key,
      openForMs: Math.max(0, openUntil - now()),
      probeForMs: Math.max(0, probeUntil - now()),
    }
  }

  function isTaken({ state, openUntil, probeUntil }: Circuit): boolean {
    return state === "open" && (openUntil > now() || probeUntil > now())
  }

  /** Undefined: a step that knows so much may be taken. */
  function other(key: string, known: number): SharedStep | undefined {
    const circuit = circuits.get(key)
    if (circuit === undefined || (circuit.version <= known && !isTaken(circuit))) return undefined
    return { done: false, circuit: shown(key, circuit) }
  }

  function writePause(key: string, pause: Omit<Pause, "version">): void {
    pauses.set(key, { ...pause, version: ++version })
  }

  function shownPause(key: string): SharedCooldown {
    const { until = 0, ...pause } = pauses.get(key) ?? { version: 0, isCalledOff: false, because: "" }
    return { ...pause, key, forMs: Math.max(0, until - now()) }
  }

  return {
    name: "memory",

    async tripped(key, { known, openForMs }) {
      const opened = { state: "open", openUntil: now() + openForMs, failedProbes: 0 } as const
      return other(key, known) ?? write(key, { ...opened, probeUntil: 0, probe: "" })
    },

    async claimProbe(key, { known, probe, leaseMs, failedProbes }) {
      const refused = other(key, known)
      if (refused !== undefined) return refused
      const circuit = circuits.get(key)
      const before = circuit?.state === "open" ? circuit : { openUntil: now(), failedProbes }
      return write(key, { ...before, state: "open", probeUntil: now() + leaseMs, probe })
    },

    async probeEnded(key, { known, probe, how, openForMs, failedProbes }) {
      const circuit = circuits.get(key)
      if (circuit !== undefined && circuit.probe !== probe) {
        const isNews = circuit.version > known
        if (isNews || circuit.probeUntil > now()) return { done: false, circuit: shown(key, circuit) }
      }
      if (how === "well") return write(key, { ...CLOSED, probe })
      const before = circuit?.state === "open" ? circuit.openUntil : now()
      const openUntil = how === "badly" ? now() + openForMs : before
      return write(key, { state: "open", openUntil, failedProbes, probeUntil: 0, probe })
    },

    async cool(key, forMs, because) {
      const until = now() + forMs
      if (until > (pauses.get(key)?.until ?? 0)) writePause(key, { until, isCalledOff: false, because })
      return shownPause(key)
    },

    async warm(key) {
      const isPaused = (pauses.get(key)?.until ?? 0) > now()
      if (isPaused) writePause(key, { until: 0, isCalledOff: true, because: "" })
      return shownPause(key)
    },

    async changesSince(since) {
      return {
        version,
        circuits: [...circuits]
          .filter(([, circuit]) => circuit.version > since)
          .map(([key, circuit]) => shown(key, circuit)),
        cooldowns: [...pauses.keys()].map(shownPause).filter((pause) => pause.version > since),
      }
    },
  }
}

import type { RouteEvent, RouteObserver } from "../spec/telemetry.ts"

/** Tells every observer. One that throws or rejects changes nothing, for the request or for the others. */
export function notify(observers: readonly RouteObserver[], event: RouteEvent): void {
  for (const observer of observers) {
    try {
      const returned: unknown = observer.on(event)
      // An async observer type-checks as a void one; its rejection must not become an unhandled one.
      if (returned instanceof Promise) returned.catch(() => {})
    } catch {
      // Whoever watches a request has no say in it.
    }
  }
}

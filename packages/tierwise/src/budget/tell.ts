/** Tells a listener, who has no say in what follows: what it throws, or rejects with later, is ignored. */
export function tell<Told extends readonly unknown[]>(
  listener: ((...told: Told) => void) | undefined,
  ...told: Told
): void {
  try {
    const returned: unknown = listener?.(...told)
    // An async listener type-checks as a void one; its rejection must not become an unhandled one.
    Promise.resolve(returned).catch(() => {})
  } catch {
    // Whoever is told of money has no say in it.
  }
}

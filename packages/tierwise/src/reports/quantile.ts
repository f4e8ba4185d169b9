/**
 * The nearest-rank quantile: the smallest of the numbers that at least `share` of them do not exceed. It is always one of
 * them, so that a quantile of whole NanoUsd is whole. Undefined of none.
 *
 * @param sorted Ascending.
 * @param share In (0, 1], e.g. 0.95.
 */
export function quantile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}

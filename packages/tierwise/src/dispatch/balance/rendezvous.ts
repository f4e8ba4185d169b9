/**
 * A number in (0, 1) that belongs to these two: the same everywhere and always, and for other ids as if it were drawn anew.
 *
 * Rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on
 * Networking 6(1), 1998): each session goes to the id that draws best for it, so that an id that leaves moves only its own
 * sessions, and one that joins takes only its share. With `-ln(draw) / weight` the smallest wins in proportion to the
 * weights (Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005).
 *
 * Not for secrets: FNV-1a over UTF-16, finished by MurmurHash3's mix, 32 bits.
 */
export function rendezvousDraw(sessionHash: number, id: string): number {
  return (mix(fnv1a(id, sessionHash)) + 0.5) / 2 ** 32
}

/** The part of the draw that is the same for all ids. */
export function sessionHashOf(session: string): number {
  return mix(fnv1a(session, FNV_START))
}

const FNV_START = 0x811c9dc5
const FNV_PRIME = 0x01000193

function fnv1a(text: string, start: number): number {
  let hash = start
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), FNV_PRIME)
  return hash
}

/** `fmix32` of MurmurHash3. */
function mix(hash: number): number {
  let mixed = hash
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

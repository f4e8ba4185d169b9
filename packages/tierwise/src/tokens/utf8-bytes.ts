/**
 * Bytes of a text in UTF-8, counted without encoding it, so that it costs no memory and runs in any runtime.
 * Half a surrogate pair counts three bytes, as the replacement character that is sent in its place.
 */
export function utf8Bytes(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) continue
    if (code < 0x800) {
      bytes += 1
    } else if (isHighSurrogate(code) && isLowSurrogate(text.charCodeAt(i + 1))) {
      // Two units, four bytes: two more than the length already has.
      bytes += 2
      i++
    } else {
      bytes += 2
    }
  }
  return bytes
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

function isLowSurrogate(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff
}

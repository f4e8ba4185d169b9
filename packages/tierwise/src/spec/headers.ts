/** The headers of one response; `null` for one that it does not have. Names in any case. */
export interface HeardHeaders {
  get(name: string): string | null
}

/** Tells of a model's responses what their headers say. `responseHeaders()` is one. */
export interface HeaderSource {
  /**
   * The listener is told the headers of each response from now on, refusals too, before its body is read.
   *
   * @returns What ends it; called again, it does nothing more.
   */
  listen(listener: (headers: HeardHeaders) => void): () => void
}

/** A text in a file that is whole or not there. */
export interface KeptCopy {
  /** Undefined: there is none. @throws what the file system says otherwise. */
  read(): Promise<string | undefined>
  /**
   * Written beside it and then put in its place: whoever reads meanwhile sees the old one. The text that was written or read
   * last is not written again.
   */
  write(text: string): Promise<void>
}

export function keptCopy(path: string): KeptCopy {
  // Loaded only here, so that the router itself runs where there is no file system.
  const files = () => import("node:fs/promises")
  let last: string | undefined
  return {
    async read() {
      const { readFile } = await files()
      try {
        last = await readFile(path, "utf8")
        return last
      } catch (error) {
        if ((error as { code?: unknown }).code === "ENOENT") return undefined
        throw error
      }
    },
    async write(text) {
      if (text === last) return
      const { open, rename, rm } = await files()
      const beside = `${path}.${crypto.randomUUID()}`
      try {
        const file = await open(beside, "wx", 0o600)
        try {
          await file.writeFile(text)
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(beside, path)
        last = text
      } catch (error) {
        await rm(beside, { force: true })
        throw error
      }
    },
  }
}

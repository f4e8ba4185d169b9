import type { Admission } from "./dispatch-options.ts"
import { withSignal } from "./with-signal.ts"

/** Leave that others have to be asked for. What comes too late is given back. */
export async function leaveInTime(
  asked: Promise<Admission>,
  signal: AbortSignal | undefined,
): Promise<Admission> {
  try {
    return await withSignal(asked, signal)
  } catch (error) {
    void asked.then(
      (late) => late.admitted && late.pass.ended({ ended: "unsent" }),
      () => {},
    )
    throw error
  }
}

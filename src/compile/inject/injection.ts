/** What injection answers. */
import type { Pod } from "#model/core.ts";
import type { Problem } from "#model/problem.ts";

export interface Injection {
  /** The very same object when nothing is to be added, or was already. */
  readonly pod: Pod;
  /** Why the pod must not be created: then `pod` is as it came. */
  readonly problems: readonly Problem[];
  /** What the pod asks of its proxy and does not get; for the answer's `warnings`. */
  readonly warnings: readonly string[];
}

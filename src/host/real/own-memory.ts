/**
 * Keys lie in a program's memory. Whoever has its uid may read that (ptrace(2), /proc/PID/mem), unless the program says that
 * nobody may: then the right to trace everybody is needed. Containers of root can take any uid, and one that sees its node's processes
 * sees all proxies, which have one uid.
 */
import { lastError, libc } from "./libc.ts";

/** prctl(2), linux/prctl.h. */
const PR_SET_DUMPABLE = 4;

/** For good: nothing sets it back but another program in this process. What of /proc/self is for its owner alone is root's from then on. */
export function hideOwnMemory(): void {
  if (libc().prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) throw lastError("this program's memory", "prctl");
}

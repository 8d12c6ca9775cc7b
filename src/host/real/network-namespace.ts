/**
 * Runs something inside another network namespace. `setns` changes the calling thread, and the event loop runs on it:
 * so the work must be synchronous, and nothing may be awaited in between (DNS and files run on other threads, which
 * stay at home). Only socket(2) has to run there; bind, listen, connect and accept follow the socket.
 */
import { lastError, libc } from "./libc.ts";

const CLONE_NEWNET = 0x4000_0000;
const O_RDONLY_CLOEXEC = 0o2000000;

/** Descriptor of our own namespace, kept open. */
let home = -1;

/** `path` undefined: where we are. */
export function insideNetns<T>(path: string | undefined, work: () => T): T {
  if (path === undefined) return work();
  return away(() => enter(path), work);
}

/** In a namespace that is new; it goes away again unless `work` keeps it (a mount, a socket). `subject` is for errors. */
export function insideNewNetns<T>(subject: string, work: () => T): T {
  const leave = (): void => {
    if (libc().unshare(CLONE_NEWNET) < 0) throw lastError(subject, "unshare a network namespace (needs root or a user namespace)");
  };
  return away(leave, work);
}

function enter(path: string): void {
  const c = libc();
  const there = c.open(path, O_RDONLY_CLOEXEC);
  if (there < 0) throw lastError(path, "open network namespace");
  const entered = c.setns(there, CLONE_NEWNET);
  const failure = entered < 0 ? lastError(path, "setns") : undefined;
  c.close(there);
  if (failure !== undefined) throw failure;
}

function away<T>(leave: () => void, work: () => T): T {
  const c = libc();
  if (home < 0) {
    home = c.open("/proc/thread-self/ns/net", O_RDONLY_CLOEXEC);
    if (home < 0) throw lastError("/proc/thread-self/ns/net", "open");
  }
  leave();
  try {
    return work();
  } finally {
    // Going on in the wrong namespace would send other traffic to the wrong place.
    if (c.setns(home, CLONE_NEWNET) < 0) process.abort();
  }
}

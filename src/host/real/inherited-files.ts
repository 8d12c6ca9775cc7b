/**
 * Files that were open when this program started (a shell's, a test runner's) stay its own: Node passes them on to every
 * child, and a pod would find them.
 */
import { readdirSync } from "node:fs";
import { libc } from "./libc.ts";

/** asm-generic/ioctls.h: close on exec. */
const FIOCLEX = 0x5451;
/** Standard input, output and error are given to each child anew. */
const FIRST = 3;

let done = false;

export function keepInheritedFiles(): void {
  if (done) return;
  done = true;
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name);
    // The listing's own file is closed by now, and then the call says so: nothing is lost.
    if (fd >= FIRST) libc().ioctl(fd, FIOCLEX, NOTHING);
  }
}

const NOTHING = new Uint8Array(1);

import { randomBytes } from "node:crypto";

/** Of a cluster: pids are small where a test is alone, and other checkouts of this machine run the same tests. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString("hex")}`;
}

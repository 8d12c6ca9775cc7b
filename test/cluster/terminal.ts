/** What a command is given that a test calls without a process: nobody sees what it says. */
import type { Terminal } from "#cli/context.ts";
import type { User } from "./user.ts";

export function terminalOf(user: User): Terminal {
  return {
    out: () => undefined,
    err: () => undefined,
    inputIsTty: false,
    color: false,
    env: user.env,
    cwd: user.checkout,
    args: [],
    pid: process.pid,
    uid: user.uid,
    node: process.execPath,
    sourceRoot: user.checkout,
    onSignal: () => ({ release: () => undefined }),
  };
}

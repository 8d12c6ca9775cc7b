/** Runs kubectl as people do, against a cluster's kubeconfig. */
import { spawn, spawnSync } from "node:child_process";
import type { User } from "./user.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ends it, as Ctrl-C does, once its output matches. */
  readonly until?: RegExp;
}

export type Kubectl = (args: readonly string[], options?: RunOptions) => Promise<Ran>;

/** false, or why not and what to do. */
export const withoutKubectl: string | false =
  spawnSync("kubectl", ["version", "--client"], { stdio: "ignore" }).status === 0
    ? false
    : "kubectl is not installed: apt-get install kubernetes-client (1.27 or newer)";

/** A command that takes longer hangs. */
const PATIENCE_MS = 90_000;

export function kubectlOf(user: User, kubeconfig: string): Kubectl {
  return (args, { input = "", env = {}, until } = {}) =>
    new Promise((resolve) => {
      const [program = "kubectl", ...rest] = [...user.prefix, "kubectl", ...args];
      const child = spawn(program, rest, { env: { ...user.env, ...env, KUBECONFIG: kubeconfig }, timeout: PATIENCE_MS });
      let out = "";
      let err = "";
      child.stdout.on("data", (bytes: Buffer) => {
        out += bytes.toString();
        if (until?.test(out) === true) child.kill("SIGINT");
      });
      child.stderr.on("data", (bytes: Buffer) => (err += bytes.toString()));
      child.stdin.on("error", () => undefined).end(input);
      child.on("close", (code) => resolve({ code: code ?? 128, out, err }));
    });
}

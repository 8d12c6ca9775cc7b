/** Somebody outside the cluster, who asks through the gateway all the time: the same program as in the pods, on this machine. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { controlNetns } from "#tools/kubernetes/peer.ts";
import type { Said } from "./said.ts";

/** As if it were a pod, in what is said of it. */
export const VISITOR = "outside/visits";

export interface Visitor {
  readonly last: Said | undefined;
  since(at: Date): readonly Said[];
  stop(): void;
}

export function startVisitor({ peer }: KubernetesCluster, address: string): Visitor {
  if (peer === undefined) throw new Error("only the network of this machine's Kubernetes can be entered from outside");
  const program = [process.execPath, join(import.meta.dirname, "pod.cjs"), "visit", address];
  const child = spawn("nsenter", [`--net=${controlNetns(peer)}`, ...program], { stdio: ["ignore", "pipe", "inherit"] });
  const said: Said[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => said.push(JSON.parse(line) as Said));
  return {
    get last() {
      return said.at(-1);
    },
    since: (at) => said.filter((each) => Date.parse(each.at) >= at.getTime()),
    stop: () => void child.kill(),
  };
}

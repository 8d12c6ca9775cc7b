/** A pod of the mesh that asks a service on the other node all the time, over connections that it keeps, and writes down what failed. */
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";

export interface Traffic {
  /** What failed since, a line each, and how many requests did not. */
  since(startedAt: Date): Promise<{ readonly failures: readonly string[]; readonly answered: number }>;
}

/** Runs in the pod: one request each 100 ms; each line of its log says when, and what came of it. */
const PROGRAM = `
const { Agent, get } = require("node:http");
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const say = (text) => console.log(new Date().toISOString() + " " + text);
const ask = () => get({ host: "details", port: 9080, path: "/details/0", agent, timeout: 5000 }, (answer) => {
  answer.resume().on("end", () => { say(answer.statusCode === 200 ? "ok" : "status " + answer.statusCode); setTimeout(ask, 100); });
}).on("timeout", function () { this.destroy(new Error("no answer within 5 s")); }).on("error", (error) => { say(error.message); setTimeout(ask, 100); });
ask();
`;

const manifest = (node: string): string => `
apiVersion: v1
kind: Pod
metadata: { name: traffic, namespace: default, labels: { app: traffic } }
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: 1
  containers:
    - name: asks
      image: weft/shell:1
      command: [node, -e, ${JSON.stringify(PROGRAM)}]
`;

/** On a node where the pod of details is not. */
export async function startTraffic(cluster: KubernetesCluster): Promise<Traffic> {
  const there = await cluster.get("-n", "default", "get", "pods", "-l", "app=details", "-o", "jsonpath={.items[0].spec.nodeName}");
  const here = cluster.nodes?.names.find((name) => name !== there) ?? there;
  await cluster.apply(manifest(here));
  await cluster.get("-n", "default", "wait", "--for=condition=Ready", "pod/traffic", "--timeout=120s");
  return {
    async since(startedAt) {
      const lines = (await cluster.get("-n", "default", "logs", "traffic", "-c", "asks", `--since-time=${startedAt.toISOString()}`)).trim().split("\n");
      return { failures: lines.filter((line) => !line.endsWith(" ok")), answered: lines.filter((line) => line.endsWith(" ok")).length };
    },
  };
}

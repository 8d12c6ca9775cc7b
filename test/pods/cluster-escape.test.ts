/**
 * Nothing gets out of a pod of a real cluster with real sidecars: not past its proxy, not to another's identity, files or
 * ports, not to the node, the control plane and its keys; as uid 0, 1337 and 65534, in clusters of root and of an ordinary
 * user. Each attempt is also made by somebody who may, and must succeed there.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { withoutKubectl } from "../cluster/kubectl.ts";
import { startKubectl, type NamespaceKubectl } from "../cluster/network/kubectl.ts";
import { eventually, startMeshCluster, type MeshCluster } from "../cluster/mesh-cluster.ts";
import { users } from "../cluster/user.ts";
import { clusterAttempts, scriptOf, type ClusterAttempt, type Control } from "./cluster-escape/attempts.ts";

interface PodFacts {
  readonly metadata: { readonly uid: string };
  readonly spec: { readonly nodeName: string };
  readonly status?: { readonly podIP?: string; readonly hostIP?: string; readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

const folder = join(import.meta.dirname, "cluster-escape");
const attackers = ["attacker-0", "attacker-1337", "attacker-65534"];
const everybody = ["mesh/victim", "mesh/treasurer", "beside/server", "beside/visitor", ...attackers.map((name) => `mesh/${name}`)];

if (withoutKubectl !== false) process.stderr.write(`SKIPPED cluster-escape: ${withoutKubectl}\n`);

for (const { name: who, make } of users) {
  describe(`a pod in a real cluster of ${who}`, { timeout: 300_000, skip: withoutKubectl }, () => {
    let cluster: MeshCluster;
    let kubectl: NamespaceKubectl;
    let server = "";
    const outputs = new Map<string, string>();
    const pods = new Map<string, PodFacts>();

    const facts = (key: string): PodFacts => {
      const pod = pods.get(key);
      if (pod === undefined) throw new Error(`no pod ${key}`);
      return pod;
    };
    const look = async (key: string): Promise<PodFacts> => {
      const [namespace = "", name = ""] = key.split("/");
      return cluster.get<PodFacts>(`/api/v1/namespaces/${namespace}/pods/${name}`);
    };
    /** What the attempts' commands know: everything that could help them. */
    const variables = (attacker: string): string => {
      const [victim, own] = [facts("mesh/victim"), facts(`mesh/${attacker}`)];
      const socketOf = (pod: PodFacts): string => `/run/weft/nodes/${pod.spec.nodeName}/pods/${pod.metadata.uid}/xds.sock`;
      const known: Record<string, string> = {
        SERVER: server,
        VICTIM: victim.status?.podIP ?? "",
        VICTIM_NAME: `mesh/victim/${victim.metadata.uid}`,
        VICTIM_SOCKET: socketOf(victim),
        OWN_SOCKET: socketOf(own),
        CNI_SOCKET: `/run/weft/nodes/${own.spec.nodeName}/cni.sock`,
        VICTIM_NODE: victim.spec.nodeName,
        NODE: own.spec.nodeName,
        NODE_ADDRESS: own.status?.hostIP ?? "",
        STATE: cluster.stateFolder,
      };
      return Object.entries(known)
        .map(([name, value]) => `export ${name}='${value}'`)
        .join("; ");
    };
    const inPod = async (key: string, script: string): Promise<string> => {
      const [namespace = "", name = ""] = key.split("/");
      const { stdout, stderr } = await kubectl.attempt("--namespace", namespace, "exec", name, "-c", "app", "--", "sh", "-c", script);
      assert.notEqual(stdout, "", stderr);
      return stdout;
    };

    before(async () => {
      cluster = await startMeshCluster(`e${process.pid}${who === "root" ? "" : "u"}`, join(folder, "cluster.yaml"), make);
      kubectl = await startKubectl(cluster, "mesh");
      await cluster.apply(join(folder, "pods.yaml"));
      for (const key of everybody) pods.set(key, await eventually(() => look(key), isReady));
      const late = everybody.filter((key) => !isReady(facts(key)));
      assert.deepEqual(late, [], "pods that do not become ready");
      // The policies are in force, and the treasurer's way is open.
      await eventually(
        () => inPod("mesh/treasurer", "curl -s -m 5 -o /dev/null -w '%{http_code}' http://victim.mesh/"),
        (code) => code === "200",
      );
      const { spec } = await cluster.get<{ readonly spec: { readonly clusterIP: string } }>("/api/v1/namespaces/beside/services/server");
      server = spec.clusterIP;
      const script = scriptOf(clusterAttempts.map(({ command }) => command));
      await Promise.all(attackers.map(async (attacker) => outputs.set(attacker, await inPod(`mesh/${attacker}`, `${variables(attacker)}\n${script}`))));
    });
    after(() => cluster?.stop());

    for (const attacker of attackers) {
      test(`as uid ${attacker.replace("attacker-", "")}, gets nothing`, () => {
        const output = outputs.get(attacker) ?? "";
        const statuses = statusesIn(output);
        assert.equal(statuses.size, clusterAttempts.length, `not every attempt was made: ${output}`);
        assert.deepEqual(
          namesOf((_, index) => statuses.get(index) === 0),
          [],
        );
      });
    }

    test("has a neighbour that was not disturbed", async () => {
      const victim = await look("mesh/victim");
      assert.ok(isReady(victim));
      assert.equal(victim.metadata.uid, facts("mesh/victim").metadata.uid);
    });

    const places: readonly { readonly where: string; readonly is: (control: Control) => boolean; readonly run: (script: string) => Promise<string> }[] = [
      {
        where: "the node",
        is: (control) => "in" in control && control.in === "node",
        run: async (script) => (await cluster.enter(facts("mesh/attacker-0").spec.nodeName, "sh", "-c", script)).stdout,
      },
      {
        where: "the pod's network, with the cluster's rights",
        is: (control) => "in" in control && control.in === "attacker",
        run: async (script) => (await cluster.enter("mesh/attacker-0", "sh", "-c", script)).stdout,
      },
      { where: "a pod that may", is: (control) => "pod" in control && control.pod === "mesh/treasurer", run: (script) => inPod("mesh/treasurer", script) },
      {
        where: "a pod outside of the mesh",
        is: (control) => "pod" in control && control.pod === "beside/visitor",
        run: (script) => inPod("beside/visitor", script),
      },
    ];
    for (const { where, is, run } of places) {
      test(`would get it from ${where}`, async () => {
        // Its proxy was stopped and comes back.
        await eventually(() => look("mesh/attacker-0"), isReady);
        const script = scriptOf(clusterAttempts.map(({ command, control }) => (is(control) ? (control.command ?? command) : undefined)));
        const statuses = statusesIn(await run(`${variables("attacker-0")}\n${script}`));
        assert.deepEqual(
          namesOf(({ control }, index) => is(control) && statuses.get(index) !== 0),
          [],
          "attempts that prove nothing, because they fail in any case",
        );
      });
    }
  });
}

function isReady({ status }: PodFacts): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") === true;
}

function statusesIn(output: string): ReadonlyMap<number, number> {
  return new Map([...output.matchAll(/^(\d+) (\d+)$/gm)].map(([, index, status]) => [Number(index), Number(status)]));
}

function namesOf(chosen: (attempt: ClusterAttempt, index: number) => boolean): readonly string[] {
  return clusterAttempts.filter(chosen).map(({ name }) => name);
}

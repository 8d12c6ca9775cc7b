/**
 * Pods that are guarded from their first moment: each listens, and tries to get out, at once, while another pod outside the mesh
 * knocks at every address that a new pod may get. What is not guarded gets through both ways, so both would tell.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import type { Pod } from "#model/core.ts";
import { formatIp, ip } from "#lib/ip.ts";
import { MESH, NAMESPACES, PLAIN, podOf } from "./manifests.ts";
import { eventually } from "../on-kubernetes.ts";
import { lastSaid, type Attempts, type Said } from "./said.ts";
import type { FaultWorld } from "./world.ts";

/** On each node, of each kind: closed to the network both ways, closed by nothing, closed by the mesh to who comes in. */
const BORN = { closed: 4, open: 1, meshed: 2 } as const;
type Kind = keyof typeof BORN;
/** Addresses on each node, from the first that no pod has: enough for those who are born, and for some that are taken meanwhile. */
const KNOCKED_AT = 16;
const READY_MS = 180_000;
const SHOWN_MS = 60_000;
/** After they are Ready: something that came late would still be seen. */
const WATCH_MS = 5000;
const NEVER: Attempts = { tried: 0, connected: 0, echoed: 0 };

interface Born {
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
}

/** Answers what passed that must not. `meanwhile` happens when the first of them start. */
export async function leaksOfNewborns(world: FaultWorld, round: string, meanwhile: () => Promise<void>): Promise<readonly string[]> {
  const { cluster, nodes } = world;
  const pod = (name: string, node: string, args: readonly string[]): object => podOf({ namespace: PLAIN, name, node, labels: { round }, args });
  // A node gives the address after the last one: who comes now tells where the next will be.
  await world.apply([...policies(), ...nodes.map((node) => pod(`first-${round}-${node}`, node, ["serve"]))]);
  await allReady(cluster, round);
  const before = await addressesOf(cluster);
  const ranges = nodes.flatMap((node) => [after(before.get(`${PLAIN}/first-${round}-${node}`)), String(KNOCKED_AT)]);
  const scanner = `scans-${round}`;
  await world.apply([pod(scanner, nodes[0] ?? "", ["scan", ...ranges])]);
  await allReady(cluster, round);
  const born = bornOn(nodes, round);
  const calledUpon = nodes.map((node) => before.get(`${PLAIN}/intrudes-${node}`) ?? "");
  await world.apply(born.map(({ kind, ...rest }) => podOf({ ...rest, labels: { round, newborn: kind }, args: ["newborn", ...calledUpon] })));
  await meanwhile();
  await allReady(cluster, round);
  const addresses = await addressesOf(cluster);
  const judge = async (kinds: readonly Kind[]): Promise<readonly string[]> => {
    const said = await lastSaidBy(cluster, `round=${round}`);
    const scanned = said.get(`${PLAIN}/${scanner}`)?.attempts ?? {};
    return born
      .filter(({ kind }) => kinds.includes(kind))
      .flatMap((each) => {
        const key = `${each.namespace}/${each.name}`;
        return judged(each, scanned[addresses.get(key) ?? ""] ?? NEVER, said.get(key));
      });
  };
  // When those get through that may, what is open would have been found.
  await eventually(
    () => judge(["open"]),
    (missing) => missing.length === 0,
    SHOWN_MS,
  );
  await sleep(WATCH_MS);
  const found = await judge(["open", "closed", "meshed"]);
  for (const namespace of NAMESPACES) await cluster.get("-n", namespace, "delete", "pod", "-l", `round=${round}`);
  return found;
}

function bornOn(nodes: readonly string[], round: string): readonly Born[] {
  const kinds = Object.entries(BORN) as [Kind, number][];
  return nodes.flatMap((node) =>
    kinds.flatMap(([kind, count]) =>
      Array.from({ length: count }, (_, i) => ({ kind, namespace: kind === "meshed" ? MESH : PLAIN, name: `${kind}-${round}-${i}-${node}`, node })),
    ),
  );
}

function judged({ kind, name }: Born, knocked: Attempts, own: Said | undefined): readonly string[] {
  const calls = Object.values(own?.attempts ?? {});
  if (knocked.tried === 0) return [`nobody knocked at ${name}: it has an address that was not expected`];
  if (calls.length === 0 || calls.some(({ tried }) => tried === 0)) return [`${name} did not try to get out`];
  switch (kind) {
    case "closed":
      return [
        ...(knocked.connected > 0 ? [`${name} was reached ${knocked.connected} times, at last at ${knocked.connectedAt ?? "?"}`] : []),
        ...calls
          .filter(({ connected }) => connected > 0)
          .map(({ connected, connectedAt }) => `${name} got out ${connected} times, at last at ${connectedAt ?? "?"}`),
      ];
    case "open":
      return knocked.echoed > 0 && calls.every(({ echoed }) => echoed > 0) ? [] : [`${name}, which nothing guards, did not get through: nothing was shown`];
    case "meshed":
      return knocked.echoed > 0 ? [`the application of ${name} was reached ${knocked.echoed} times, at last at ${knocked.echoedAt ?? "?"}`] : [];
  }
}

function policies(): readonly object[] {
  const meshed = { matchLabels: { newborn: "meshed" } };
  return [
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "closed", namespace: PLAIN },
      spec: { podSelector: { matchLabels: { newborn: "closed" } }, policyTypes: ["Ingress", "Egress"] },
    },
    {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "meshed", namespace: MESH },
      spec: { selector: meshed, mtls: { mode: "STRICT" } },
    },
    { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "meshed", namespace: MESH }, spec: { selector: meshed } },
  ];
}

async function lastSaidBy(cluster: KubernetesCluster, label: string): Promise<ReadonlyMap<string, Said>> {
  const all = await Promise.all(NAMESPACES.map((namespace) => lastSaid(cluster, namespace, label)));
  return new Map(all.flatMap((each) => [...each]));
}

async function allReady(cluster: KubernetesCluster, round: string): Promise<void> {
  for (const namespace of NAMESPACES) {
    const { stdout } = await cluster.kubectl("-n", namespace, "get", "pod", "-l", `round=${round}`, "-o", "name");
    if (stdout.trim() === "") continue;
    const wait = ["kubectl", "-n", namespace, "wait", "--for=condition=Ready", "pod", "-l", `round=${round}`, `--timeout=${READY_MS / 1000}s`] as const;
    const { code, stderr } = await cluster.run(wait, { timeoutMs: READY_MS + 5000 });
    assert.equal(code, 0, `pods of ${round} in ${namespace} are Ready: ${stderr}`);
  }
}

/** By "namespace/name". */
async function addressesOf(cluster: KubernetesCluster): Promise<ReadonlyMap<string, string>> {
  const { items } = JSON.parse(await cluster.get("get", "pods", "-A", "-o", "json")) as { readonly items: readonly Pod[] };
  return new Map(
    items.flatMap(({ metadata, status }) => (status?.podIP === undefined ? [] : [[`${metadata.namespace ?? ""}/${metadata.name}`, status.podIP]])),
  );
}

function after(address: string | undefined): string {
  assert.ok(address, "it has an address");
  const { family, value } = ip(address);
  return formatIp({ family, value: value + 1n });
}

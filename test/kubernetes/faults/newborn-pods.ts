/** Kinds of new pods, and what guards them. */
import assert from "node:assert/strict";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import type { Pod } from "#model/core.ts";
import { containerOf, MESH, PLAIN, podOf } from "./manifests.ts";

/** How many of each on each node. */
const BORN = {
  /** To the network, both ways. */
  closed: 3,
  /** Guarded by nothing. */
  open: 1,
  /** To who comes in, by the mesh. */
  meshed: 2,
  /** By both. */
  sealed: 1,
  /** Meshed, and a container of it runs before its proxy does. */
  early: 1,
  /** Meshed, but what it sends goes past its proxy. */
  uncaught: 1,
} as const;
export type Kind = keyof typeof BORN;
/** Those that a NetworkPolicy closes. */
const BY_NETWORK: readonly Kind[] = ["closed", "sealed"];

/** The container before the proxy. */
export const BEFORE = "before";
const PROXY = "istio-proxy";

export interface Born {
  readonly kind: Kind;
  readonly name: string;
  readonly node: string;
}

/** `guards`: namespaces whose policies are somebody's to hold. */
export function kindsOf(guards: readonly string[]): readonly (readonly [Kind, number])[] {
  const all = Object.entries(BORN) as [Kind, number][];
  return guards.includes(PLAIN) ? all : all.filter(([kind]) => !BY_NETWORK.includes(kind));
}

export async function newbornPod(
  cluster: KubernetesCluster,
  { kind, name, node }: Born,
  { round, hosts }: { readonly round: string; readonly hosts: readonly string[] },
): Promise<object> {
  const namespace = kind === "closed" || kind === "open" ? PLAIN : MESH;
  const labels: Record<string, string> = { round, newborn: kind, ...(kind === "uncaught" || kind === "open" ? {} : { shut: "by-mesh" }) };
  const annotations = kind === "uncaught" ? { "traffic.sidecar.istio.io/excludeOutboundPorts": "7000" } : {};
  const pod = podOf({ namespace, name, node, labels, annotations, args: ["newborn", name, ...hosts] });
  if (kind !== "early") return pod;
  // Injection puts the proxy first. Who comes before it was put there by a webhook after ours, or by hand: so it is done here.
  const dryRun = ["kubectl", "create", "--dry-run=server", "-o", "json", "-f", "-"] as const;
  const { code, stdout, stderr } = await cluster.run(dryRun, { input: JSON.stringify(pod) });
  assert.equal(code, 0, stderr);
  const { spec } = JSON.parse(stdout) as Pod;
  assert.deepEqual(
    spec.initContainers?.map((each) => each.name),
    [PROXY],
  );
  const before = containerOf(BEFORE, ["unborn", `${name}.${BEFORE}`, ...hosts]);
  const metadata = { ...pod.metadata, labels: { ...labels, "sidecar.istio.io/inject": "false" } };
  return { ...pod, metadata, spec: { ...spec, initContainers: [before, ...(spec.initContainers ?? [])] } };
}

export function shut(guards: readonly string[]): readonly object[] {
  const selector = { matchLabels: { shut: "by-mesh" } };
  const byNetwork = guards.includes(PLAIN) ? [PLAIN, MESH] : [];
  return [
    ...byNetwork.map((namespace) => ({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "shut", namespace },
      spec: { podSelector: { matchExpressions: [{ key: "newborn", operator: "In", values: BY_NETWORK }] }, policyTypes: ["Ingress", "Egress"] },
    })),
    {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "shut", namespace: MESH },
      spec: { selector, mtls: { mode: "STRICT" } },
    },
    { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "shut", namespace: MESH }, spec: { selector } },
  ];
}

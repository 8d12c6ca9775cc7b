/** Kinds of new pods, and what guards them. */
import assert from "node:assert/strict";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import type { Pod } from "#model/core.ts";
import { containerOf, MESH, PLAIN, podOf, programOf } from "./manifests.ts";

/** How many of each on each node. */
const BORN = {
  /** To the network, both ways. */
  closed: 2,
  /** Guarded by nothing. */
  open: 1,
  /** To who comes in, by the mesh. */
  meshed: 1,
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
/** Where nothing is injected, so that somebody may put a container before the proxy: everywhere else the proxy is made the first. */
const UNINJECTED = "kube-system";
export const BIRTHPLACES = [PLAIN, MESH, UNINJECTED] as const;
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

export const isMeshed = (kind: Kind): boolean => kind !== "closed" && kind !== "open";
export const birthplaceOf = (kind: Kind): string => (kind === "early" ? UNINJECTED : isMeshed(kind) ? MESH : PLAIN);

export async function newbornPod(
  cluster: KubernetesCluster,
  { kind, name, node }: Born,
  { round, hosts }: { readonly round: string; readonly hosts: readonly string[] },
): Promise<object> {
  const labels: Record<string, string> = { round, newborn: kind, ...(kind === "uncaught" || kind === "open" ? {} : { shut: "by-mesh" }) };
  const annotations = kind === "uncaught" ? { "traffic.sidecar.istio.io/excludeOutboundPorts": "7000" } : {};
  const pod = podOf({ namespace: isMeshed(kind) ? MESH : PLAIN, name, node, labels, annotations, args: ["newborn", name, ...hosts] });
  if (kind !== "early") return pod;
  // As it would be injected, but for the order.
  const dryRun = ["kubectl", "create", "--dry-run=server", "-o", "json", "-f", "-"] as const;
  const { code, stdout, stderr } = await cluster.run(dryRun, { input: JSON.stringify(pod) });
  assert.equal(code, 0, stderr);
  const { spec } = JSON.parse(stdout) as Pod;
  assert.deepEqual(
    spec.initContainers?.map((each) => each.name),
    [PROXY],
  );
  const before = containerOf(BEFORE, ["unborn", `${name}.${BEFORE}`, ...hosts]);
  const metadata = { ...pod.metadata, namespace: UNINJECTED };
  return { ...pod, metadata, spec: { ...spec, initContainers: [before, ...(spec.initContainers ?? [])] } };
}

/** What all of them need before they are made. */
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
    ...[MESH, UNINJECTED].flatMap((namespace) => [
      { apiVersion: "security.istio.io/v1", kind: "PeerAuthentication", metadata: { name: "shut", namespace }, spec: { selector, mtls: { mode: "STRICT" } } },
      { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "shut", namespace }, spec: { selector } },
    ]),
    programOf(UNINJECTED),
  ];
}

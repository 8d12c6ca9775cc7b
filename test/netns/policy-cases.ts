/** Random NetworkPolicies over a small world of pods, and, written without a look at the compiler, what they allow. */
import type { KubeObject } from "#model/object.ts";

export interface Place {
  /** "namespace/name"; undefined: a machine beside the nodes. */
  readonly pod: string | undefined;
  readonly namespace: string;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Names of ports: "web" may be another number in each pod. */
  readonly ports: Readonly<Record<string, { readonly protocol: "TCP" | "UDP"; readonly port: number }>>;
  /** Of a node: the pods on it, which it always reaches. */
  readonly hosts?: readonly string[];
}

export interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[];
}
interface Peer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}
interface PolicyPort {
  readonly protocol?: "TCP" | "UDP" | "SCTP";
  readonly port?: number | string;
  readonly endPort?: number;
}
interface Rule {
  readonly ports?: readonly PolicyPort[];
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
}
export interface Policy {
  readonly name: string;
  readonly namespace: string;
  readonly spec: {
    readonly podSelector: Selector;
    readonly policyTypes?: readonly ("Ingress" | "Egress")[];
    readonly ingress?: readonly Rule[];
    readonly egress?: readonly Rule[];
  };
}

export type NamespaceLabels = Readonly<Record<string, Readonly<Record<string, string>>>>;

export const namespaceLabels: NamespaceLabels = {
  x: { "kubernetes.io/metadata.name": "x", team: "red" },
  y: { "kubernetes.io/metadata.name": "y", team: "blue" },
  z: { "kubernetes.io/metadata.name": "z" },
};

export type Draw = () => number;

/** mulberry32: small, and the same everywhere. */
export function drawFrom(seed: number): Draw {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function drawPolicies(draw: Draw): readonly Policy[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(draw() * list.length)] as T;
  const some = <T>(most: number, make: () => T): T[] => Array.from({ length: Math.floor(draw() * (most + 1)) }, make);
  const pods = (): Selector =>
    pick<Selector>([
      {},
      { matchLabels: { app: "a" } },
      { matchLabels: { app: "b" } },
      { matchExpressions: [{ key: "app", operator: "In", values: ["a", "c"] }] },
      { matchExpressions: [{ key: "app", operator: "NotIn", values: ["a"] }] },
      { matchExpressions: [{ key: "canary", operator: "Exists" }] },
      { matchExpressions: [{ key: "canary", operator: "DoesNotExist" }] },
      { matchLabels: { app: "a" }, matchExpressions: [{ key: "canary", operator: "Exists" }] },
    ]);
  const namespaces = (): Selector =>
    pick<Selector>([
      {},
      { matchLabels: { team: "red" } },
      { matchLabels: { "kubernetes.io/metadata.name": "y" } },
      { matchExpressions: [{ key: "team", operator: "DoesNotExist" }] },
    ]);
  const peer = (): Peer =>
    pick<() => Peer>([
      () => ({ podSelector: pods() }),
      () => ({ namespaceSelector: namespaces() }),
      () => ({ namespaceSelector: namespaces(), podSelector: pods() }),
      () => ({ ipBlock: { cidr: "10.244.0.0/16", except: ["10.244.0.0/24"] } }),
      () => ({ ipBlock: { cidr: "10.244.1.0/25", except: ["10.244.1.8/31", "10.244.1.0/29"] } }),
      () => ({ ipBlock: { cidr: "10.244.1.0/24", except: ["10.244.1.8/29", "10.244.1.8/31", "10.244.1.1/32"] } }),
      () => ({ ipBlock: { cidr: "10.244.0.5/32" } }),
      () => ({ ipBlock: { cidr: "192.168.99.0/24" } }),
      () => ({ ipBlock: { cidr: "0.0.0.0/0", except: ["192.168.99.8/29"] } }),
    ])();
  const port = (): PolicyPort =>
    pick<PolicyPort>([
      { port: 8080 },
      { port: 8081 },
      { protocol: "UDP", port: 8080 },
      { port: "web" },
      { protocol: "UDP", port: "talk" },
      { port: "side" },
      { port: "nowhere" },
      { protocol: "SCTP", port: 8080 },
      { protocol: "SCTP" },
      { protocol: "UDP", port: "web" },
      { port: 8080, endPort: 8081 },
      { port: 1, endPort: 8080 },
      { protocol: "UDP" },
      {},
    ]);
  const rules = (side: "from" | "to"): Rule[] =>
    some(2, () => ({ ...(draw() < 0.6 ? { ports: some(2, port) } : {}), ...(draw() < 0.75 ? { [side]: some(2, peer) } : {}) }));
  const count = 1 + Math.floor(draw() * 4);
  return Array.from({ length: count }, (_, i) => {
    const policyTypes = pick<Policy["spec"]["policyTypes"]>([undefined, ["Ingress"], ["Egress"], ["Ingress", "Egress"]]);
    return {
      name: `p${i}`,
      namespace: pick(["x", "x", "y", "z"]),
      spec: {
        podSelector: pods(),
        ...(policyTypes === undefined ? {} : { policyTypes }),
        ...(draw() < 0.8 ? { ingress: rules("from") } : {}),
        ...(draw() < 0.6 ? { egress: rules("to") } : {}),
      },
    };
  });
}

/** Labels of a pod or a namespace that lives already. */
export function drawLabels(draw: Draw): Readonly<Record<string, string>> {
  const app = ["a", "b", "c"][Math.floor(draw() * 3)] ?? "a";
  return { app, ...(draw() < 0.4 ? { canary: "" } : {}) };
}

export function policyObject({ name, namespace, spec }: Policy): KubeObject {
  return { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name, namespace }, spec } as KubeObject;
}

export interface State {
  readonly policies: readonly Policy[];
  readonly labels?: NamespaceLabels;
}

/** By the words of Kubernetes' documentation, one policy and one rule after the other. */
export function isAllowed(
  { policies, labels = namespaceLabels }: State,
  from: Place,
  to: Place,
  packet: { readonly protocol: "TCP" | "UDP"; readonly port: number },
): boolean {
  if (from.ip === to.ip) return true;
  if (to.pod !== undefined && from.hosts?.includes(to.pod) === true) return true;
  return (
    passes(policies, { pod: from, type: "Egress", other: to, target: to, labels, ...packet }) &&
    passes(policies, { pod: to, type: "Ingress", other: from, target: to, labels, ...packet })
  );
}

interface Passage {
  readonly pod: Place;
  readonly type: "Ingress" | "Egress";
  readonly other: Place;
  /** Whose ports are meant. */
  readonly target: Place;
  readonly labels: NamespaceLabels;
  readonly protocol: "TCP" | "UDP";
  readonly port: number;
}

function passes(policies: readonly Policy[], passage: Passage): boolean {
  const { pod, type } = passage;
  if (pod.pod === undefined) return true;
  const isolating = policies.filter((policy) => {
    const types = policy.spec.policyTypes ?? (policy.spec.egress !== undefined && policy.spec.egress.length > 0 ? ["Ingress", "Egress"] : ["Ingress"]);
    return policy.namespace === pod.namespace && types.includes(type) && matches(policy.spec.podSelector, pod.labels);
  });
  if (isolating.length === 0) return true;
  return isolating.some((policy) => {
    const rules = (type === "Ingress" ? policy.spec.ingress : policy.spec.egress) ?? [];
    return rules.some((rule) => {
      const peers = (type === "Ingress" ? rule.from : rule.to) ?? [];
      return (peers.length === 0 || peers.some((peer) => isPeer(peer, policy.namespace, passage))) && allowsPort(rule.ports ?? [], passage);
    });
  });
}

function isPeer(peer: Peer, own: string, { other, labels }: Passage): boolean {
  if (peer.ipBlock !== undefined) return within(peer.ipBlock.cidr, other.ip) && !(peer.ipBlock.except ?? []).some((range) => within(range, other.ip));
  if (other.pod === undefined) return false;
  const inNamespace = peer.namespaceSelector === undefined ? other.namespace === own : matches(peer.namespaceSelector, labels[other.namespace] ?? {});
  return inNamespace && (peer.podSelector === undefined || matches(peer.podSelector, other.labels));
}

function allowsPort(ports: readonly PolicyPort[], { target, protocol, port }: Passage): boolean {
  if (ports.length === 0) return true;
  return ports.some((each) => {
    if ((each.protocol ?? "TCP") !== protocol) return false;
    if (each.port === undefined) return true;
    if (typeof each.port === "string") return target.ports[each.port]?.port === port && target.ports[each.port]?.protocol === protocol;
    return port >= each.port && port <= (each.endPort ?? each.port);
  });
}

function matches({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Readonly<Record<string, string>>): boolean {
  for (const [key, value] of Object.entries(matchLabels)) if (labels[key] !== value) return false;
  for (const { key, operator, values = [] } of matchExpressions) {
    const value = labels[key];
    if (operator === "In" && (value === undefined || !values.includes(value))) return false;
    if (operator === "NotIn" && value !== undefined && values.includes(value)) return false;
    if (operator === "Exists" && value === undefined) return false;
    if (operator === "DoesNotExist" && value !== undefined) return false;
  }
  return true;
}

function within(range: string, ip: string): boolean {
  const number = (text: string): number => text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const [base = "", bits = "32"] = range.split("/");
  const size = 2 ** (32 - Number(bits));
  return Math.floor(number(base) / size) === Math.floor(number(ip) / size);
}

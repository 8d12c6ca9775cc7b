/** Who a rule of a NetworkPolicy speaks of: addresses of pods, ranges, or everybody. */
import { addressed, podsOf, type AddressedPod, type NodeReader } from "#compile/node/pods.ts";
import type { NodeSettings } from "#compile/node/settings.ts";
import { containsCidr, formatCidr, parseCidr } from "#lib/ip.ts";
import type { NetworkPolicyPeer } from "#model/networking.ts";
import { matchesLabelSelector } from "#model/selectors.ts";

export type Peers =
  | { readonly kind: "anybody" }
  /** The first pod peers and ranges may both be empty: then nobody is meant. */
  | { readonly kind: "some"; readonly pods: readonly AddressedPod[]; readonly addresses: readonly string[]; readonly ranges: readonly PeerRange[] };

export interface PeerRange {
  readonly cidr: string;
  readonly except: readonly string[];
}

/** `namespace` is the policy's own. */
export function peersOf(reader: NodeReader, settings: NodeSettings, namespace: string, peers: readonly NetworkPolicyPeer[] | undefined): Peers {
  if (peers === undefined || peers.length === 0) return { kind: "anybody" };
  const pods = new Map<string, AddressedPod>();
  const addresses = new Set<string>();
  const ranges: PeerRange[] = [];
  for (const peer of peers) {
    if (peer.ipBlock !== undefined) {
      const range = rangeOf(peer.ipBlock.cidr, peer.ipBlock.except ?? []);
      if (range !== undefined) ranges.push(range);
      continue;
    }
    for (const pod of selectedPods(reader, namespace, peer)) {
      pods.set(pod.ip, pod);
      addresses.add(pod.ip);
    }
    if (meansDns(reader, namespace, peer)) addresses.add(settings.dnsAddress);
  }
  return { kind: "some", pods: [...pods.values()], addresses: [...addresses].sort(), ranges };
}

function selectedPods(reader: NodeReader, namespace: string, peer: NetworkPolicyPeer): AddressedPod[] {
  const candidates = peer.namespaceSelector === undefined ? podsOf(reader, namespace) : namespacesOf(reader, peer).flatMap((name) => podsOf(reader, name));
  return peer.podSelector === undefined ? candidates : candidates.filter(({ pod }) => matchesLabelSelector(peer.podSelector, pod.metadata.labels));
}

function namespacesOf(reader: NodeReader, peer: NetworkPolicyPeer): string[] {
  return reader
    .all("Namespace")
    .filter((each) => matchesLabelSelector(peer.namespaceSelector, labelsOf(each)))
    .map((each) => each.metadata.name);
}

/** Every API server sets the name label; files may lack it. */
function labelsOf(namespace: { readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> } }) {
  return { "kubernetes.io/metadata.name": namespace.metadata.name, ...namespace.metadata.labels };
}

/** The node answers DNS itself, where users expect a pod of kube-system with this label: policies for it keep working. */
const DNS_LABELS = { "k8s-app": "kube-dns" };

function meansDns(reader: NodeReader, namespace: string, peer: NetworkPolicyPeer): boolean {
  if (peer.podSelector !== undefined && !matchesLabelSelector(peer.podSelector, DNS_LABELS)) return false;
  if (peer.namespaceSelector === undefined) return namespace === "kube-system";
  const system = reader.get("Namespace", "kube-system") ?? { metadata: { name: "kube-system" } };
  return matchesLabelSelector(peer.namespaceSelector, labelsOf(system));
}

/** Other families than IPv4 never meet: no pod has such an address yet. */
function rangeOf(range: string, except: readonly string[]): PeerRange | undefined {
  const parsed = parseCidr(range);
  if (parsed === undefined || parsed.ip.family !== 4) return undefined;
  const excepted = except.flatMap((text) => parseCidr(text) ?? []).filter(({ ip }) => ip.family === 4);
  // Some versions of nft refuse a set of ranges that overlap, and with it the whole transaction.
  const widest = excepted.filter((each) => !excepted.some((other) => other.prefix < each.prefix && containsCidr(other, each)));
  return { cidr: formatCidr(parsed), except: [...new Set(widest.map(formatCidr))].sort() };
}

/** All pods of the cluster, for rules that allow a named port to anybody. */
export function everyPod(reader: NodeReader): AddressedPod[] {
  return addressed(reader, reader.all("Pod"));
}

/**
 * One NetworkPolicy as one chain for each direction that it isolates. A rule that matches accepts (which ends only the
 * base chain of its direction); what falls off the end was not allowed by this policy. Peers are sets, so that a rule
 * costs one lookup for any number of pods. Named ports are sets of (address, protocol, port) of those who have them.
 */
import { comment, nftName } from "#compile/node/naming.ts";
import { podsOf, uidOf, type AddressedPod, type NodeReader } from "#compile/node/pods.ts";
import type { NodeSettings } from "#compile/node/settings.ts";
import { inSet, is, isNot, type Chain, type Match, type NamedSet, type Rule } from "#lib/nft-ruleset.ts";
import type { Pod } from "#model/core.ts";
import type { Container } from "#model/pod-parts.ts";
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from "#model/networking.ts";
import type { PlanProblem } from "#model/plan/node-plan.ts";
import { formatProvenance, type Provenance } from "#model/provenance.ts";
import { everyPod, peersOf, type Peers } from "./peers.ts";
import { isolates, selects, type Direction } from "./selection.ts";

export interface PolicyRules {
  readonly chains: readonly Chain[];
  readonly sets: readonly NamedSet[];
  readonly problems: readonly PlanProblem[];
}

export function compilePolicy(reader: NodeReader, settings: NodeSettings, key: string): PolicyRules {
  const policy = reader.get("NetworkPolicy", key);
  if (policy === undefined) return { chains: [], sets: [], problems: [] };
  const directions = (["ingress", "egress"] as const).filter((direction) => isolates(policy, direction));
  const parts = directions.map((direction) => new DirectionCompiler(reader, settings, policy, direction).compile());
  return { chains: parts.flatMap((part) => part.chains), sets: parts.flatMap((part) => part.sets), problems: parts.flatMap((part) => part.problems) };
}

export function policyChain(policyKey: string, direction: Direction): string {
  return nftName(`${direction}-policy-${policyKey}`);
}

/** Match of one protocol and some ports; undefined ports: all of them. */
interface PortMatch {
  readonly matches: readonly Match[];
}

class DirectionCompiler {
  readonly #reader: NodeReader;
  readonly #settings: NodeSettings;
  readonly #policy: NetworkPolicy;
  readonly #direction: Direction;
  readonly #sets: NamedSet[] = [];
  readonly #problems: PlanProblem[] = [];

  constructor(reader: NodeReader, settings: NodeSettings, policy: NetworkPolicy, direction: Direction) {
    this.#reader = reader;
    this.#settings = settings;
    this.#policy = policy;
    this.#direction = direction;
  }

  compile(): PolicyRules {
    const spec = this.#policy.spec ?? {};
    const rules: readonly { readonly ports?: readonly NetworkPolicyPort[]; readonly peers?: readonly NetworkPolicyPeer[] }[] =
      this.#direction === "ingress"
        ? (spec.ingress ?? []).map(({ ports, from }) => ({ ...(ports && { ports }), ...(from && { peers: from }) }))
        : (spec.egress ?? []).map(({ ports, to }) => ({ ...(ports && { ports }), ...(to && { peers: to }) }));
    const compiled = rules.flatMap((rule, index) => this.#rule(index, rule.ports ?? [], rule.peers));
    const chain: Chain = { name: policyChain(this.#key, this.#direction), rules: compiled };
    return { chains: [chain], sets: this.#sets, problems: this.#problems };
  }

  get #key(): string {
    return `${this.#policy.metadata.namespace ?? ""}/${this.#policy.metadata.name}`;
  }

  #by(field: string): Provenance {
    return { kind: "NetworkPolicy", namespace: this.#policy.metadata.namespace ?? "", name: this.#policy.metadata.name, field };
  }

  #rule(index: number, ports: readonly NetworkPolicyPort[], peerList: readonly NetworkPolicyPeer[] | undefined): Rule[] {
    const field = `spec.${this.#direction}[${index}]`;
    const peers = peersOf(this.#reader, this.#settings, this.#policy.metadata.namespace ?? "", peerList);
    const portMatches = this.#ports(field, index, ports, peers);
    const note = comment(formatProvenance(this.#by(field)));
    return this.#peers(index, peers).flatMap((peer) =>
      portMatches.map((port): Rule => ({ matches: [...peer, ...port.matches], statements: [{ kind: "accept" }], comment: note })),
    );
  }

  get #peerField() {
    return this.#direction === "ingress" ? ("ip saddr" as const) : ("ip daddr" as const);
  }

  /** One list of matches for each way in which somebody can be a peer. */
  #peers(index: number, peers: Peers): Match[][] {
    if (peers.kind === "anybody") return [[]];
    const ways: Match[][] = [];
    if (peers.addresses.length > 0) {
      const name = nftName(`${this.#direction}-peers-${index}-${this.#key}`);
      this.#sets.push({ name, key: [this.#peerField], interval: false, elements: peers.addresses.map((address) => ({ key: [address] })) });
      ways.push([inSet([this.#peerField], name)]);
    }
    for (const { cidr, except } of peers.ranges) {
      ways.push([is(this.#peerField, cidr), ...(except.length > 0 ? [isNot(this.#peerField, ...except)] : [])]);
    }
    return ways;
  }

  #ports(field: string, index: number, ports: readonly NetworkPolicyPort[], peers: Peers): PortMatch[] {
    if (ports.length === 0) return [{ matches: [] }];
    const numbers: Record<"tcp" | "udp", string[] | "all"> = { tcp: [], udp: [] };
    const named: { protocol: "tcp" | "udp"; name: string }[] = [];
    for (const [i, { protocol = "TCP", port, endPort }] of ports.entries()) {
      if (protocol === "SCTP") {
        this.#problems.push({ by: this.#by(`${field}.ports[${i}].protocol`), message: "SCTP is not supported: this port allows nothing; TCP and UDP are" });
        continue;
      }
      const l4 = protocol === "UDP" ? "udp" : "tcp";
      if (typeof port === "string" && !/^[0-9]+$/.test(port)) named.push({ protocol: l4, name: port });
      else if (port === undefined) numbers[l4] = "all";
      else if (numbers[l4] !== "all") numbers[l4].push(endPort === undefined || endPort === Number(port) ? String(port) : `${port}-${endPort}`);
    }
    const matches: PortMatch[] = [];
    for (const protocol of ["tcp", "udp"] as const) {
      const list = numbers[protocol];
      if (list === "all") matches.push({ matches: [is("meta l4proto", protocol)] });
      else if (list.length > 0) matches.push({ matches: [is("meta l4proto", protocol), is("th dport", ...mergedRanges(list))] });
    }
    if (named.length > 0) matches.push(this.#namedPorts(index, named, peers));
    return matches;
  }

  #namedPorts(index: number, named: readonly { protocol: "tcp" | "udp"; name: string }[], peers: Peers): PortMatch {
    const name = nftName(`${this.#direction}-ports-${index}-${this.#key}`);
    const elements = new Map<string, { key: string[] }>();
    for (const { pod, ip } of this.#targets(peers)) {
      for (const port of servingContainers(pod).flatMap((container) => container.ports ?? [])) {
        const protocol = port.protocol === "UDP" ? "udp" : "tcp";
        if (!named.some((each) => each.name === port.name && each.protocol === protocol)) continue;
        const key = [ip, protocol, String(port.containerPort)];
        elements.set(key.join(" "), { key });
      }
    }
    this.#sets.push({
      name,
      key: ["ip daddr", "meta l4proto", "th dport"],
      interval: false,
      elements: [...elements.keys()].sort().flatMap((key) => elements.get(key) ?? []),
    });
    return { matches: [inSet(["ip daddr", "meta l4proto", "th dport"], name)] };
  }

  /** Whose port names count: the isolated pods' for ingress, the peers' for egress. A range may hold any pod; the rule's own match of the range decides. */
  #targets(peers: Peers): readonly AddressedPod[] {
    if (this.#direction === "egress") return peers.kind === "some" && peers.ranges.length === 0 ? peers.pods : everyPod(this.#reader);
    return podsOf(this.#reader, this.#policy.metadata.namespace ?? "").filter(({ pod }) => selects(this.#policy, pod) && uidOf(pod) !== "");
  }
}

/** Those that run while the pod serves: init containers that are restarted (sidecars) too. */
function servingContainers({ spec }: Pod): readonly Container[] {
  return [...(spec.containers ?? []), ...(spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always")];
}

/** Overlapping ranges in one anonymous set make nft refuse the whole transaction. */
export function mergedRanges(ranges: readonly string[]): string[] {
  const sorted = ranges
    .map((range) => range.split("-").map(Number))
    .map(([from = 0, to = from]) => ({ from, to }))
    .sort((a, b) => a.from - b.from || a.to - b.to);
  const merged: { from: number; to: number }[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && range.from <= last.to + 1) last.to = Math.max(last.to, range.to);
    else merged.push({ ...range });
  }
  return merged.map(({ from, to }) => (from === to ? String(from) : `${from}-${to}`));
}

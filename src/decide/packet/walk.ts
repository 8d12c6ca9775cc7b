/**
 * The first packet of a connection, from a socket to a socket, through the plans of the nodes on its way: out of a pod
 * (and perhaps into its proxy), through services, policies, routes and the tunnel, into a pod (and perhaps its proxy).
 * Every hop names the object that decided, and is `modelled`: the kernel runs these rules, not we.
 */
import { hop, type Hop, type Verdict } from "#decide/why/answer.ts";
import { cidr, contains, ip } from "#lib/ip.ts";
import type { NodePlan, PodWiring } from "#model/plan/node-plan.ts";
import { parseProvenance, type Provenance } from "#model/provenance.ts";
import { passHook, type Packet, type Passage, type Trace } from "./evaluate.ts";
import { nextHop } from "./route.ts";

export interface PacketQuestion {
  readonly from:
    | { readonly kind: "pod"; readonly namespace: string; readonly name: string }
    | { readonly kind: "node"; readonly node: string }
    /** A machine beside the nodes: what it sends to `ranges` (of LoadBalancer addresses) enters by `via`. */
    | { readonly kind: "outside"; readonly ip: string; readonly via: string; readonly ranges: readonly string[] };
  readonly destination: string;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
  /** SO_MARK: 0x539 for a proxy's own sockets. */
  readonly mark?: number;
  /** Of the process that sends: 1337 for a proxy on Kubernetes. */
  readonly uid?: number;
}

export interface PacketOutcome {
  /** Of 1: how likely, where chance decides. */
  readonly share: number;
  readonly verdict: Verdict;
  readonly hops: readonly Hop[];
  /** What the client sees of a denial. */
  readonly effect?: "connection refused" | "no answer";
  /** After NAT. */
  readonly destination: string;
  readonly port: number;
  /** As the receiver sees it. */
  readonly source: string;
  /** Where it ended: a pod, a node, or beyond what plans know. */
  readonly at:
    | { readonly kind: "pod"; readonly namespace: string; readonly name: string }
    | { readonly kind: "node"; readonly node: string }
    | { readonly kind: "beyond" };
  /** It was given to a proxy in that pod, "outbound" before it left the pod that sent it. */
  readonly proxy?: "outbound" | "inbound";
}

/**
 * `plans`: of every node of the cluster. With `isNetworkForeign` another product carries packets between pods and keeps policies:
 * of plans what is done inside pods holds, and their tables tell what Kubernetes asks of whoever serves Services. Throws for a
 * pod that no plan wires.
 */
export function walkPacket(plans: readonly NodePlan[], question: PacketQuestion, { isNetworkForeign = false } = {}): PacketOutcome[] {
  return new Walk(plans, isNetworkForeign).start(question);
}

/** Where a pod that calls itself through a service meets its own proxy again. */
const INBOUND_PORT = 15006;

/** A packet does not visit more hooks than this; a loop between nodes would. */
const MAX_NODES = 4;

/** On its way. */
interface Travelling {
  readonly passage: Passage;
  readonly hops: readonly Hop[];
}

class Walk {
  readonly #plans: readonly NodePlan[];
  readonly #isNetworkForeign: boolean;

  constructor(plans: readonly NodePlan[], isNetworkForeign: boolean) {
    this.#plans = plans;
    this.#isNetworkForeign = isNetworkForeign;
  }

  start(question: PacketQuestion): PacketOutcome[] {
    const { from, destination, port, protocol, mark = 0, uid } = question;
    const packet = { destination, port, protocol, mark };
    if (from.kind === "pod") {
      const { plan, pod } = this.#pod(from);
      return this.#leavePod(plan, pod, begin({ ...packet, source: pod.ip, ...(uid !== undefined && { uid }) }));
    }
    if (from.kind === "outside") return this.#fromOutside(from, packet);
    const plan = this.#plan(from.node);
    return this.#leaveNode(plan, begin({ ...packet, source: nodeSource(plan, destination) }));
  }

  /** Pods and Services have addresses that nobody beside the nodes knows a way to. */
  #fromOutside(from: Extract<PacketQuestion["from"], { kind: "outside" }>, packet: Omit<Packet, "source">): PacketOutcome[] {
    const { destination } = packet;
    const node = this.#plans.find((plan) => plan.vxlan?.local === destination);
    const isBalancer = from.ranges.some((range) => contains(cidr(range), ip(destination)));
    const entry = node ?? (isBalancer ? this.#plan(from.via) : undefined);
    const start = begin({ ...packet, source: from.ip });
    if (entry !== undefined) {
      const way = isBalancer ? withHop(start, "wire", `${from.ip} -> ${entry.node}, which answers for LoadBalancer addresses`) : start;
      return this.#arrive(entry, setLinks(way, { in: entry.vxlan?.device ?? "eth0" }), 0);
    }
    const text = `a machine outside has no way to ${destination}: only LoadBalancer addresses (${from.ranges.join(", ")}) lead into the cluster`;
    return [ended(start, { kind: "beyond" }, { name: "wire", text, verdict: "denied", effect: "no answer" })];
  }

  #plan(node: string): NodePlan {
    const plan = this.#plans.find((each) => each.node === node);
    if (plan === undefined) throw new Error(`there is no plan of node ${node}`);
    return plan;
  }

  #pod({ namespace, name }: { readonly namespace: string; readonly name: string }): { plan: NodePlan; pod: PodWiring } {
    for (const plan of this.#plans) {
      const pod = plan.pods.find((each) => each.namespace === namespace && each.name === name);
      if (pod !== undefined) return { plan, pod };
    }
    throw new Error(`pod ${namespace}/${name} has no address on any node`);
  }

  #leavePod(plan: NodePlan, pod: PodWiring, start: Travelling): PacketOutcome[] {
    const toItself = start.passage.packet.destination === pod.ip || contains(cidr("127.0.0.0/8"), ip(start.passage.packet.destination));
    return this.#through(pod.inside.tables, "output", setLinks(start, { out: toItself ? "lo" : "eth0" }), (way) => {
      const at = { kind: "pod", namespace: pod.namespace, name: pod.name } as const;
      if (way.passage.verdict !== "accept") return [refused(plan, way, at, "interception")];
      if (way.passage.redirectedTo !== undefined)
        return [
          arrived(
            withHop(way, "interception", `to the pod's proxy, port ${way.passage.redirectedTo}`),
            at,
            way.passage.redirectedTo === INBOUND_PORT ? "inbound" : "outbound",
          ),
        ];
      if (toItself) return [arrived(way, at)];
      const onItsWay = this.#isNetworkForeign ? way : withGateway(way, pod);
      return this.#arrive(plan, setLinks(onItsWay, { in: pod.hostLink, sourceMac: pod.podMac }), 0);
    });
  }

  #leaveNode(plan: NodePlan, start: Travelling): PacketOutcome[] {
    return this.#through(plan.tables, "output", start, (way) => {
      if (way.passage.verdict !== "accept") return [refused(plan, way, { kind: "node", node: plan.node }, "service")];
      return this.#route(plan, { ...way, hops: [...way.hops, ...serviceHops(plan, start, way)] }, 0, false);
    });
  }

  /** At a node, by a link. */
  #arrive(plan: NodePlan, start: Travelling, visited: number): PacketOutcome[] {
    if (visited >= MAX_NODES)
      return [
        ended(start, { kind: "node", node: plan.node }, { name: "wire", text: "the packet goes round between nodes", verdict: "denied", effect: "no answer" }),
      ];
    return this.#through(plan.tables, "prerouting", inNewNamespace(start), (way) => {
      if (way.passage.verdict !== "accept") return [refused(plan, way, { kind: "node", node: plan.node }, "service")];
      const decided = decidedEarly(way) ? policyHops(plan, way) : way;
      return this.#route(plan, { ...decided, hops: [...decided.hops, ...serviceHops(plan, start, way)] }, visited, true);
    });
  }

  #route(plan: NodePlan, travelling: Travelling, visited: number, arrivedByLink: boolean): PacketOutcome[] {
    if (this.#isNetworkForeign) return this.#carriedByOthers(travelling);
    const next = nextHop(plan, travelling.passage.packet.destination);
    const node = { kind: "node", node: plan.node } as const;
    if (next.kind === "self") {
      if (!arrivedByLink) return [arrived(travelling, node)];
      return this.#through(plan.tables, "input", travelling, (way) => [
        way.passage.verdict === "accept" ? arrived(policyHops(plan, way), node) : refused(plan, way, node, "policy out"),
      ]);
    }
    const link = next.kind === "underlay" ? (plan.vxlan?.device ?? "eth0") : next.link;
    const leaving = setLinks(travelling, { out: link });
    const onwards = (way: Travelling) =>
      this.#through(plan.tables, "postrouting", way, (out) => this.#send(plan, sourceOf(plan, next.kind, out), next, visited));
    if (!arrivedByLink) return onwards(leaving);
    return this.#through(plan.tables, "forward", leaving, (way) => {
      if (way.passage.verdict !== "accept") return [refused(plan, way, node, undefined)];
      return onwards(policyHops(plan, way));
    });
  }

  /** Addresses are the cluster's, whoever carries them. */
  #carriedByOthers(travelling: Travelling): PacketOutcome[] {
    const { destination } = travelling.passage.packet;
    for (const plan of this.#plans) {
      if (plan.vxlan?.local === destination) return [arrived(travelling, { kind: "node", node: plan.node })];
      const pod = plan.pods.find(({ ip: each }) => each === destination);
      if (pod === undefined) continue;
      const text = `to ${plan.node} by the cluster's own pod network; whether its policies let this pass, Weft cannot know`;
      return this.#enterPod(plan, pod, { ...travelling, hops: [...travelling.hops, hop("wire", text, "unknown", { by: podOf(pod) })] });
    }
    return [arrived(travelling, { kind: "beyond" })];
  }

  #send(plan: NodePlan, travelling: Travelling, next: ReturnType<typeof nextHop>, visited: number): PacketOutcome[] {
    const { packet } = travelling.passage;
    if (next.kind === "pod") {
      const pod = plan.pods.find(({ uid }) => uid === next.uid);
      if (pod === undefined) throw new Error(`node ${plan.node} has a route to a pod that it does not wire: ${next.uid}`);
      const text = `${visited === 0 ? "no tunnel, " : ""}${packet.destination} is ${pod.podMac} on ${pod.hostLink} of ${plan.node}`;
      return this.#enterPod(plan, pod, withHop(travelling, visited === 0 ? "wire" : "neighbour", text, podOf(pod)));
    }
    if (next.kind === "tunnel") {
      const mtu = plan.vxlan?.mtu ?? 0;
      const there = this.#plans.find((each) => each.vxlan?.local === next.underlay);
      if (next.underlay === undefined || there === undefined) {
        const text = next.underlay === undefined ? `${next.gateway} has no neighbour or forwarding entry` : `no node has the underlay address ${next.underlay}`;
        return [ended(travelling, { kind: "node", node: plan.node }, { name: "wire", text, verdict: "denied", effect: "no answer", by: next.by })];
      }
      const text = `${packet.source} -> vxlan vni ${plan.vxlan?.vni ?? 0} -> ${there.node}   MTU ${mtu}, neighbour known`;
      const { sourceMac: _, ...rest } = withHop(travelling, "wire", text, next.by).passage.packet;
      const wired = withHop(travelling, "wire", text, next.by);
      return this.#arrive(there, { ...wired, passage: { ...wired.passage, packet: { ...rest, in: there.vxlan?.name ?? "" } } }, visited + 1);
    }
    const neighbour = this.#plans.find((each) => each.vxlan?.local === packet.destination);
    if (neighbour !== undefined) return this.#arrive(neighbour, setLinks(travelling, { in: neighbour.vxlan?.device ?? "eth0" }), visited + 1);
    return [arrived(withHop(travelling, "wire", `leaves the cluster by ${plan.node}'s ${plan.vxlan?.device ?? "eth0"}`), { kind: "beyond" })];
  }

  #enterPod(plan: NodePlan, pod: PodWiring, travelling: Travelling): PacketOutcome[] {
    const at = { kind: "pod", namespace: pod.namespace, name: pod.name } as const;
    return this.#through(pod.inside.tables, "prerouting", inNewNamespace(setLinks(travelling, { in: "eth0" })), (way) => {
      if (way.passage.verdict !== "accept") return [refused(plan, way, at, "interception")];
      if (way.passage.redirectedTo === undefined) return [arrived(way, at)];
      return [arrived(withHop(way, "interception", `to the pod's proxy, port ${way.passage.redirectedTo}`), at, "inbound")];
    });
  }

  #through(tables: NodePlan["tables"], hook: Parameters<typeof passHook>[1], from: Travelling, then: (way: Travelling) => PacketOutcome[]): PacketOutcome[] {
    return passHook(tables, hook, { ...from.passage, trace: [] }).flatMap((passage) => then({ passage, hops: from.hops }));
  }
}

function begin(packet: Packet): Travelling {
  return { passage: { packet, share: 1, verdict: "accept", trace: [] }, hops: [] };
}

function setLinks(travelling: Travelling, links: Partial<Packet>): Travelling {
  return { ...travelling, passage: { ...travelling.passage, packet: { ...travelling.passage.packet, ...links } } };
}

/** What a namespace knows of a connection stays there. */
function inNewNamespace(travelling: Travelling): Travelling {
  const { connectionMark: _, translated: _t, ...packet } = travelling.passage.packet;
  return { ...travelling, passage: { ...travelling.passage, packet } };
}

function withHop(travelling: Travelling, name: string, text: string, by?: Provenance): Travelling {
  return { ...travelling, hops: [...travelling.hops, hop(name, text, "modelled", { by })] };
}

function podOf({ namespace, name }: Pick<PodWiring, "namespace" | "name">): Provenance {
  return { kind: "Pod", namespace, name, field: "" };
}

/** The first hop out of a pod: its default route, and who answers for the gateway. */
function withGateway(travelling: Travelling, { inside, podMac: _, ...pod }: PodWiring): Travelling {
  const route = inside.routes.find(({ destination }) => destination === "0.0.0.0/0");
  const neighbour = inside.neighbours.find(({ ip: each }) => each === route?.gateway);
  const mac = neighbour?.mac ?? pod.hostMac;
  return withHop(travelling, "neighbour", `default via ${route?.gateway ?? "its node"}, which is ${mac}   MTU ${pod.mtu}`, podOf(pod));
}

/** Masquerade takes the address of the link that the packet leaves by. */
function sourceOf(plan: NodePlan, kind: ReturnType<typeof nextHop>["kind"], travelling: Travelling): Travelling {
  const own =
    kind === "pod" ? "169.254.1.1" : kind === "tunnel" ? plan.addresses.find(({ link }) => link === plan.vxlan?.name)?.cidr.split("/")[0] : plan.vxlan?.local;
  if (travelling.passage.masqueraded !== true || own === undefined) return travelling;
  const { masqueraded: _, ...passage } = travelling.passage;
  const before = passage.packet.source;
  return withHop({ ...travelling, passage: { ...passage, packet: { ...passage.packet, source: own } } }, "source NAT", `${before} -> ${own}`);
}

/** Routes into the pod network prefer the node's address there. */
function nodeSource(plan: NodePlan, destination: string): string {
  const { kind } = nextHop(plan, destination);
  const own = plan.addresses.find(({ link }) => link === plan.vxlan?.name)?.cidr.split("/")[0];
  return ((kind === "pod" || kind === "tunnel") && own !== undefined ? own : plan.vxlan?.local) ?? "";
}

function serviceHops(plan: NodePlan, before: Travelling, after: Travelling): Hop[] {
  const dnat = after.passage.trace.find(({ effect }) => effect === "dnat");
  if (dnat === undefined) return [];
  // The last map that was looked up is the one that led to the endpoint; one before it may have let the source pass.
  const service = after.passage.trace.findLast(({ effect, table }) => effect === "map" && table === dnat.table);
  const [from, to] = [before.passage.packet, after.passage.packet];
  const by = [service?.comment, dnat.comment].map((comment) => noted(plan, comment));
  const { trace } = after.passage;
  const count = dnat.count ?? trace.findLast(({ effect }) => effect === "mark")?.count ?? 1;
  const seconds = trace.findLast(({ effect }) => effect === "learn")?.seconds;
  const kept = seconds === undefined ? "" : `; the same client stays with it, until it has not called for ${seconds} s`;
  const source = by[1] === undefined || by[1] === by[0] ? "" : `; ${by[1]}`;
  const text = `${from.destination}:${from.port} -> ${to.destination}:${to.port} (1 of ${count}${source}${kept})`;
  return [hop("service", text, "modelled", { by: by[0] })];
}

/** What is rewritten on its way into the node is decided before: by a policy that the packet has passed already. */
function decidedEarly(way: Travelling): boolean {
  return way.passage.trace.some(({ effect, chain }) => effect === "accept" && chain.startsWith("egress-"));
}

/** One hop for each direction in which a policy isolates the pod. */
function policyHops(plan: NodePlan, way: Travelling): Travelling {
  const hops = (["egress", "ingress"] as const).map((direction) => {
    const name = direction === "egress" ? "policy out" : "policy in";
    if (direction === "egress" && way.hops.some((each) => each.hop === name)) return undefined;
    const accepted = way.passage.trace.find(({ effect, chain }) => effect === "accept" && chain.startsWith(`${direction}-policy-`));
    if (accepted !== undefined) return hop(name, "allowed", "modelled", { by: noted(plan, accepted.comment) });
    const self = way.passage.trace.find(({ effect, chain }) => effect === "accept" && chain.startsWith(`${direction}-`));
    if (self !== undefined) return hop(name, `allowed: ${self.comment ?? ""}`, "modelled");
    const { source, destination } = way.passage.packet;
    const isOurs = plan.pods.some(({ ip: each }) => each === (direction === "egress" ? source : destination));
    return isOurs ? hop(name, "allowed: no policy isolates the pod", "modelled") : undefined;
  });
  return { ...way, hops: [...way.hops, ...hops.filter((each) => each !== undefined)] };
}

function refused(plan: NodePlan, way: Travelling, at: PacketOutcome["at"], name: string | undefined): PacketOutcome {
  const { trace, verdict, packet } = way.passage;
  const last = trace.at(-1);
  const logged = trace.findLast(({ effect }) => effect === "log")?.prefix;
  const drop = logged === undefined ? undefined : plan.drops[logged];
  if (drop !== undefined) {
    const where = drop.pod === undefined ? "source address" : drop.direction === "egress" ? "policy out" : "policy in";
    const allowedOut =
      drop.direction === "ingress" && !way.hops.some((each) => each.hop === "policy out")
        ? policyHops(plan, way).hops.filter((each) => each.hop === "policy out")
        : [];
    return ended({ ...way, hops: [...way.hops, ...allowedOut] }, at, {
      name: where,
      text: `DROP: ${drop.text}`,
      verdict: "denied",
      effect: "no answer",
      by: drop.policies[0],
    });
  }
  const service = trace.findLast(({ effect }) => effect === "map");
  const reason = noted(plan, service?.comment ?? last?.comment);
  const by = reason === undefined ? undefined : parseProvenance(reason);
  const why = noted(plan, last?.comment) ?? reason;
  const text =
    verdict === "reject"
      ? `REJECT ${packet.destination}:${packet.port}${by === undefined ? `: ${reason ?? ""}` : ": no endpoint is ready"}`
      : `DROP ${packet.destination}:${packet.port}${why === undefined ? "" : `: ${why}`}`;
  return ended(way, at, { name: name ?? "policy", text, verdict: "denied", effect: verdict === "reject" ? "connection refused" : "no answer", by });
}

/** A comment that was too long for the kernel stands in the plan's notes. */
function noted(plan: NodePlan, comment: Trace["comment"]): string | undefined {
  return comment === undefined ? undefined : (plan.notes[comment] ?? comment);
}

interface Ending {
  readonly name: string;
  readonly text: string;
  readonly verdict: Verdict;
  readonly effect: "connection refused" | "no answer";
  readonly by?: Provenance | undefined;
}

function ended(way: Travelling, at: PacketOutcome["at"], { name, text, verdict, effect, by }: Ending): PacketOutcome {
  return { ...arrived({ ...way, hops: [...way.hops, hop(name, text, "modelled", { by, verdict })] }, at), verdict, effect };
}

function arrived({ passage, hops }: Travelling, at: PacketOutcome["at"], proxy?: "outbound" | "inbound"): PacketOutcome {
  const { source, destination, port } = passage.packet;
  return { share: passage.share, verdict: "allowed", hops, destination, port, source, at, ...(proxy === undefined ? {} : { proxy }) };
}

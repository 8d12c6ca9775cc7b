/**
 * Composes the answer to "why": compiles the plans of the nodes and proxies on the way, and lets the very decisions of agent
 * and proxy run over them. An imagined request has no state, so where chance decides (weights, several endpoints) every
 * outcome is walked; the hops shown are those of the likeliest.
 */
import { MeshCompiler } from "#compile/xds/xds.ts";
import { workload, type Workload } from "#compile/mesh/workload.ts";
import { parseIp } from "#lib/ip.ts";
import type { Pod } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import { worldReader, type World, type WorldReader } from "#model/world.ts";
import { imaginedRequest, type ConnectionView, type PeerIdentity, type RequestView } from "#decide/request-view.ts";
import type { PacketOutcome } from "#decide/packet/walk.ts";
import { commonVerdict, hop, type Answer, type Hop, type Verdict } from "#decide/why/answer.ts";
import { decideInbound } from "#decide/why/inbound.ts";
import { decideOutbound, listenerOf, type ProxyOut, type Target } from "#decide/why/outbound.ts";
import { planView, type PlanView } from "#decide/why/plan-view.ts";
import { Network } from "./network.ts";
import type { Destination, Source } from "./places.ts";

export interface Question {
  readonly from: Source;
  readonly to: Destination;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ComposedAnswer extends Answer {
  /** "productpage-v1-7d (node-1)" */
  readonly source: string;
  readonly target: string;
  readonly identity?: string;
}

/** Where people ask a gateway, unless they name another port. */
const httpPort = 80;

/** One way the request may take, from where the last proxy sent it. */
interface Outcome {
  readonly share: number;
  readonly verdict: Verdict;
  readonly hops: readonly Hop[];
  readonly target: string;
  readonly effect?: string;
  readonly hint?: string;
}

export function answerWhy(world: World, question: Question): ComposedAnswer {
  return new Walk(world, question).answer();
}

class Walk {
  readonly #world: WorldReader;
  readonly #mesh: MeshCompiler;
  readonly #network: Network;
  readonly #question: Question;

  constructor(world: World, question: Question) {
    this.#world = worldReader(world);
    this.#mesh = new MeshCompiler(world);
    this.#network = new Network(this.#world);
    this.#question = question;
  }

  answer(): ComposedAnswer {
    const { from, to } = this.#question;
    const pod = from.kind === "pod" ? from.pod : undefined;
    const source = pod === undefined ? "outside" : describe(pod);
    const of = pod === undefined ? undefined : workload(pod);
    const base = { source, target: to.host, ...(of?.proxy === undefined ? {} : { identity: of.spiffeId }) };
    // A gateway is asked for a host; it resolves no names itself.
    if (pod !== undefined && of?.proxy === "gateway") return this.#summary(base, [], this.#throughGateway(pod, httpPort, undefined, 1));
    const resolved = this.#network.resolve(pod, to);
    if (resolved.address === undefined) return { ...base, verdict: resolved.verdict, hops: resolved.hops, effect: "the name cannot be resolved" };
    return this.#summary(base, resolved.hops, this.#leave(pod, of, resolved.address));
  }

  /** The likeliest outcome's hops; the verdict only when all outcomes agree. */
  #summary(base: Pick<ComposedAnswer, "source" | "target" | "identity">, first: readonly Hop[], outcomes: readonly Outcome[]): ComposedAnswer {
    const verdict = commonVerdict(outcomes.map((outcome) => outcome.verdict));
    const sorted = outcomes.toSorted((a, b) => Number(b.verdict === verdict) - Number(a.verdict === verdict) || b.share - a.share);
    const likeliest = sorted[0];
    if (likeliest === undefined) return { ...base, verdict: "unknown", hops: first };
    const others = outcomes.filter((outcome) => outcome.verdict !== likeliest.verdict);
    const note =
      others.length === 0
        ? []
        : [
            hop(
              "chance",
              `${percent(sum(others))} of requests end elsewhere: ${[...new Set(others.map((other) => `${other.verdict} at ${other.target}`))].join("; ")}`,
              "executed",
              { verdict: "unknown" },
            ),
          ];
    const { hops, effect, hint, target } = likeliest;
    return {
      ...base,
      target,
      verdict,
      hops: [...first, ...hops, ...note],
      ...(effect === undefined ? {} : { effect }),
      ...(hint === undefined ? {} : { hint }),
    };
  }

  /** What happens to a connection that a pod, or a machine outside, opens to this address. */
  #leave(pod: Pod | undefined, of: Workload | undefined, address: string): readonly Outcome[] {
    const { to } = this.#question;
    return this.#network.walk(pod, address, to.port, false).flatMap((way) => {
      if (way.proxy !== "outbound" || pod === undefined || of === undefined) return this.#arrive(way, { pod, peer: undefined, byProxy: false });
      const view = this.#viewOf(pod);
      const connection = connectionTo(address, to.port, { from: pod.status?.podIP });
      const listener = view === undefined ? undefined : listenerOf(view, connection);
      if (view === undefined || listener === undefined) return [dead(hop("proxy out", "the proxy has no plan", "unknown", { verdict: "unknown" }), to.host)];
      return this.#toTargets(pod, decideOutbound(view, listener, connection, this.#request()), of);
    });
  }

  #toTargets(pod: Pod, out: ProxyOut, of: Workload): readonly Outcome[] {
    if (out.targets.length === 0) {
      const verdict = out.hops.at(-1)?.verdict ?? "unknown";
      return [{ share: 1, verdict, hops: out.hops, target: this.#question.to.host, ...(out.effect === undefined ? {} : { effect: out.effect }) }];
    }
    const total = new Map<string, number>();
    for (const { cluster } of out.targets) total.set(cluster, (total.get(cluster) ?? 0) + 1);
    return out.targets.flatMap((target) => {
      const at = hop("endpoint", endpointText(target, total.get(target.cluster) ?? 1), "executed", { by: target.by });
      const peer: PeerIdentity | undefined = target.usesTls ? { uris: [of.spiffeId], dnsNames: [], subject: "" } : undefined;
      const client: Client = { pod, peer, byProxy: true };
      const effect = target.isHttp ? "503" : "connection closed";
      return this.#network
        .walk(pod, target.address, target.port, true)
        .flatMap((way) => this.#arrive({ ...way, share: way.share * target.share }, client))
        .map((outcome) => ({
          ...outcome,
          ...(outcome.effect === undefined || outcome.effect === "403" ? {} : { effect }),
          hops: [...out.hops, at, ...outcome.hops],
        }));
    });
  }

  /** Whoever is at the end of a packet's way takes the connection. */
  #arrive(way: PacketOutcome, client: Client): readonly Outcome[] {
    const { share, hops, at, destination: address, port } = way;
    const receiver = at.kind === "pod" ? this.#world.get("Pod", `${at.namespace}/${at.name}`) : undefined;
    const target = receiver === undefined ? `${address}:${port}` : describe(receiver);
    if (way.verdict !== "allowed")
      return [{ share, verdict: way.verdict, hops, target: this.#nameOf(address) ?? target, ...(way.effect === undefined ? {} : { effect: way.effect }) }];
    if (receiver === undefined) {
      const text = `${address}:${port} is no pod of this cluster: what answers there, Weft cannot know`;
      return [{ share, verdict: "unknown", hops: [...hops, hop("beyond", text, "unknown", { verdict: "unknown" })], target }];
    }
    const of = workload(receiver);
    if (of.proxy === "gateway")
      return this.#throughGateway(receiver, port, way.source, share).map((outcome) => ({ ...outcome, hops: [...hops, ...outcome.hops] }));
    if (way.proxy !== "inbound") {
      if (client.peer === undefined) return [{ share, verdict: "allowed", hops, target }];
      const text = `DENIED: the client's proxy speaks mTLS, and no proxy answers at ${address}:${port}`;
      return [{ share, verdict: "denied", hops: [...hops, hop("mTLS", text, "executed", { verdict: "denied" })], target, effect: "connection closed" }];
    }
    const view = this.#viewOf(receiver);
    if (view === undefined)
      return [{ share, verdict: "unknown", hops: [...hops, hop("proxy in", "the proxy has no plan", "unknown", { verdict: "unknown" })], target }];
    const decided = decideInbound(view, connectionTo(address, port, { from: way.source, peer: client.peer }), this.#request());
    const { effect, hint } = decided;
    const verdict = decided.hops.at(-1)?.verdict ?? "unknown";
    return [{ share, verdict, hops: [...hops, ...decided.hops], target, ...(effect === undefined ? {} : { effect }), ...(hint === undefined ? {} : { hint }) }];
  }

  /** A packet that was dropped on its way never came to the pod it was for. */
  #nameOf(address: string): string | undefined {
    const pod = this.#world.all("Pod").find(({ spec, status }) => status?.podIP === address && spec.hostNetwork !== true);
    return pod === undefined ? undefined : describe(pod);
  }

  #throughGateway(gateway: Pod, port: number, client: string | undefined, share: number): readonly Outcome[] {
    const view = this.#viewOf(gateway);
    if (view === undefined) return [dead(hop("gateway", "the gateway has no plan", "unknown", { verdict: "unknown" }), describe(gateway))];
    const listenPort = this.#network.gatewayPort(gateway, port);
    const listener = view.listener(`0.0.0.0_${listenPort}`);
    if (listener === undefined) {
      const text = `no Gateway asks for port ${port}: nothing listens on ${listenPort}`;
      return [{ ...dead(hop("gateway", text, "executed", { verdict: "denied" }), describe(gateway)), share, effect: "connection refused" }];
    }
    const connection = connectionTo(gateway.status?.podIP ?? "", listenPort, { from: client });
    const out = decideOutbound(view, listener, connection, this.#request());
    const renamed: ProxyOut = { ...out, hops: out.hops.map((each) => (each.hop === "proxy out" ? { ...each, hop: "gateway" } : each)) };
    return this.#toTargets(gateway, renamed, workload(gateway)).map((outcome) => ({ ...outcome, share: outcome.share * share }));
  }

  #viewOf(pod: Pod): PlanView | undefined {
    const plan = this.#mesh.plan(objectKey(pod));
    return plan === undefined ? undefined : planView(plan);
  }

  #request(): RequestView {
    const { to, method, path, headers } = this.#question;
    const { host: own, ...rest } = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    return imaginedRequest({ method, path, authority: own ?? (to.port === 80 ? to.host : `${to.host}:${to.port}`), headers: rest });
  }
}

/** Who opens a connection. */
interface Client {
  /** undefined: a machine outside. */
  readonly pod: Pod | undefined;
  /** The identity that its proxy shows. */
  readonly peer: PeerIdentity | undefined;
  readonly byProxy: boolean;
}

function dead(last: Hop, target: string): Outcome {
  return { share: 1, verdict: last.verdict, hops: [last], target };
}

function connectionTo(
  address: string,
  port: number,
  { from, peer }: { readonly from?: string | undefined; readonly peer?: PeerIdentity | undefined },
): ConnectionView {
  const remote = { ip: from === undefined ? undefined : parseIp(from), port: 0 };
  return {
    destination: { ip: parseIp(address), port },
    directRemote: remote,
    remote,
    serverName: undefined,
    transportProtocol: peer === undefined ? "raw_buffer" : "tls",
    applicationProtocols: peer === undefined ? [] : ["istio"],
    peer,
  };
}

function endpointText({ address, port, share }: Target, count: number): string {
  return `${address}:${port} (${count === 1 ? "1 of 1" : `1 of ${count}, ${percent(share)}`})`;
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10}%`;
}

function sum(outcomes: readonly Outcome[]): number {
  return outcomes.reduce((total, { share }) => total + share, 0);
}

export function describe(pod: Pod): string {
  return `${pod.metadata.name} (${pod.spec.nodeName ?? "no node yet"})`;
}

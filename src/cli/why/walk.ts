/**
 * Composes the answer to "why": compiles the plans of the nodes and proxies on the way, and lets the very decisions of agent
 * and proxy run over them. An imagined request has no state, so where chance decides (weights, several endpoints) every
 * outcome is walked; the hops shown are those of the likeliest.
 */
import { MeshCompiler } from "#compile/xds/xds.ts";
import { workload } from "#compile/mesh/workload.ts";
import { parseIp } from "#lib/ip.ts";
import type { Pod } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import { worldReader, type World, type WorldReader } from "#model/world.ts";
import { imaginedRequest, type ConnectionView, type ImaginedRequest, type PeerIdentity } from "#decide/request-view.ts";
import type { PacketOutcome } from "#decide/packet/walk.ts";
import { hop, type Hint, type Hop, type Verdict } from "#decide/why/answer.ts";
import { decideInbound } from "#decide/why/inbound.ts";
import { decideOutbound, listenerOf, type ProxyOut, type Target } from "#decide/why/outbound.ts";
import { planView, type PlanView } from "#decide/why/plan-view.ts";
import { applicationHop } from "./application.ts";
import { notIntercepted, withInterceptor } from "./interception.ts";
import { Network, type WhySettings } from "./network.ts";
import { percent } from "./shares.ts";
import type { Source } from "./places.ts";
import type { Question } from "./question.ts";

/** One way the request may take, and where it ends. */
export interface Outcome {
  readonly share: number;
  readonly verdict: Verdict;
  readonly hops: readonly Hop[];
  readonly target: string;
  readonly effect?: string;
  readonly hint?: Hint;
}

/** Where people ask a gateway, unless they name another port. */
const HTTP_PORT = 80;
const HTTPS_PORT = 443;

/** All ways, with shares that add up to 1. */
export function walkQuestion(world: World, question: Question, settings: WhySettings): readonly Outcome[] {
  return new Walk(world, question, settings).outcomes();
}

/** Who opens a connection. */
interface Client {
  /** The identity that its proxy shows; undefined: it speaks no mTLS. */
  readonly peer: PeerIdentity | undefined;
  readonly request: ImaginedRequest;
}

class Walk {
  readonly #world: WorldReader;
  readonly #mesh: MeshCompiler;
  readonly #network: Network;
  readonly #question: Question;

  constructor(world: World, question: Question, settings: WhySettings) {
    this.#world = worldReader(world);
    this.#mesh = new MeshCompiler(world);
    this.#network = new Network(this.#world, settings);
    this.#question = question;
  }

  outcomes(): readonly Outcome[] {
    const { from, to } = this.#question;
    if (to.nowhere !== undefined) {
      const last = hop("name", to.nowhere.text, "executed", { by: to.nowhere.by, verdict: "denied" });
      const hint = { text: "go through a gateway (weft why outside gateway), call from a pod, or make the Service's type LoadBalancer" };
      return [{ ...dead(last, to.host, 1), effect: "no such name", hint }];
    }
    // A gateway is asked for a host; it resolves no names itself.
    if (from.kind === "pod" && workload(from.pod).proxy === "gateway")
      return this.#throughGateway(from.pod, undefined, undefined, { request: this.#request(), share: 1 });
    const resolved = this.#network.resolve(from, to);
    if (resolved.addresses.length === 0) {
      const effect = resolved.verdict === "denied" ? { effect: "no such name" } : {};
      return [{ share: 1, verdict: resolved.verdict, hops: resolved.hops, target: to.host, ...effect }];
    }
    return resolved.addresses.flatMap(({ address, hop: named }) =>
      this.#leave(from, address).map((outcome) => ({ ...outcome, share: outcome.share / resolved.addresses.length, hops: [named, ...outcome.hops] })),
    );
  }

  /** What happens to a connection that is opened to this address. */
  #leave(from: Source, address: string): readonly Outcome[] {
    const { to } = this.#question;
    const request = this.#request();
    return this.#network.walk(from, { destination: address, port: to.port, protocol: to.protocol, byProxy: false }).flatMap((way) => {
      if (from.kind !== "pod") return this.#arrive(way, { peer: undefined, request });
      if (way.proxy !== "outbound") return after([notIntercepted(from.pod, to.protocol, this.#world)], this.#arrive(way, { peer: undefined, request }));
      const view = this.#viewOf(from.pod);
      const connection = this.#connection(address, to.port, { from: from.pod.status?.podIP });
      const listener = view === undefined ? undefined : listenerOf(view, connection);
      if (view === undefined || listener === undefined)
        return [dead(hop("proxy out", "the proxy has no plan", "unknown", { verdict: "unknown" }), to.host, way.share)];
      const out = decideOutbound("proxy out", view, listener, connection, request);
      return after(withInterceptor(way.hops, from.pod), this.#toTargets(from.pod, out, way.share));
    });
  }

  /** Where a proxy sends it on. */
  #toTargets(pod: Pod, out: ProxyOut, all: number): readonly Outcome[] {
    const of = workload(pod);
    const ended = out.deadEnds.map((end): Outcome => {
      const { effect } = end;
      const target = this.#question.to.host;
      const hint = out.hint === undefined ? {} : { hint: out.hint };
      return { share: end.share * all, verdict: end.hop.verdict, hops: [...out.hops, end.hop], target, effect, ...hint };
    });
    const total = new Map<string, number>();
    for (const { cluster } of out.targets) total.set(cluster, (total.get(cluster) ?? 0) + 1);
    const reached = out.targets.flatMap((target) => {
      const hops = [...out.hops, endpointHop(target, this.#nameOf(target.address), total.get(target.cluster) ?? 1), identityHop(target, of.spiffeId)];
      const peer: PeerIdentity | undefined = target.usesTls ? { uris: [of.spiffeId], dnsNames: [], subject: "" } : undefined;
      const connection = { destination: target.address, port: target.port, protocol: "tcp", byProxy: true } as const;
      return this.#network
        .walk({ kind: "pod", pod }, connection)
        .flatMap((way) => this.#arrive({ ...way, share: way.share * target.share * all }, { peer, request: target.request }))
        .map((outcome) => ({ ...outcome, ...seenByClient(outcome, target), hops: [...hops, ...outcome.hops] }));
    });
    return [...reached, ...ended];
  }

  /** Whoever is at the end of a packet's way takes the connection. */
  #arrive(way: PacketOutcome, client: Client): readonly Outcome[] {
    const { share, hops, at, destination: address, port } = way;
    const receiver = at.kind === "pod" ? this.#world.get("Pod", `${at.namespace}/${at.name}`) : undefined;
    const target = receiver === undefined ? `${address}:${port}` : describe(receiver);
    if (way.verdict !== "allowed") {
      const effect = way.effect === undefined ? {} : { effect: way.effect };
      return [{ share, verdict: way.verdict, hops, target: this.#nameOf(address) ?? target, ...effect }];
    }
    if (receiver === undefined) return [this.#beyond(way)];
    if (workload(receiver).proxy === "gateway" && this.#question.to.protocol === "tcp")
      return after(hops, this.#throughGateway(receiver, port, way.source, { request: client.request, share }));
    if (way.proxy === "inbound") return [this.#throughSidecar(receiver, way, client)];
    if (client.peer !== undefined) {
      const text = `DENIED: the client's proxy speaks mTLS, and no proxy answers at ${address}:${port}`;
      return [{ share, verdict: "denied", hops: [...hops, hop("mTLS", text, "executed", { verdict: "denied" })], target, effect: "connection closed" }];
    }
    return [this.#atApplication(receiver, way, { share, verdict: "allowed", hops, target })];
  }

  #beyond({ share, hops, at, destination, port }: PacketOutcome): Outcome {
    const text =
      at.kind === "node"
        ? `${destination}:${port} is node ${at.node} itself: what answers there, Weft cannot know`
        : `${destination}:${port} is no pod of this cluster: what answers there, Weft cannot know`;
    return { share, verdict: "unknown", hops: [...hops, hop("beyond", text, "unknown", { verdict: "unknown" })], target: `${destination}:${port}` };
  }

  #throughSidecar(receiver: Pod, way: PacketOutcome, { peer, request }: Client): Outcome {
    const { share, destination, port, source } = way;
    const hops = withInterceptor(way.hops, receiver);
    const target = describe(receiver);
    const view = this.#viewOf(receiver);
    if (view === undefined) {
      const last = hop("proxy in", "the proxy has no plan", "unknown", { verdict: "unknown" });
      return { share, verdict: "unknown", hops: [...hops, last], target };
    }
    const decided = decideInbound(view, this.#connection(destination, port, { from: source, peer }), request);
    const { effect, hint } = decided;
    const verdict = decided.hops.at(-1)?.verdict ?? "unknown";
    const outcome: Outcome = {
      share,
      verdict,
      hops: [...hops, ...decided.hops],
      target,
      ...(effect === undefined ? {} : { effect }),
      ...(hint === undefined ? {} : { hint }),
    };
    return verdict === "allowed" ? this.#atApplication(receiver, way, outcome) : outcome;
  }

  /** Only what is odd about it is worth a line. */
  #atApplication(receiver: Pod, { port }: PacketOutcome, outcome: Outcome): Outcome {
    const services = this.#world.inNamespace("Service", receiver.metadata.namespace ?? "");
    const last = applicationHop(receiver, port, this.#question.to.protocol, services);
    return last === undefined ? outcome : { ...outcome, verdict: last.verdict, hops: [...outcome.hops, last] };
  }

  /** `port`: of the pod; undefined: where it listens for what its Service takes on port 80. */
  #throughGateway(
    gateway: Pod,
    port: number | undefined,
    client: string | undefined,
    { request, share }: { readonly request: ImaginedRequest; readonly share: number },
  ): readonly Outcome[] {
    const view = this.#viewOf(gateway);
    if (view === undefined) return [dead(hop("gateway", "the gateway has no plan", "unknown", { verdict: "unknown" }), describe(gateway), share)];
    const listenPort = port ?? this.#network.gatewayPort(gateway, this.#question.tls === true ? HTTPS_PORT : HTTP_PORT);
    const listener = view.listener(`0.0.0.0_${listenPort}`);
    if (listener === undefined) {
      const open = view.listeners().map(({ name }) => name.replace(/^.*_/, ""));
      const text = `no Gateway asks for this port: nothing listens on ${listenPort}${open.length === 0 ? "" : ` (on ${open.join(", ")} something does)`}`;
      return [{ ...dead(hop("gateway", text, "executed", { verdict: "denied" }), describe(gateway), share), effect: "connection refused" }];
    }
    const connection = this.#connection(gateway.status?.podIP ?? "", listenPort, { from: client });
    const out = decideOutbound("gateway", view, listener, connection, request);
    return this.#toTargets(gateway, out, share);
  }

  #viewOf(pod: Pod): PlanView | undefined {
    const plan = this.#mesh.plan(objectKey(pod));
    return plan === undefined ? undefined : planView(plan);
  }

  /** A packet that was dropped on its way never came to the pod it was for. */
  #nameOf(address: string): string | undefined {
    const pod = this.#world.all("Pod").find(({ spec, status }) => status?.podIP === address && spec.hostNetwork !== true);
    return pod === undefined ? undefined : describe(pod);
  }

  #request(): ImaginedRequest {
    const { to, method, path, headers } = this.#question;
    const { host: own, ...rest } = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    const isDefault = to.port === (this.#question.tls === true ? HTTPS_PORT : HTTP_PORT);
    return imaginedRequest({ method, path, authority: own ?? to.authority ?? (isDefault ? to.host : `${to.host}:${to.port}`), headers: rest });
  }

  #connection(address: string, port: number, { from, peer }: { readonly from?: string | undefined; readonly peer?: PeerIdentity | undefined }): ConnectionView {
    const remote = { ip: from === undefined ? undefined : parseIp(from), port: 0 };
    const ownTls = this.#question.tls === true;
    return {
      destination: { ip: parseIp(address), port },
      directRemote: remote,
      remote,
      serverName: ownTls ? this.#question.to.host : undefined,
      transportProtocol: peer === undefined && !ownTls ? "raw_buffer" : "tls",
      applicationProtocols: peer !== undefined ? ["istio"] : ownTls ? ["http/1.1"] : [],
      peer,
    };
  }
}

function after(hops: readonly Hop[], outcomes: readonly Outcome[]): readonly Outcome[] {
  return outcomes.map((outcome) => ({ ...outcome, hops: [...hops, ...outcome.hops] }));
}

function dead(last: Hop, target: string, share: number): Outcome {
  return { share, verdict: last.verdict, hops: [last], target };
}

/** What a proxy makes of a failure to connect, for its client. */
function seenByClient({ effect, verdict }: Outcome, { isHttp, connectSeconds }: Target): { readonly effect?: string } {
  if (verdict !== "denied" || effect === undefined || /^\d/.test(effect)) return effect === undefined ? {} : { effect };
  const seen = isHttp ? "503" : "connection closed";
  return { effect: effect === "no answer" ? `${seen} after ${connectSeconds} s` : seen };
}

function endpointHop({ address, port, share, by, cluster }: Target, pod: string | undefined, count: number): Hop {
  if (count === 1 && by === undefined) return hop("endpoint", `${address}:${port}, where it was going (${cluster})`, "executed");
  const chance = share >= 1 ? "1 of 1" : `1 of ${count}, ${percent(share)}`;
  return hop("endpoint", `${address}:${port}${pod === undefined ? "" : ` ${pod}`} (${chance})`, "executed", { by });
}

/** How the client's side speaks, and who says so. */
function identityHop({ usesTls, tlsBy, by }: Target, spiffeId: string): Hop {
  const origin =
    tlsBy === undefined
      ? by === undefined
        ? "a connection passed through is left as it is"
        : usesTls
          ? "a proxy answers there"
          : "no proxy answers there, or it takes none"
      : "so says the rule";
  return hop("identity", usesTls ? `mTLS as ${spiffeId}: ${origin}` : `plain text, no identity: ${origin}`, "executed", { by: tlsBy });
}

export function describe(pod: Pod): string {
  return `${pod.metadata.name} (${pod.spec.nodeName ?? "no node yet"})`;
}

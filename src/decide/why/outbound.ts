/** What a client's proxy, or a gateway, does with a connection: listener, chain, access, route, cluster, endpoints. The proxy's own decisions. */
import type { Provenance } from "#model/provenance.ts";
import { parseProvenance } from "#model/provenance.ts";
import { Cluster_DiscoveryType, type Cluster } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { LbEndpoint } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import type { Listener } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { endpointShares, makeBalancer } from "#decide/endpoint/endpoint.ts";
import { provenanceOf } from "#decide/provenance-of.ts";
import { changedRequest, type ConnectionView, type ImaginedRequest } from "#decide/request-view.ts";
import { compileClusterChoice } from "#decide/route/cluster-choice.ts";
import { compileRedirect } from "#decide/route/rewrite.ts";
import { compileRouteTable, NO_VIRTUAL_HOST, type RouteEntry } from "#decide/route/route-table.ts";
import { formatIp } from "#lib/ip.ts";
import { decideAccess } from "./access.ts";
import { hop, type Hint, type Hop } from "./answer.ts";
import { chainFor, type Chain, type HttpEnd } from "./chain.ts";
import type { PlanView } from "./plan-view.ts";
import { forwardedRequest, receivedRequest } from "./received.ts";

/** One place where the connection may end, with how likely that is. */
export interface Target {
  readonly address: string;
  readonly port: number;
  /** "namespace/name" of the Pod, when known. */
  readonly pod: string | undefined;
  readonly share: number;
  readonly cluster: string;
  readonly usesTls: boolean;
  /** What says whether the client speaks mTLS; absent: the mesh does so by itself where a proxy answers. */
  readonly tlsBy: string | undefined;
  readonly by: Provenance | undefined;
  readonly isHttp: boolean;
  /** As it is sent on. */
  readonly request: ImaginedRequest;
  /** How long the proxy waits for a connection, in seconds. */
  readonly connectSeconds: number;
}

/** A part of the traffic that ends at this proxy. */
export interface DeadEnd {
  readonly share: number;
  readonly hop: Hop;
  /** What the client sees. */
  readonly effect: string;
}

export interface ProxyOut {
  readonly hops: readonly Hop[];
  readonly targets: readonly Target[];
  readonly deadEnds: readonly DeadEnd[];
  readonly hint?: Hint;
}

/** The listener of an intercepted connection's original destination: its own address, then any address on its port, then the catch-all. */
export function listenerOf(view: PlanView, connection: ConnectionView): Listener | undefined {
  const { ip, port } = connection.destination;
  const address = ip === undefined ? "" : formatIp(ip);
  return view.listener(`${address}_${port}`) ?? view.listener(`0.0.0.0_${port}`) ?? view.listener("virtualOutbound");
}

/** `name`: of the hop, "proxy out" or "gateway". */
export function decideOutbound(name: string, view: PlanView, listener: Listener, connection: ConnectionView, request: ImaginedRequest): ProxyOut {
  const chain = chainFor(listener, connection, view);
  const place = `listener ${listener.name}`;
  if (chain === undefined) return dead([], hop(name, `${place}: no filter chain takes the connection`, "executed", { verdict: "denied" }), "connection closed");
  const by = chain.by ?? provenanceOf(listener.metadata);
  const { end } = chain;
  const mismatch = tlsMismatch(chain, connection);
  if (mismatch !== undefined) return dead([], hop(name, `${place}: ${mismatch.text}`, "executed", { by, verdict: "denied" }), mismatch.effect);
  if (end.kind === "unknown")
    return dead([], hop(name, `${place}: what ${end.filters.join(", ")} does is not known here`, "unknown", { verdict: "unknown" }), "?");
  const first = hop(name, end.kind === "http" ? `${place}, HTTP` : `${place}, TCP to ${shortCluster(end.cluster)}`, "executed", { by });
  if (chain.networkRbac.length > 0) {
    const access = decideAccess("access", chain.networkRbac, connection, undefined);
    if (access.effect !== undefined) return { ...dead([first], access.hop, access.effect), ...(access.hint === undefined ? {} : { hint: access.hint }) };
  }
  const outbound = { view, connection, isHttp: end.kind === "http" };
  if (end.kind === "tcp") return toClusters([{ cluster: end.cluster, share: 1, request }], [first], outbound, first.by);
  return decideRequest(end, first, outbound, chain.usesTls ? changedRequest(request, { scheme: "https" }) : request);
}

/** What the client itself speaks, and what the chain reads, are not the same. */
function tlsMismatch({ usesTls, end }: Chain, { transportProtocol, peer }: ConnectionView): { readonly text: string; readonly effect: string } | undefined {
  const speaksTls = transportProtocol === "tls" && peer === undefined;
  if (usesTls && !speaksTls) return { text: "it ends TLS, and the client speaks none", effect: "connection closed" };
  if (speaksTls && !usesTls && end.kind === "http") return { text: "it reads HTTP, and the client speaks TLS", effect: "400" };
  return undefined;
}

interface Outbound {
  readonly view: PlanView;
  readonly connection: ConnectionView;
  readonly isHttp: boolean;
}

function decideRequest(end: HttpEnd, first: Hop, outbound: Outbound, sent: ImaginedRequest): ProxyOut {
  const received = receivedRequest(end, sent, outbound.connection);
  if (received === undefined) return dead([first], hop("route", `the path ${sent.path} cannot be normalized`, "executed", { verdict: "denied" }), "400");
  const hops = [first];
  if (end.rbac.length > 0) {
    const access = decideAccess("access", end.rbac, received.connection, received.request);
    if (access.effect !== undefined) return { ...dead(hops, access.hop, access.effect), ...(access.hint === undefined ? {} : { hint: access.hint }) };
    hops.push(access.hop);
  }
  return decideRoute(end, hops, outbound, received.request);
}

function decideRoute({ routes: config, routesName }: HttpEnd, hops: readonly Hop[], outbound: Outbound, request: ImaginedRequest): ProxyOut {
  if (config === undefined) return dead(hops, hop("route", `routes "${routesName}" are not there`, "executed", { verdict: "denied" }), "404");
  const table = compileRouteTable(config);
  const index = table.match(request, 0);
  const entry = table.entries[index];
  if (entry === undefined) {
    const what = `${request.method} ${request.path} of ${request.authority}`;
    const text = index === NO_VIRTUAL_HOST ? `no host ${request.authority} in routes "${config.name}"` : `no route for ${what} in routes "${config.name}"`;
    return dead(hops, hop("route", text, "executed", { verdict: "denied" }), "404");
  }
  const { action } = entry.route;
  const name = routeName(entry);
  switch (action.case) {
    case "directResponse": {
      const { status, body } = action.value;
      const said = body?.specifier.case === "inlineString" && body.specifier.value !== "" ? `: ${body.specifier.value}` : "";
      const text = `${name} answers ${status} itself${said}`;
      return dead(hops, hop("route", text, "executed", { by: entry.by, verdict: status < 400 ? "allowed" : "denied" }), String(status));
    }
    case "redirect": {
      const { status, location } = compileRedirect(entry.route, action.value, entry.path)(request);
      return dead(hops, hop("route", `${name} redirects to ${location}`, "executed", { by: entry.by }), String(status));
    }
    case "route": {
      const { shares } = compileClusterChoice(action.value, entry.path);
      const clusters = shares.map(({ cluster, share }, i) => ({ cluster, share, request: forwardedRequest(entry, config, i, request) }));
      const seconds = Number(action.value.timeout?.seconds ?? 0n) + (action.value.timeout?.nanos ?? 0) / 1e9;
      const text = [
        `${name} to ${clusters.map(clusterShare).join(", ")}`,
        ...changes(request, clusters[0]?.request),
        ...(seconds > 0 ? [`timeout ${seconds} s`] : []),
      ];
      return toClusters(clusters, [...hops, hop("route", text.join("; "), "executed", { by: entry.by })], outbound, undefined);
    }
    default:
      return dead(hops, hop("route", `${name} does what is not known here`, "unknown", { by: entry.by, verdict: "unknown" }), "?");
  }
}

function routeName({ route, virtualHost }: RouteEntry): string {
  return route.name === "" ? `a route of ${virtualHost.name}` : `route "${route.name}"`;
}

function clusterShare({ cluster, share }: { readonly cluster: string; readonly share: number }): string {
  return share === 1 ? shortCluster(cluster) : `${shortCluster(cluster)} (${Math.round(share * 1000) / 10}%)`;
}

/** What the route makes of the request. */
function changes(before: ImaginedRequest, after: ImaginedRequest | undefined): readonly string[] {
  if (after === undefined) return [];
  const had = new Map(before.headers.entries());
  const has = new Map(after.headers.entries());
  const names = [...new Set([...had.keys(), ...has.keys()])].filter((name) => had.get(name) !== has.get(name));
  return [
    ...(after.path === before.path ? [] : [`path becomes ${after.path}`]),
    ...(after.authority === before.authority ? [] : [`host becomes ${after.authority}`]),
    ...names.map((name) => (has.has(name) ? `${name}: ${has.get(name) ?? ""}` : `without ${name}`)),
  ];
}

interface ClusterTarget {
  readonly cluster: string;
  readonly share: number;
  readonly request: ImaginedRequest;
}

function toClusters(shares: readonly ClusterTarget[], hops: readonly Hop[], outbound: Outbound, by: Provenance | undefined): ProxyOut {
  const targets: Target[] = [];
  const deadEnds: DeadEnd[] = [];
  for (const target of shares.filter(({ share }) => share > 0)) {
    const cluster = outbound.view.cluster(target.cluster);
    const found = cluster === undefined ? [] : targetsOf(cluster, target, outbound);
    targets.push(...found);
    if (found.length > 0) continue;
    const text = cluster === undefined ? `there is no ${shortCluster(target.cluster)}` : `${shortCluster(target.cluster)} has no endpoint that is ready`;
    const source = provenanceOf(cluster?.metadata) ?? by ?? hops.at(-1)?.by;
    deadEnds.push({
      share: target.share,
      hop: hop("endpoint", text, "executed", { by: source, verdict: "denied" }),
      effect: outbound.isHttp ? "503" : "connection closed",
    });
  }
  return { hops, targets, deadEnds };
}

function targetsOf(cluster: Cluster, { share, request }: ClusterTarget, { view, connection, isHttp }: Outbound): readonly Target[] {
  const type = cluster.clusterDiscoveryType.case === "type" ? cluster.clusterDiscoveryType.value : undefined;
  const tlsBy = cluster.metadata?.filterMetadata["weft.dev"]?.["tls"];
  const common = {
    cluster: cluster.name,
    tlsBy: typeof tlsBy === "string" ? tlsBy : undefined,
    isHttp,
    request,
    connectSeconds: Number(cluster.connectTimeout?.seconds ?? 5n),
  };
  if (type === Cluster_DiscoveryType.ORIGINAL_DST) {
    const { ip, port } = connection.destination;
    return ip === undefined ? [] : [{ ...common, address: formatIp(ip), port, pod: undefined, share, usesTls: false, by: undefined }];
  }
  const groups = view.endpoints(cluster.name)?.endpoints ?? cluster.loadAssignment?.endpoints ?? [];
  const states = groups.flatMap((group) =>
    group.lbEndpoints.map((endpoint) => ({ endpoint, weight: endpoint.loadBalancingWeight ?? 1, healthy: true, active: 0 })),
  );
  const balancer = makeBalancer({ kind: "round-robin" }, [states], 0.5);
  return endpointShares(balancer).flatMap(({ endpoint: { endpoint }, share: part }) => {
    const target = targetOf(endpoint, cluster);
    return target === undefined ? [] : [{ ...common, ...target, share: share * part }];
  });
}

function targetOf(endpoint: LbEndpoint, cluster: Cluster): Pick<Target, "address" | "port" | "pod" | "usesTls" | "by"> | undefined {
  const address = endpoint.hostIdentifier.case === "endpoint" ? endpoint.hostIdentifier.value.address?.address : undefined;
  if (address?.case !== "socketAddress" || address.value.portSpecifier.case !== "portValue") return undefined;
  const by = provenanceOf(endpoint.metadata);
  const pod = endpoint.metadata?.filterMetadata["weft.dev"]?.["pod"];
  return {
    address: address.value.address,
    port: address.value.portSpecifier.value,
    pod: typeof pod === "string" ? pod : undefined,
    usesTls: usesTls(endpoint, cluster),
    by: by === undefined ? undefined : parseProvenance(by),
  };
}

/** The first match whose every key the endpoint's metadata has, as the proxy chooses. */
function usesTls(endpoint: LbEndpoint, cluster: Cluster): boolean {
  const metadata = endpoint.metadata?.filterMetadata["envoy.transport_socket_match"] ?? {};
  const match = cluster.transportSocketMatches.find(({ match: wanted = {} }) => Object.entries(wanted).every(([key, value]) => metadata[key] === value));
  return (match?.transportSocket ?? cluster.transportSocket)?.name === "envoy.transport_sockets.tls";
}

/** "outbound|9080|v1|reviews.default.svc.cluster.local" as "reviews.default:9080 subset v1". */
function shortCluster(name: string): string {
  const [direction, port, subset, host] = name.split("|");
  if (direction !== "outbound" || host === undefined) return name;
  return `${host.replace(/\.svc\.cluster\.local$/, "")}:${port ?? ""}${subset === "" ? "" : ` subset ${subset ?? ""}`}`;
}

function dead(hops: readonly Hop[], last: Hop, effect: string): ProxyOut {
  return { hops, targets: [], deadEnds: [{ share: 1, hop: last, effect }] };
}

/** What a client's proxy does with a connection: listener, chain, route, cluster, endpoints. The proxy's own decisions. */
import type { Provenance } from "#model/provenance.ts";
import { parseProvenance } from "#model/provenance.ts";
import { Cluster_DiscoveryType, type Cluster } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { LbEndpoint } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import type { Listener } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { endpointShares, makeBalancer } from "#decide/endpoint/endpoint.ts";
import { provenanceOf } from "#decide/provenance-of.ts";
import type { ConnectionView, RequestView } from "#decide/request-view.ts";
import { compileClusterChoice } from "#decide/route/cluster-choice.ts";
import { compileRouteTable, NO_VIRTUAL_HOST } from "#decide/route/route-table.ts";
import { formatIp } from "#lib/ip.ts";
import { hop, type Hop } from "./answer.ts";
import { chainFor } from "./chain.ts";
import type { PlanView } from "./plan-view.ts";

/** One place where the connection may end, with how likely that is. */
export interface Target {
  readonly address: string;
  readonly port: number;
  /** "namespace/name" of the Pod, when known. */
  readonly pod: string | undefined;
  readonly share: number;
  readonly cluster: string;
  readonly usesTls: boolean;
  readonly by: Provenance | undefined;
  readonly isHttp: boolean;
}

export interface ProxyOut {
  readonly hops: readonly Hop[];
  /** Empty: it ends here; the last hop says why. */
  readonly targets: readonly Target[];
  /** What the client sees when it ends here. */
  readonly effect?: string;
}

/** The listener of an intercepted connection's original destination: its own address, then any address on its port, then the catch-all. */
export function listenerOf(view: PlanView, connection: ConnectionView): Listener | undefined {
  const { ip, port } = connection.destination;
  const address = ip === undefined ? "" : formatIp(ip);
  return view.listener(`${address}_${port}`) ?? view.listener(`0.0.0.0_${port}`) ?? view.listener("virtualOutbound");
}

export function decideOutbound(view: PlanView, listener: Listener, connection: ConnectionView, request: RequestView): ProxyOut {
  const chain = chainFor(listener, connection, view);
  const place = `listener ${listener.name}`;
  if (chain === undefined)
    return ended(hop("proxy out", `${place}: no filter chain takes the connection`, "executed", { verdict: "denied" }), "connection closed");
  if (chain.end.kind === "unknown") return ended(hop("proxy out", `${place}: filters ${chain.end.filters.join(", ")}`, "unknown", { verdict: "unknown" }));
  if (chain.end.kind === "tcp") {
    const by = chain.by ?? provenanceOf(listener.metadata);
    return toClusters([{ cluster: chain.end.cluster, share: 1 }], hop("proxy out", `${place}, TCP to ${shortCluster(chain.end.cluster)}`, "executed", { by }), {
      view,
      connection,
      isHttp: false,
    });
  }
  if (chain.end.routes === undefined)
    return ended(hop("proxy out", `${place}: routes ${chain.end.routesName} are not there`, "executed", { verdict: "denied" }), "404");
  return decideRoute(chain.end.routes, place, { view, connection, isHttp: true }, request);
}

interface Outbound {
  readonly view: PlanView;
  readonly connection: ConnectionView;
  readonly isHttp: boolean;
}

function decideRoute(config: Parameters<typeof compileRouteTable>[0], place: string, outbound: Outbound, request: RequestView): ProxyOut {
  const table = compileRouteTable(config);
  const index = table.match(request, 0);
  const entry = table.entries[index];
  const what = `${request.method} ${request.path} of ${request.authority}`;
  if (entry === undefined) {
    const text = index === NO_VIRTUAL_HOST ? `${place}: no host ${request.authority} in routes "${config.name}"` : `${place}: no route for ${what}`;
    return ended(hop("proxy out", text, "executed", { verdict: "denied" }), "404");
  }
  const name = entry.route.name === "" ? "" : ` "${entry.route.name}"`;
  const { action } = entry.route;
  if (action.case === "directResponse") {
    const said = action.value.body?.specifier.case === "inlineString" ? `: ${action.value.body.specifier.value}` : "";
    const isGood = action.value.status < 400;
    const text = `${place}, route${name} answers ${action.value.status} itself${said}`;
    return ended(hop("proxy out", text, "executed", { by: entry.by, verdict: isGood ? "allowed" : "denied" }), String(action.value.status));
  }
  if (action.case !== "route") {
    return ended(hop("proxy out", `${place}, route${name} ${action.case === "redirect" ? "redirects" : "does something else"}`, "executed", { by: entry.by }));
  }
  const { shares } = compileClusterChoice(action.value, entry.path);
  const clusters = shares.map(({ cluster, share }) =>
    shares.length === 1 ? shortCluster(cluster) : `${shortCluster(cluster)} (${Math.round(share * 1000) / 10}%)`,
  );
  return toClusters(shares, hop("proxy out", `${place}, route${name} to ${clusters.join(", ")}`, "executed", { by: entry.by }), outbound);
}

function toClusters(shares: readonly { readonly cluster: string; readonly share: number }[], first: Hop, outbound: Outbound): ProxyOut {
  const targets: Target[] = [];
  const missing: string[] = [];
  for (const { cluster: name, share } of shares) {
    const cluster = outbound.view.cluster(name);
    const found = cluster === undefined ? [] : targetsOf(cluster, share, outbound);
    if (found.length === 0 && share > 0) missing.push(cluster === undefined ? `there is no ${shortCluster(name)}` : `${shortCluster(name)} has no endpoint`);
    targets.push(...found);
  }
  if (targets.length > 0) return { hops: [first], targets };
  const why = hop("endpoint", missing.join("; "), "executed", { by: first.by, verdict: "denied" });
  return { hops: [first, why], targets: [], effect: outbound.isHttp ? "503" : "connection closed" };
}

function targetsOf(cluster: Cluster, share: number, { view, connection, isHttp }: Outbound): readonly Target[] {
  const type = cluster.clusterDiscoveryType.case === "type" ? cluster.clusterDiscoveryType.value : undefined;
  if (type === Cluster_DiscoveryType.ORIGINAL_DST) {
    const { ip, port } = connection.destination;
    return ip === undefined ? [] : [{ address: formatIp(ip), port, pod: undefined, share, cluster: cluster.name, usesTls: false, by: undefined, isHttp }];
  }
  const groups = view.endpoints(cluster.name)?.endpoints ?? cluster.loadAssignment?.endpoints ?? [];
  const states = groups.flatMap((group) =>
    group.lbEndpoints.map((endpoint) => ({ endpoint, weight: endpoint.loadBalancingWeight ?? 1, healthy: true, active: 0 })),
  );
  const balancer = makeBalancer({ kind: "round-robin" }, [states], 0.5);
  return endpointShares(balancer).flatMap(({ endpoint: { endpoint }, share: part }) => {
    const target = targetOf(endpoint, cluster);
    return target === undefined ? [] : [{ ...target, share: share * part, cluster: cluster.name, isHttp }];
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

function ended(last: Hop, effect?: string): ProxyOut {
  return { hops: [last], targets: [], ...(effect === undefined ? {} : { effect }) };
}

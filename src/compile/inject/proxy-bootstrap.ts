/** What a pod's proxy starts with, in Envoy's own words: Envoy could be started with it as well. Pure. */
import type { ProxyKind } from "./proxy-kind.ts";

export interface ProxyIdentity {
  readonly kind: ProxyKind;
  readonly name: string;
  readonly namespace: string;
  readonly podIP: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
}

export interface ProxyConnections {
  /** The agent's socket for exactly this pod: ADS and SDS. Being able to open it is the proof of identity. */
  readonly socket: string;
  /** Carried by what the proxy sends, where interception knows it by that. */
  readonly mark?: number;
}

const adminPort = 15000;
const readyPort = 15021;
const statsPort = 15090;
const SOL_SOCKET = 1;
const SO_MARK = 36;

export function proxyBootstrap(of: ProxyIdentity, { socket, mark }: ProxyConnections): unknown {
  const { kind, name, namespace, podIP, labels, serviceAccount } = of;
  const role = kind === "gateway" ? "router" : "sidecar";
  // Without its first configuration a proxy would take nothing in and let nothing out, and call itself ready: it waits instead.
  const ads = { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" };
  const grpc = { envoy_grpc: { cluster_name: "xds-grpc" } };
  return {
    node: {
      id: `${role}~${podIP}~${name}.${namespace}~${namespace}.svc.cluster.local`,
      cluster: `${labels["app"] ?? name}.${namespace}`,
      metadata: { NAMESPACE: namespace, NAME: name, LABELS: labels, SERVICE_ACCOUNT: serviceAccount },
    },
    admin: { address: socketAddress("127.0.0.1", adminPort) },
    dynamic_resources: {
      lds_config: ads,
      cds_config: ads,
      ads_config: { api_type: "DELTA_GRPC", transport_api_version: "V3", set_node_on_first_message_only: true, grpc_services: [grpc] },
    },
    // The mark by which the pod's rules know what its own proxy sends; without it that would come back to the proxy.
    ...(mark !== undefined && {
      cluster_manager: { upstream_bind_config: { socket_options: [{ level: SOL_SOCKET, name: SO_MARK, int_value: mark, state: "STATE_PREBIND" }] } },
    }),
    static_resources: {
      clusters: [
        pipeCluster("xds-grpc", socket),
        pipeCluster("sds-grpc", socket),
        { name: "admin", type: "STATIC", connect_timeout: "1s", load_assignment: assignment("admin", socketAddress("127.0.0.1", adminPort)) },
      ],
      listeners: [
        forwarder({ name: "ready", port: readyPort, path: "/healthz/ready", to: "/ready" }),
        forwarder({ name: "stats", port: statsPort, path: "/stats/prometheus", to: "/stats/prometheus" }),
      ],
    },
  };
}

function socketAddress(address: string, port: number): unknown {
  return { socket_address: { address, port_value: port } };
}

function assignment(name: string, address: unknown): unknown {
  return { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] };
}

function pipeCluster(name: string, path: string): unknown {
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: assignment(name, { pipe: { path } }),
  };
}

/** One path of the admin interface, which itself listens on loopback only. */
function forwarder({ name, port, path, to }: { name: string; port: number; path: string; to: string }): unknown {
  const route = { match: { prefix: path }, route: { cluster: "admin", ...(path === to ? {} : { prefix_rewrite: to }) } };
  return {
    name,
    address: socketAddress("0.0.0.0", port),
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              stat_prefix: name,
              route_config: { virtual_hosts: [{ name: "admin", domains: ["*"], routes: [route] }] },
              http_filters: [
                { name: "envoy.filters.http.router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } },
              ],
            },
          },
        ],
      },
    ],
  };
}

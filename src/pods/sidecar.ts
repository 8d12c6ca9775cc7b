/**
 * A pod's proxy: the container `istio-proxy`. It runs outside of the pod's sandbox (what is in the sandbox is what it
 * guards against), in the pod's network namespace, with CAP_NET_ADMIN only (its own sockets carry the mark that
 * interception lets through). Its command is always ours, never the Pod's. Pure.
 */
import type { Pod } from "#model/core.ts";

export const sidecarName = "istio-proxy";

export interface SidecarSpec {
  readonly pod: Pod;
  readonly podIP: string;
  /** The agent's socket for exactly this pod: ADS and SDS. Being able to open it is the proof of identity. */
  readonly socket: string;
}

export function isGateway(pod: Pod): boolean {
  return (pod.metadata.annotations?.["inject.istio.io/templates"] ?? "").split(",").some((name) => name.trim() === "gateway");
}

const adminPort = 15000;
const readyPort = 15021;
const statsPort = 15090;
const SOL_SOCKET = 1;
const SO_MARK = 36;
const proxyMark = 0x539;

/** Envoy's bootstrap, in Envoy's own words: Envoy could be started with it as well. */
export function sidecarBootstrap({ pod, podIP, socket }: SidecarSpec): unknown {
  const namespace = pod.metadata.namespace ?? "default";
  const role = isGateway(pod) ? "router" : "sidecar";
  const ads = { ads: {}, resource_api_version: "V3" };
  const grpc = { envoy_grpc: { cluster_name: "xds-grpc" } };
  return {
    node: {
      id: `${role}~${podIP}~${pod.metadata.name}.${namespace}~${namespace}.svc.cluster.local`,
      cluster: `${pod.metadata.labels?.["app"] ?? pod.metadata.name}.${namespace}`,
      metadata: { NAMESPACE: namespace, NAME: pod.metadata.name, LABELS: pod.metadata.labels ?? {}, SERVICE_ACCOUNT: pod.spec.serviceAccountName ?? "default" },
    },
    admin: { address: socketAddress("127.0.0.1", adminPort) },
    dynamic_resources: {
      lds_config: ads,
      cds_config: ads,
      ads_config: { api_type: "DELTA_GRPC", transport_api_version: "V3", set_node_on_first_message_only: true, grpc_services: [grpc] },
    },
    // The mark by which the pod's rules know what its own proxy sends; without it that would come back to the proxy.
    cluster_manager: { upstream_bind_config: { socket_options: [{ level: SOL_SOCKET, name: SO_MARK, int_value: proxyMark, state: "STATE_PREBIND" }] } },
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

export interface SidecarProcess {
  readonly netns: string;
  /** On the host, when root runs the cluster: the proxy is not root either. */
  readonly hostUid: number | undefined;
  readonly command: readonly string[];
}

export function sidecarCommand({ netns, hostUid, command }: SidecarProcess): [string, ...string[]] {
  const ids = hostUid === undefined ? [] : [`--reuid=${hostUid}`, `--regid=${hostUid}`, "--clear-groups"];
  const only = "-all,+net_admin";
  return [
    "nsenter",
    `--net=${netns}`,
    "--",
    "setpriv",
    ...ids,
    `--inh-caps=${only}`,
    `--ambient-caps=${only}`,
    `--bounding-set=${only}`,
    "--no-new-privs",
    "--",
    ...command,
  ];
}

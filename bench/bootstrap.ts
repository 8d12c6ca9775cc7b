/** Envoy's bootstrap of one hop: Weft and Envoy read the same. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Hop } from "./hop.ts";

export function writeBootstrap(hop: Hop): string {
  const path = join(hop.folder, `bootstrap-${hop.port}.json`);
  writeFileSync(path, JSON.stringify(bootstrap(hop), undefined, 1));
  return path;
}

function bootstrap(hop: Hop): object {
  const type = (name: string): string => `type.googleapis.com/envoy.extensions.${name}`;
  const manager = {
    "@type": type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "bench",
    codec_type: "HTTP1",
    route_config: { name: "bench", virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "backend" } }] }] },
    http_filters: [{ name: "envoy.filters.http.router", typed_config: { "@type": type("filters.http.router.v3.Router") } }],
  };
  const tls = {
    tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
    tls_certificates: [{ certificate_chain: { filename: hop.certificates.certificate }, private_key: { filename: hop.certificates.key } }],
    validation_context: { trusted_ca: { filename: hop.certificates.ca } },
  };
  const downstream = { "@type": type("transport_sockets.tls.v3.DownstreamTlsContext"), require_client_certificate: true, common_tls_context: tls };
  const upstream = { "@type": type("transport_sockets.tls.v3.UpstreamTlsContext"), common_tls_context: tls };
  const socket = (config: object): object => ({ transport_socket: { name: "envoy.transport_sockets.tls", typed_config: config } });
  const address = (port: number): object => ({ socket_address: { address: "127.0.0.1", port_value: port } });
  return {
    node: { id: "bench", cluster: "bench" },
    static_resources: {
      listeners: [
        {
          name: "bench",
          address: address(hop.port),
          filter_chains: [
            {
              filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }],
              ...(hop.role === "server" ? socket(downstream) : {}),
            },
          ],
        },
      ],
      clusters: [
        {
          name: "backend",
          type: "STATIC",
          connect_timeout: "2s",
          load_assignment: { cluster_name: "backend", endpoints: [{ lb_endpoints: [{ endpoint: { address: address(hop.upstreamPort) } }] }] },
          ...(hop.role === "client" ? socket(upstream) : {}),
        },
      ],
    },
  };
}

/** Listeners that tell connections apart (filter chains), with TLS, mTLS, network RBAC and TCP proxies. */
import type { Backends } from "./backends.ts";
import { cluster, clusters, fileLog, httpManager, listener, tcpProxy, typed } from "./bootstrap-parts.ts";
import type { SidePlace } from "./sides.ts";

/** PEM. */
export interface Identity {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface Identities {
  readonly root: string;
  readonly server: Identity;
}

const inline = (text: string): object => ({ inline_string: text });
const keyPair = ({ certificate, privateKey }: Identity): object => ({ certificate_chain: inline(certificate), private_key: inline(privateKey) });
const downstreamTls = (fields: object): object => ({
  name: "envoy.transport_sockets.tls",
  typed_config: typed("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", fields),
});
const spiffe = (prefix: string): object => ({ match_typed_subject_alt_names: [{ san_type: "URI", matcher: { prefix } }] });

/** A chain that answers each request with its name. */
function answering(name: string, match: object, more: object = {}): object {
  const route_config = {
    name,
    virtual_hosts: [{ name, domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: inline(name) } }] }],
  };
  return { name, filter_chain_match: match, filters: [httpManager({ stat_prefix: name.replaceAll(/\W/g, "_"), route_config })], ...more };
}

const tlsInspector = { name: "envoy.filters.listener.tls_inspector", typed_config: typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector") };
const httpInspector = {
  name: "envoy.filters.listener.http_inspector",
  typed_config: typed("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"),
};
const anyAddress = { address: { socket_address: { address: "0.0.0.0", port_value: 0 } } };
const range = (prefix: string, length: number): object => ({ address_prefix: prefix, prefix_len: length });

export const CONNECTION_LOG =
  "%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS% %REQUESTED_SERVER_NAME% %DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%";
export const TCP_LOG =
  "%RESPONSE_CODE% %RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% %UPSTREAM_TRANSPORT_FAILURE_REASON%";

const deny = (principal: object): object => ({ permissions: [{ any: true }], principals: [principal] });
const networkRbac = (stat: string, rules: object): object => ({
  name: "envoy.filters.network.rbac",
  typed_config: typed("envoy.extensions.filters.network.rbac.v3.RBAC", { stat_prefix: stat, rules }),
});

export function connectionsBootstrap({ folder }: SidePlace, backends: Backends, { root, server }: Identities): object {
  const mesh = {
    common_tls_context: {
      tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
      tls_certificate_sds_secret_configs: [{ name: "own" }],
      combined_validation_context: { default_validation_context: spiffe("spiffe://cluster.local/"), validation_context_sds_secret_config: { name: "roots" } },
    },
    require_client_certificate: true,
  };
  const oneWay = { common_tls_context: { tls_certificates: [keyPair(server)], alpn_protocols: ["http/1.1"] } };
  const upstreamTls = (names: string): object => ({
    transport_socket: {
      name: "envoy.transport_sockets.tls",
      typed_config: typed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
        sni: "upstream.test",
        common_tls_context: { tls_certificates: [keyPair(server)], validation_context: { trusted_ca: inline(root), ...spiffe(names) } },
      }),
    },
  });
  const upstreamRoutes = ["good", "wrong"].map((name) => ({ match: { prefix: `/${name}` }, route: { cluster: `tls-${name}` } }));
  const meshRoutes = {
    name: "mesh",
    virtual_hosts: [{ name: "mesh", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "backend" } }] }],
  };
  return {
    node: { id: "peer", cluster: "peer" },
    static_resources: {
      secrets: [
        { name: "own", tls_certificate: keyPair(server) },
        { name: "roots", validation_context: { trusted_ca: inline(root) } },
      ],
      listeners: [
        listener(
          "mesh",
          [
            {
              transport_socket: downstreamTls(mesh),
              filters: [
                httpManager({
                  stat_prefix: "mesh",
                  route_config: meshRoutes,
                  forward_client_cert_details: "SANITIZE_SET",
                  set_current_client_cert_details: { uri: true, dns: true },
                }),
              ],
            },
          ],
          { access_log: [fileLog(`${folder}/mesh.log`, CONNECTION_LOG)] },
        ),
        listener("tcp", [{ filters: [tcpProxy("echo", { access_log: [fileLog(`${folder}/tcp.log`, TCP_LOG)] })] }]),
        listener("tcp-dead", [{ filters: [tcpProxy("dead", { access_log: [fileLog(`${folder}/dead.log`, TCP_LOG)] })] }]),
        listener("tcp-nobody", [{ filters: [tcpProxy("empty", { access_log: [fileLog(`${folder}/nobody.log`, TCP_LOG)] })] }]),
        listener("tcp-denied", [
          {
            filters: [
              networkRbac("denied.", { action: "DENY", policies: { loopback: deny({ direct_remote_ip: range("127.0.0.0", 8) }) } }),
              tcpProxy("denied", { stat_prefix: "denied", access_log: [fileLog(`${folder}/denied.log`, TCP_LOG)] }),
            ],
          },
        ]),
        listener("tcp-allowed", [
          {
            filters: [
              networkRbac("allowed.", { action: "ALLOW", policies: { loopback: deny({ direct_remote_ip: range("127.0.0.0", 8) }) } }),
              tcpProxy("echo", { stat_prefix: "allowed" }),
            ],
          },
        ]),
        // Envoy's order: destination port, destination address, server name, transport, application protocols, then sources.
        listener(
          "chains",
          [
            answering("plain", { transport_protocol: "raw_buffer" }),
            answering("plain-http10", { transport_protocol: "raw_buffer", application_protocols: ["http/1.0"] }),
            answering("address", { prefix_ranges: [range("127.0.0.8", 29)] }),
            answering("address-narrow", { prefix_ranges: [range("127.0.0.9", 32)] }),
            answering(
              "address-narrow-tls",
              { prefix_ranges: [range("127.0.0.10", 32)], transport_protocol: "tls" },
              { transport_socket: downstreamTls(oneWay) },
            ),
            answering("exact-name", { server_names: ["a.example.org"] }, { transport_socket: downstreamTls(oneWay) }),
            answering("any-name", { server_names: ["*.example.org"] }, { transport_socket: downstreamTls(oneWay) }),
            answering("any-name-alpn", { server_names: ["*.example.org"], application_protocols: ["http/1.1"] }, { transport_socket: downstreamTls(oneWay) }),
            answering("deep-name", { server_names: ["*.deep.example.org"] }, { transport_socket: downstreamTls(oneWay) }),
            answering("source", { transport_protocol: "raw_buffer", source_prefix_ranges: [range("127.0.1.0", 24)] }),
            answering("direct-source", { transport_protocol: "raw_buffer", direct_source_prefix_ranges: [range("127.0.2.0", 24)] }),
            answering("direct-source-narrow", {
              transport_protocol: "raw_buffer",
              direct_source_prefix_ranges: [range("127.0.2.7", 32)],
              source_prefix_ranges: [range("127.0.0.0", 8)],
            }),
            answering("source-port", { transport_protocol: "raw_buffer", source_prefix_ranges: [range("127.0.3.0", 24)], source_ports: [1] }),
          ],
          { ...anyAddress, listener_filters: [tlsInspector, httpInspector] },
        ),
        listener(
          "fallback",
          [
            answering("local", { source_type: "SAME_IP_OR_LOOPBACK" }),
            answering("external", { source_type: "EXTERNAL" }),
            answering("tls", { transport_protocol: "tls" }, { transport_socket: downstreamTls(oneWay) }),
          ],
          { listener_filters: [tlsInspector], default_filter_chain: answering("default", {}) },
        ),
        listener("none", [answering("tls-only", { transport_protocol: "tls" }, { transport_socket: downstreamTls(oneWay) })], {
          listener_filters: [tlsInspector],
          access_log: [fileLog(`${folder}/none.log`, CONNECTION_LOG)],
        }),
        listener("to-tls", [
          {
            filters: [
              httpManager({
                stat_prefix: "to_tls",
                route_config: { name: "to-tls", virtual_hosts: [{ name: "all", domains: ["*"], routes: upstreamRoutes }] },
              }),
            ],
          },
        ]),
      ],
      clusters: [
        ...clusters(backends),
        cluster("denied", backends.echo),
        cluster("tls-good", backends.tls, upstreamTls("spiffe://cluster.local/ns/shop/")),
        cluster("tls-wrong", backends.tls, upstreamTls("spiffe://cluster.local/ns/bank/")),
      ],
    },
  };
}

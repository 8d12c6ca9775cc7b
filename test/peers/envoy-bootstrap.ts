/** One bootstrap that Weft's proxy and Envoy both read: routes, rewrites, redirects, RBAC, retries, dead clusters. */
const type = (name: string): string => `type.googleapis.com/${name}`;
const address = (port: number): object => ({ socket_address: { address: "127.0.0.1", port_value: port } });

export interface Ports {
  readonly listener: number;
  readonly admin: number;
  readonly backend: number;
  readonly slow: number;
  /** Nobody listens there. */
  readonly dead: number;
}

function cluster(name: string, port: number, more: object = {}): object {
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
    ...more,
  };
}

const named = (which: string): object => ({ response_headers_to_add: [{ header: { key: "x-route", value: which } }] });
const to = (which: string, match: object, route: object = {}): object => ({ match, route: { cluster: "backend", ...route }, ...named(which) });

const routes = [
  to("exact", { path: "/exact" }),
  to("regex", { safe_regex: { regex: "/re/[0-9]+/x" } }),
  to("separated", { path_separated_prefix: "/sep" }),
  to("case", { prefix: "/CaSe", case_sensitive: false }),
  to("header-exact", { prefix: "/h", headers: [{ name: "x-user", string_match: { exact: "jason" } }] }),
  to("header-prefix", { prefix: "/h", headers: [{ name: "x-user", string_match: { prefix: "ja", ignore_case: true } }] }),
  to("header-absent", { prefix: "/h", headers: [{ name: "x-user", present_match: false }] }),
  to("header-invert", { prefix: "/h", headers: [{ name: "x-user", string_match: { exact: "root" }, invert_match: true }] }),
  to("header-range", { prefix: "/n", headers: [{ name: "x-number", range_match: { start: 1, end: 10 } }] }),
  to("method", { prefix: "/m", headers: [{ name: ":method", string_match: { exact: "POST" } }] }),
  to("query", { prefix: "/q", query_parameters: [{ name: "a", string_match: { exact: "1" } }] }),
  to("query-present", { prefix: "/q", query_parameters: [{ name: "b", present_match: true }] }),
  to("rewrite", { prefix: "/rw/" }, { prefix_rewrite: "/new/" }),
  to("rewrite-regex", { prefix: "/rr" }, { regex_rewrite: { pattern: { regex: "/rr/([a-z]+)/([a-z]+)" }, substitution: "/\\2/\\1" } }),
  to("rewrite-host", { prefix: "/host" }, { host_rewrite_literal: "other.example.org" }),
  { match: { prefix: "/https" }, redirect: { https_redirect: true } },
  { match: { prefix: "/redirect-path" }, redirect: { path_redirect: "/there", response_code: "TEMPORARY_REDIRECT" } },
  { match: { prefix: "/redirect-prefix" }, redirect: { prefix_rewrite: "/p", host_redirect: "other.example.org", port_redirect: 8443 } },
  { match: { prefix: "/redirect-strip" }, redirect: { host_redirect: "other.example.org", strip_query: true } },
  { match: { path: "/direct" }, direct_response: { status: 418, body: { inline_string: "teapot" } } },
  { match: { path: "/direct-empty" }, direct_response: { status: 204 } },
  { match: { prefix: "/dead" }, route: { cluster: "dead" } },
  { match: { prefix: "/retry" }, route: { cluster: "dead", retry_policy: { retry_on: "connect-failure", num_retries: 2 } } },
  { match: { prefix: "/nobody" }, route: { cluster: "empty" } },
  { match: { prefix: "/nocluster" }, route: { cluster: "none" } },
  { match: { prefix: "/slow" }, route: { cluster: "slow", timeout: "0.2s" } },
  { match: { prefix: "/reset" }, route: { cluster: "backend" } },
  to("added", { prefix: "/added" }, {}),
  {
    match: { prefix: "/headers" },
    route: { cluster: "backend" },
    request_headers_to_add: [
      { header: { key: "x-added", value: "one" } },
      { header: { key: "x-set", value: "mine" }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
    ],
    request_headers_to_remove: ["x-gone"],
  },
  { match: { prefix: "/secret" }, route: { cluster: "backend" } },
  { match: { prefix: "/admin" }, route: { cluster: "backend" } },
  { match: { prefix: "/body" }, route: { cluster: "backend" } },
  { match: { prefix: "/ws" }, route: { cluster: "backend" } },
];

const rbac = {
  "@type": type("envoy.extensions.filters.http.rbac.v3.RBAC"),
  rules: {
    action: "DENY",
    policies: {
      secret: {
        permissions: [
          {
            and_rules: { rules: [{ url_path: { path: { prefix: "/secret" } } }, { not_rule: { header: { name: "x-pass", string_match: { exact: "yes" } } } }] },
          },
        ],
        principals: [{ any: true }],
      },
      writes: {
        permissions: [
          { and_rules: { rules: [{ url_path: { path: { prefix: "/admin" } } }, { header: { name: ":method", string_match: { exact: "DELETE" } } }] } },
        ],
        principals: [{ direct_remote_ip: { address_prefix: "127.0.0.0", prefix_len: 8 } }],
      },
    },
  },
};

export function bootstrap(ports: Ports): string {
  const manager = {
    "@type": type("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "ingress",
    codec_type: "HTTP1",
    route_config: {
      name: "local",
      validate_clusters: false,
      virtual_hosts: [
        { name: "exact", domains: ["exact.example.org"], routes: [to("vh-exact", { prefix: "/" })] },
        { name: "suffix", domains: ["*.example.org"], routes: [to("vh-suffix", { prefix: "/" })] },
        { name: "prefix", domains: ["pre.*"], routes: [to("vh-prefix", { prefix: "/" })] },
        { name: "all", domains: ["*"], routes },
      ],
    },
    http_filters: [
      { name: "envoy.filters.http.rbac", typed_config: rbac },
      { name: "envoy.filters.http.router", typed_config: { "@type": type("envoy.extensions.filters.http.router.v3.Router") } },
    ],
  };
  return JSON.stringify({
    node: { id: "peer", cluster: "peer" },
    admin: { address: address(ports.admin) },
    static_resources: {
      listeners: [
        {
          name: "ingress",
          address: address(ports.listener),
          filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] }],
        },
      ],
      clusters: [
        cluster("backend", ports.backend),
        cluster("slow", ports.slow),
        cluster("dead", ports.dead),
        { name: "empty", type: "STATIC", connect_timeout: "1s", load_assignment: { cluster_name: "empty" } },
      ],
    },
  });
}

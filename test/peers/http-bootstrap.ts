/** A bootstrap with everything a request can meet: matches, rewrites, redirects, RBAC, retries, dead clusters. */
import { cluster, clusters, fileLog, httpManager, listener, router, typed } from "./bootstrap-parts.ts";
import type { Backends } from "./backends.ts";
import type { SidePlace } from "./sides.ts";

const named = (which: string): object => ({ response_headers_to_add: [{ header: { key: "x-route", value: which } }] });
const to = (which: string, match: object, route: object = {}): object => ({ name: which, match, route: { cluster: "backend", ...route }, ...named(which) });

const matches = [
  to("exact", { path: "/exact" }),
  to("regex", { safe_regex: { regex: "/re/[0-9]+/x" } }),
  to("separated", { path_separated_prefix: "/sep" }),
  to("case", { prefix: "/CaSe", case_sensitive: false }),
  to("header-exact", { prefix: "/h/", headers: [{ name: "x-user", string_match: { exact: "jason" } }] }),
  to("header-prefix", { prefix: "/h/", headers: [{ name: "x-user", string_match: { prefix: "ja", ignore_case: true } }] }),
  to("header-absent", { prefix: "/h/", headers: [{ name: "x-user", present_match: false }] }),
  to("header-invert", { prefix: "/h/", headers: [{ name: "x-user", string_match: { exact: "root" }, invert_match: true }] }),
  to("header-suffix", { prefix: "/hs", headers: [{ name: "x-user", string_match: { suffix: "son" } }] }),
  to("header-contains", { prefix: "/hs", headers: [{ name: "x-user", string_match: { contains: "oo" } }] }),
  to("header-regex", { prefix: "/hs", headers: [{ name: "x-user", string_match: { safe_regex: { regex: "[a-c]+" } } }] }),
  to("header-empty", { prefix: "/hs", headers: [{ name: "x-user", string_match: { exact: "" }, treat_missing_header_as_empty: true }] }),
  to("header-range", { prefix: "/n", headers: [{ name: "x-number", range_match: { start: 1, end: 10 } }] }),
  to("method", { prefix: "/m", headers: [{ name: ":method", string_match: { exact: "POST" } }] }),
  to("two-headers", {
    prefix: "/two",
    headers: [
      { name: "x-user", present_match: true },
      { name: "x-number", present_match: true },
    ],
  }),
  to("query", { prefix: "/q", query_parameters: [{ name: "a", string_match: { exact: "1" } }] }),
  to("query-present", { prefix: "/q", query_parameters: [{ name: "b", present_match: true }] }),
  to("query-regex", { prefix: "/q", query_parameters: [{ name: "c", string_match: { safe_regex: { regex: "[0-9]+" } } }] }),
  to("never", { prefix: "/fraction", runtime_fraction: { default_value: { numerator: 0 } } }),
  to("always", { prefix: "/fraction", runtime_fraction: { default_value: { numerator: 100 } } }),
];

const rewrites = [
  to("rewrite", { prefix: "/rw/" }, { prefix_rewrite: "/new/" }),
  to("rewrite-exact", { path: "/rwe" }, { prefix_rewrite: "/exactly" }),
  to("rewrite-separated", { path_separated_prefix: "/rws" }, { prefix_rewrite: "/root" }),
  to("rewrite-case", { prefix: "/RWC", case_sensitive: false }, { prefix_rewrite: "/c" }),
  to("rewrite-regex", { prefix: "/rr" }, { regex_rewrite: { pattern: { regex: "/rr/([a-z]+)/([a-z]+)" }, substitution: "/\\2/\\1" } }),
  to("rewrite-host", { prefix: "/host" }, { host_rewrite_literal: "other.example.org" }),
  to("rewrite-host-header", { prefix: "/by-header" }, { host_rewrite_header: "x-user" }),
  to("rewrite-host-path", { prefix: "/by-path" }, { host_rewrite_path_regex: { pattern: { regex: "^/by-path/(.+)$" }, substitution: "\\1" } }),
  to("rewrite-host-forwarded", { prefix: "/forwarded" }, { host_rewrite_literal: "new.example.org", append_x_forwarded_host: true }),
  { match: { prefix: "/https" }, redirect: { https_redirect: true } },
  { match: { prefix: "/redirect-path" }, redirect: { path_redirect: "/there", response_code: "TEMPORARY_REDIRECT" } },
  { match: { prefix: "/redirect-query" }, redirect: { path_redirect: "/there?x=y", response_code: "SEE_OTHER" } },
  { match: { prefix: "/redirect-prefix" }, redirect: { prefix_rewrite: "/p", host_redirect: "other.example.org", port_redirect: 8443 } },
  { match: { prefix: "/redirect-strip" }, redirect: { host_redirect: "other.example.org", strip_query: true, response_code: "FOUND" } },
  {
    match: { prefix: "/redirect-regex" },
    redirect: { regex_rewrite: { pattern: { regex: "/redirect-regex/(.*)" }, substitution: "/r/\\1" }, response_code: "PERMANENT_REDIRECT" },
  },
  { match: { prefix: "/redirect-scheme" }, redirect: { scheme_redirect: "ftp" } },
  { match: { path: "/direct" }, direct_response: { status: 418, body: { inline_string: "teapot" } } },
  { match: { path: "/direct-empty" }, direct_response: { status: 204 } },
];

const failures = [
  { match: { prefix: "/dead" }, route: { cluster: "dead" } },
  { match: { prefix: "/retry-dead" }, route: { cluster: "dead", retry_policy: { retry_on: "connect-failure", num_retries: 2 } } },
  { match: { prefix: "/retry-status" }, route: { cluster: "backend", retry_policy: { retry_on: "5xx", num_retries: 2 } } },
  { match: { prefix: "/retry-reset" }, route: { cluster: "broken", retry_policy: { retry_on: "reset", num_retries: 1 } } },
  { match: { prefix: "/nobody" }, route: { cluster: "empty" } },
  { match: { prefix: "/nocluster" }, route: { cluster: "none" } },
  { match: { prefix: "/nocluster-404" }, route: { cluster: "none", cluster_not_found_response_code: "NOT_FOUND" } },
  { match: { prefix: "/slow" }, route: { cluster: "silent", timeout: "0.2s" } },
  { match: { prefix: "/try-slow" }, route: { cluster: "silent", timeout: "2s", retry_policy: { retry_on: "5xx", num_retries: 1, per_try_timeout: "0.1s" } } },
  { match: { prefix: "/reset" }, route: { cluster: "backend" } },
  { match: { prefix: "/broken" }, route: { cluster: "broken" } },
];

const others = [
  {
    match: { prefix: "/headers" },
    route: { cluster: "backend" },
    request_headers_to_add: [
      { header: { key: "x-added", value: "one" } },
      { header: { key: "x-set", value: "mine" }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
      { header: { key: "x-gone", value: "absent" }, append_action: "ADD_IF_ABSENT" },
    ],
    request_headers_to_remove: ["x-gone"],
    response_headers_to_remove: ["x-backend"],
    response_headers_to_add: [{ header: { key: "x-route", value: "%REQ(x-user)% %RESPONSE_CODE% %PROTOCOL% 100%%" } }],
  },
  { match: { prefix: "/cluster-header" }, route: { cluster_header: "x-cluster" } },
  {
    match: { prefix: "/weighted" },
    route: {
      weighted_clusters: {
        clusters: [
          { name: "dead", weight: 0 },
          { name: "other", weight: 10, response_headers_to_add: [{ header: { key: "x-route", value: "other" } }] },
        ],
      },
    },
  },
  ...["/secret", "/admin", "/body", "/ws", "/shadow", "/status", "/chunked", "/truncated", "/trace"].map((prefix) => ({
    match: { prefix },
    route: { cluster: "backend" },
  })),
  {
    match: { prefix: "/open" },
    route: { cluster: "backend" },
    typed_per_filter_config: { "envoy.filters.http.rbac": typed("envoy.extensions.filters.http.rbac.v3.RBACPerRoute") },
  },
];

const deny = (permission: object, principal: object = { any: true }): object => ({ permissions: [permission], principals: [principal] });
const path = (prefix: string): object => ({ url_path: { path: { prefix } } });

const rbac = typed("envoy.extensions.filters.http.rbac.v3.RBAC", {
  rules: {
    action: "DENY",
    policies: {
      secret: deny({ and_rules: { rules: [path("/secret"), { not_rule: { header: { name: "x-pass", string_match: { exact: "yes" } } } }] } }),
      writes: deny(
        { and_rules: { rules: [path("/admin"), { header: { name: ":method", string_match: { exact: "DELETE" } } }] } },
        { direct_remote_ip: { address_prefix: "127.0.0.0", prefix_len: 8 } },
      ),
      client: deny({ any: true }, { remote_ip: { address_prefix: "7.7.7.0", prefix_len: 24 } }),
      open: deny({ header: { name: "x-user", string_match: { exact: "mallory" } } }),
    },
  },
  shadow_rules: { action: "ALLOW", policies: { shadow: deny(path("/shadow")) } },
});

export const LOG_FORMAT =
  "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% " +
  "%BYTES_RECEIVED% %BYTES_SENT% %REQ(:AUTHORITY)% %UPSTREAM_CLUSTER% %ROUTE_NAME% %REQ(X-USER)% %RESP(X-ROUTE)% %UPSTREAM_REQUEST_ATTEMPT_COUNT%";

export const JSON_LOG = {
  method: "%REQ(:METHOD)%",
  status: "%RESPONSE_CODE%",
  flags: "%RESPONSE_FLAGS%",
  missing: "%REQ(X-MISSING)%",
  text: "%PROTOCOL% to %REQ(:AUTHORITY)%",
  cut: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):4%",
  nested: { sent: "%BYTES_SENT%", list: ["%REQ(:METHOD)%", "fixed"] },
};

export function httpBootstrap({ folder }: SidePlace, backends: Backends): object {
  const manager = httpManager({
    access_log: [
      fileLog(`${folder}/access.log`, LOG_FORMAT),
      {
        name: "envoy.access_loggers.file",
        typed_config: typed("envoy.extensions.access_loggers.file.v3.FileAccessLog", { path: `${folder}/access.json`, log_format: { json_format: JSON_LOG } }),
      },
    ],
    route_config: {
      name: "local",
      validate_clusters: false,
      response_headers_to_add: [{ header: { key: "x-config", value: "all" } }],
      virtual_hosts: [
        { name: "exact", domains: ["exact.example.org"], routes: [to("vh-exact", { prefix: "/" })] },
        { name: "suffix", domains: ["*.example.org"], routes: [to("vh-suffix", { prefix: "/" })] },
        { name: "longer", domains: ["*.b.example.org", "*-c.example.org"], routes: [to("vh-longer", { prefix: "/" })] },
        { name: "prefix", domains: ["pre.*"], routes: [to("vh-prefix", { prefix: "/" })] },
        { name: "attempts", domains: ["attempts.test"], include_request_attempt_count: true, routes: [to("vh-attempts", { prefix: "/" })] },
        { name: "all", domains: ["*"], routes: [...matches, ...rewrites, ...failures, ...others] },
      ],
    },
    http_filters: [{ name: "envoy.filters.http.rbac", typed_config: rbac }, router],
  });
  return {
    node: { id: "peer", cluster: "peer" },
    static_resources: {
      listeners: [
        listener("ingress", [{ filters: [manager] }]),
        // For what is knowingly answered otherwise: its counters are not compared.
        listener("apart", [
          {
            filters: [
              httpManager({
                stat_prefix: "apart",
                route_config: {
                  name: "apart",
                  virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "apart" } }] }],
                },
              }),
            ],
          },
        ]),
        listener("timed", [
          {
            filters: [
              httpManager({
                stat_prefix: "timed",
                access_log: [fileLog(`${folder}/timed.log`, LOG_FORMAT)],
                stream_idle_timeout: "0.3s",
                request_timeout: "0.6s",
                route_config: {
                  name: "timed",
                  virtual_hosts: [
                    {
                      name: "all",
                      domains: ["*"],
                      routes: [
                        { match: { prefix: "/silent-route" }, route: { cluster: "silent", timeout: "0s", idle_timeout: "0.1s" } },
                        { match: { prefix: "/silent" }, route: { cluster: "silent", timeout: "0s" } },
                        { match: { prefix: "/" }, route: { cluster: "backend" } },
                      ],
                    },
                  ],
                },
              }),
            ],
          },
        ]),
        // What a gateway at the edge has: nothing that the client claims is believed.
        listener("edge", [
          {
            filters: [
              httpManager({
                stat_prefix: "edge",
                access_log: [fileLog(`${folder}/edge.log`, LOG_FORMAT)],
                use_remote_address: true,
                normalize_path: true,
                merge_slashes: true,
                strip_any_host_port: true,
                server_name: "edge",
                max_request_headers_kb: 8,
                common_http_protocol_options: { max_headers_count: 20 },
                http_protocol_options: { accept_http_10: true, default_host_for_http_10: "old.example.org" },
                upgrade_configs: [{ upgrade_type: "websocket" }],
                route_config: {
                  name: "edge",
                  virtual_hosts: [
                    { name: "old", domains: ["old.example.org"], routes: [to("old", { prefix: "/" })] },
                    { name: "all", domains: ["*"], routes: [to("admin", { prefix: "/admin" }), to("edge", { prefix: "/" })] },
                  ],
                },
              }),
            ],
          },
        ]),
      ],
      clusters: [...clusters(backends), cluster("apart", backends.broken)],
    },
  };
}

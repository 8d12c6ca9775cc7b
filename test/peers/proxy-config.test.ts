/**
 * `weft proxy -c FILE` as a user meets it: JSON or YAML is taken as Envoy takes it; what Envoy refuses is refused; what
 * Weft does not do is refused too, by the path of the field, and never silently left out.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync, type SpawnSyncReturns } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { stringify } from "yaml";
import { ConfigProblem } from "#decide/config-problem.ts";
import { HostError } from "#host/host-error.ts";
import type { Net } from "#host/net.ts";
import { realHost } from "#host/real/real.ts";
import { startProxy } from "#proxy/proxy.ts";
import { ensureEnvoy } from "#tools/peers.ts";
import { cluster, httpManager, listener, router, tcpProxy, typed } from "./bootstrap-parts.ts";
import { rawExchange } from "./raw-exchange.ts";

const weft = join(import.meta.dirname, "../../weft");
const envoy = ensureEnvoy();
const folder = mkdtempSync(join(tmpdir(), "weft-config-"));
after(() => rmSync(folder, { recursive: true, force: true }));

type Fields = Readonly<Record<string, unknown>>;

const direct = { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "here" } } };
const routeConfig = (route: object = direct, host: Fields = {}): object => ({
  name: "r",
  virtual_hosts: [{ name: "all", domains: ["*"], routes: [route], ...host }],
});
const manager = (fields: Fields): object => httpManager({ route_config: routeConfig(), ...fields });
const bootstrap = (
  filters: readonly object[],
  more: { readonly chain?: Fields; readonly listener?: Fields; readonly clusters?: readonly object[] } = {},
): object => ({
  static_resources: {
    listeners: [listener("l", [{ filters, ...more.chain }], more.listener)],
    clusters: more.clusters ?? [cluster("c", 1)],
  },
});
const route = (action: Fields, match: Fields = { prefix: "/" }): object =>
  manager({ route_config: routeConfig({ match, route: { cluster: "c", ...action } }) });
const withTls = (context: Fields): Fields => ({
  chain: {
    transport_socket: {
      name: "envoy.transport_sockets.tls",
      typed_config: typed("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", { common_tls_context: context }),
    },
  },
});

type Refused = readonly [string, object, RegExp];

/** What Weft does not do, and the path that it names. */
const UNSUPPORTED: readonly Refused[] = [
  ["HTTP/2 downstream", bootstrap([manager({ codec_type: "HTTP2" })]), /listener "l": filter_chains\[0\]\.filters\[0\]\.typed_config\.codec_type/],
  [
    "a filter",
    bootstrap([manager({ http_filters: [{ name: "x", typed_config: typed("envoy.extensions.filters.http.cors.v3.Cors") }, router] })]),
    /http_filters\[0\]\.typed_config.*cors\.v3\.Cors: not supported/,
  ],
  [
    "a network filter",
    bootstrap([{ name: "x", typed_config: typed("envoy.extensions.filters.network.direct_response.v3.Config") }]),
    /filters\[0\]\.typed_config.*direct_response/,
  ],
  ["mirrored requests", bootstrap([route({ request_mirror_policies: [{ cluster: "c" }] })]), /routes\[0\]\.route\.request_mirror_policies/],
  ["hashing", bootstrap([route({ hash_policy: [{ header: { header_name: "x" } }] })]), /routes\[0\]\.route\.hash_policy/],
  [
    "a match by metadata",
    bootstrap([route({}, { prefix: "/", dynamic_metadata: [{ filter: "x", path: [{ key: "a" }], value: { present_match: true } }] })]),
    /match\.dynamic_metadata/,
  ],
  [
    "rate limits of a virtual host",
    bootstrap([manager({ route_config: routeConfig(direct, { rate_limits: [{ actions: [{ remote_address: {} }] }] }) })]),
    /virtual_hosts\[0\]\.rate_limits/,
  ],
  [
    "scoped routes",
    bootstrap([
      httpManager({
        scoped_routes: {
          name: "s",
          scope_key_builder: { fragments: [{ header_value_extractor: { name: "x", index: 0 } }] },
          rds_config_source: { ads: {} },
          scoped_route_configurations_list: {
            scoped_route_configurations: [{ name: "a", route_configuration_name: "b", key: { fragments: [{ string_key: "x" }] } }],
          },
        },
      }),
    ]),
    /scoped_routes/,
  ],
  [
    "escaped slashes that are unescaped",
    bootstrap([manager({ path_with_escaped_slashes_action: "UNESCAPE_AND_FORWARD" })]),
    /path_with_escaped_slashes_action.*REJECT_REQUEST/,
  ],
  [
    "the certificate in x-forwarded-client-cert",
    bootstrap([manager({ set_current_client_cert_details: { cert: true } })]),
    /set_current_client_cert_details\.cert/,
  ],
  ["a maximal connection duration", bootstrap([manager({ common_http_protocol_options: { max_connection_duration: "5s" } })]), /max_connection_duration/],
  ["a tracer", bootstrap([manager({ tracing: {} })]), /\.tracing/],
  [
    "a UDP listener",
    bootstrap([manager({})], { listener: { address: { socket_address: { protocol: "UDP", address: "127.0.0.1", port_value: 0 } } } }),
    /protocol|udp/i,
  ],
  ["ring hash", bootstrap([manager({})], { clusters: [cluster("c", 1, { lb_policy: "RING_HASH" })] }), /cluster "c": lb_policy/],
  [
    "outlier detection",
    bootstrap([manager({})], { clusters: [cluster("c", 1, { outlier_detection: {} })] }),
    /clusters\[0\]\.outlier_detection: not supported/,
  ],
  [
    "health checks",
    bootstrap([manager({})], {
      clusters: [cluster("c", 1, { health_checks: [{ timeout: "1s", interval: "1s", unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {} }] })],
    }),
    /clusters\[0\]\.health_checks: not supported/,
  ],
  [
    "drop overloads",
    bootstrap([manager({})], {
      clusters: [
        cluster("c", 1, { load_assignment: { cluster_name: "c", policy: { drop_overloads: [{ category: "x", drop_percentage: { numerator: 50 } }] } } }),
      ],
    }),
    /load_assignment\.policy\.drop_overloads/,
  ],
  ["any certificate", bootstrap([manager({})], withTls({ validation_context: { trust_chain_verification: "ACCEPT_UNTRUSTED" } })), /trust_chain_verification/],
  [
    "a pinned certificate",
    bootstrap([manager({})], withTls({ validation_context: { verify_certificate_spki: ["NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="] } })),
    /verify_certificate_spki/,
  ],
  [
    "an access log filter",
    bootstrap([
      manager({
        access_log: [{ name: "x", filter: { not_health_check_filter: {} }, typed_config: typed("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog") }],
      }),
    ]),
    /access_log\[0\]\.filter/,
  ],
  [
    "xDS by REST",
    {
      dynamic_resources: { ads_config: { api_type: "REST", cluster_names: ["c"] }, lds_config: { ads: {} } },
      static_resources: { clusters: [cluster("c", 1)] },
    },
    /ads_config/,
  ],
];

/** What Envoy takes, though it can serve nobody. */
const USELESS: readonly Refused[] = [
  ["a filter chain without its last filter", bootstrap([]), /listener "l": filter_chains\[0\]\.filters: has no filter that ends the chain/],
  ["no router", bootstrap([manager({ http_filters: [] })]), /http_filters: has no router/],
];

/** What neither takes. */
const INVALID: readonly (readonly [string, object])[] = [
  ["two filters that end the chain", bootstrap([manager({}), tcpProxy("c")])],
  ["a route to nowhere", bootstrap([route({ cluster: "other" })])],
  ["a route without a match", bootstrap([manager({ route_config: routeConfig({ route: { cluster: "c" } }) })])],
  [
    "two virtual hosts for one domain",
    bootstrap([
      manager({
        route_config: {
          name: "r",
          virtual_hosts: [
            { name: "a", domains: ["x"] },
            { name: "b", domains: ["x"] },
          ],
        },
      }),
    ]),
  ],
  ["a virtual host without domains", bootstrap([manager({ route_config: { name: "r", virtual_hosts: [{ name: "a", domains: [] }] } })])],
  ["a regular expression that is none", bootstrap([route({}, { safe_regex: { regex: "(" } })])],
  [
    "a format that ends early",
    bootstrap([
      manager({
        access_log: [
          {
            name: "x",
            typed_config: typed("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", {
              log_format: { text_format_source: { inline_string: "%REQ(" } },
            }),
          },
        ],
      }),
    ]),
  ],
  ["TLS without a certificate", bootstrap([manager({})], withTls({}))],
  [
    "a certificate that is none",
    bootstrap([manager({})], withTls({ tls_certificates: [{ certificate_chain: { inline_string: "x" }, private_key: { inline_string: "y" } }] })),
  ],
  [
    "two filter chains that match the same",
    { static_resources: { listeners: [listener("l", [{ filters: [manager({})] }, { filters: [manager({})] }])], clusters: [cluster("c", 1)] } },
  ],
  ["a field that nobody knows", { static_resources: { listenerz: [] } }],
  ["a number where a list belongs", { static_resources: { listeners: 5 } }],
  ["an address that is none", bootstrap([manager({})], { listener: { address: { socket_address: { address: "nowhere", port_value: 0 } } } })],
  [
    "an endpoint without an address",
    bootstrap([manager({})], { clusters: [cluster("c", 1, { load_assignment: { cluster_name: "c", endpoints: [{ lb_endpoints: [{ endpoint: {} }] }] } })] }),
  ],
];

function write(name: string, text: string): string {
  const file = join(folder, name.replaceAll(/\W+/g, "-"));
  writeFileSync(file, text);
  return file;
}

/** Ends by itself, because it refuses; a proxy that starts is stopped, and so has no status. */
function run(program: string, args: readonly string[]): Promise<Pick<SpawnSyncReturns<string>, "status" | "stderr">> {
  return new Promise((resolve) => {
    const child = spawn(program, [...args], { stdio: ["ignore", "ignore", "pipe"], timeout: 60_000 });
    let stderr = "";
    child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
    child.on("close", (status) => resolve({ status, stderr }));
  });
}

describe("weft proxy -c FILE", () => {
  for (const [format, text] of [
    ["JSON", (config: object) => JSON.stringify(config)],
    ["YAML", (config: object) => stringify(config)],
  ] as const)
    it(`serves a bootstrap in ${format}`, async () => {
      const admin = join(folder, `${format}.sock`);
      const config = { admin: { address: { pipe: { path: admin } } }, ...bootstrap([manager({})]) };
      const child = spawn(weft, ["proxy", "-c", write(`good.${format}`, text(config))], { stdio: ["ignore", "ignore", "pipe"] });
      try {
        let page = "";
        for (const until = Date.now() + 30_000; !page.includes("127.0.0.1") && Date.now() < until;)
          page = spawnSync("curl", ["-s", "--retry", "20", "--retry-all-errors", "--retry-delay", "1", "--unix-socket", admin, "http://admin/listeners"], {
            encoding: "utf8",
          }).stdout;
        const port = Number(/^l::127\.0\.0\.1:(\d+)$/m.exec(page)?.[1]);
        assert.ok(port > 0, page);
        assert.match(
          (await rawExchange({ port, send: "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" })).text,
          /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nhere$/,
        );
      } finally {
        child.kill("SIGTERM");
        await new Promise((resolve) => child.once("close", resolve));
      }
      assert.equal(child.exitCode, 0);
    });

  it("says what is wrong with a file that is none, or no YAML", async () => {
    const [missing, broken] = await Promise.all([
      run(weft, ["proxy", "-c", join(folder, "nowhere")]),
      run(weft, ["proxy", "-c", write("broken", "a: [1,\nb")]),
    ]);
    assert.match(missing.stderr, /nowhere: .*no such file/i);
    assert.match(broken.stderr, /broken: bootstrap: .*line \d/);
    assert.deepEqual([missing.status, broken.status], [1, 1]);
  });

  describe("names the field that it does not support", () => {
    for (const [name, config, path] of [...UNSUPPORTED, ...USELESS])
      it(name, async () => {
        assert.match((await refusal(config)) ?? "it was taken", path);
      });
  });

  describe("refuses what Envoy refuses", { concurrency: 2, skip: "missing" in envoy ? `no Envoy here: ${envoy.install}` : false }, () => {
    for (const [name, config] of sampled(INVALID))
      it(name, async () => {
        const validated = run("path" in envoy ? envoy.path : "", ["--mode", "validate", "-l", "critical", "-c", write(name, JSON.stringify(config))]);
        assert.notEqual(await refusal(config), undefined);
        const { status, stderr } = await validated;
        assert.equal(status, 1, `Envoy takes it: ${stderr}`);
      });
  });
});

/** In this process, without a socket: a program for each would take seconds. */
async function refusal(config: object): Promise<string | undefined> {
  const host = realHost();
  const net: Net = {
    listen: async () => ({ address: { ip: "127.0.0.1", port: 1 }, close: async () => undefined }),
    connect: host.net.connect.bind(host.net),
    bind: host.net.bind.bind(host.net),
    tlsServer: host.net.tlsServer.bind(host.net),
    tlsClient: host.net.tlsClient.bind(host.net),
  };
  try {
    await (await startProxy({ ...host, net }, { bootstrap: JSON.stringify(config) })).stop();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof ConfigProblem || error instanceof HostError, String(error));
    return error.message;
  }
}

/** Each case starts an Envoy. */
function sampled<T>(all: readonly T[]): readonly T[] {
  if (process.env["WEFT_TEST_LONG"] !== undefined) return all;
  const seed = Number(process.env["WEFT_TEST_SEED"] ?? 0);
  return all.filter((_, i) => (i + seed) % 3 === 0);
}

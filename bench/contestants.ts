/**
 * The proxies of the benchmarks and how each is told to do the same work: one worker, keep-alive to the backend, no
 * access log. Weft and Envoy read the same bootstrap.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CertificateFiles } from "./certificates.ts";
import { ensureEnvoy, findProgram } from "#tools/peers.ts";

/** Plain: HTTP in, HTTP out. Client: HTTP in, mTLS out. Server: mTLS in, HTTP out. */
export type Role = "plain" | "client" | "server";

export interface Hop {
  readonly role: Role;
  readonly port: number;
  readonly upstreamPort: number;
  readonly certificates: CertificateFiles;
  /** For configuration and scratch files. */
  readonly folder: string;
}

export interface Contestant {
  readonly name: string;
  /** How to get it, when it is not on this machine. */
  readonly missing?: string;
  /** Writes the configuration and answers the command that runs it in the foreground. */
  command(hop: Hop): readonly [string, ...string[]];
}

export function contestants(root: string): readonly Contestant[] {
  return [weft(root), nginx(), haproxy(), envoy()];
}

function weft(root: string): Contestant {
  return {
    name: "weft",
    command: (hop) => [process.execPath, "--max-semi-space-size=16", join(root, "src/bin/proxy.ts"), "-c", writeBootstrap(hop)],
  };
}

function envoy(): Contestant {
  const found = ensureEnvoy();
  if ("missing" in found) return { name: "envoy", missing: found.install, command: () => [found.missing] };
  return { name: "envoy", command: (hop) => [found.path, "-c", writeBootstrap(hop), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"] };
}

function writeBootstrap(hop: Hop): string {
  const path = join(hop.folder, `bootstrap-${hop.port}.json`);
  writeFileSync(path, JSON.stringify(bootstrap(hop), undefined, 1));
  return path;
}

function bootstrap(hop: Hop): object {
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "bench",
    codec_type: "HTTP1",
    route_config: { name: "bench", virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "backend" } }] }] },
    http_filters: [{ name: "envoy.filters.http.router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }],
  };
  const tls = {
    tls_certificates: [{ certificate_chain: { filename: hop.certificates.certificate }, private_key: { filename: hop.certificates.key } }],
    validation_context: { trusted_ca: { filename: hop.certificates.ca } },
  };
  const type = (name: string): string => `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${name}`;
  const downstream = { "@type": type("DownstreamTlsContext"), require_client_certificate: true, common_tls_context: tls };
  const upstream = { "@type": type("UpstreamTlsContext"), common_tls_context: tls };
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

function nginx(): Contestant {
  const program = findProgram("nginx");
  if (program === undefined) return { name: "nginx", missing: "apt-get install nginx-light", command: () => ["nginx"] };
  return {
    name: "nginx",
    command: (hop) => {
      const path = join(hop.folder, `nginx-${hop.port}.conf`);
      writeFileSync(path, nginxConfiguration(hop.folder, hop.port, nginxProxy(hop)));
      return [program, "-c", path];
    },
  };
}

function nginxProxy(hop: Hop): string {
  const { certificate, key, ca } = hop.certificates;
  const listen =
    hop.role === "server"
      ? `listen 127.0.0.1:${hop.port} ssl; ssl_protocols TLSv1.3; ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_client_certificate ${ca}; ssl_verify_client on;`
      : `listen 127.0.0.1:${hop.port};`;
  const upstream =
    hop.role === "client"
      ? `proxy_pass https://backend; proxy_ssl_certificate ${certificate}; proxy_ssl_certificate_key ${key}; proxy_ssl_trusted_certificate ${ca};
         proxy_ssl_verify on; proxy_ssl_protocols TLSv1.3; proxy_ssl_name bench.example.org; proxy_ssl_server_name on;`
      : "proxy_pass http://backend;";
  return `upstream backend { server 127.0.0.1:${hop.upstreamPort}; keepalive 256; keepalive_requests 1000000000; }
    server { ${listen} keepalive_requests 1000000000;
      location / { ${upstream} proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } }`;
}

/** Also the backend is an nginx: it answers 100 bytes from memory. */
export function nginxBackend(folder: string, port: number): readonly [string, ...string[]] {
  const program = findProgram("nginx");
  if (program === undefined) throw new Error("the benchmarks' backend is nginx; install it: apt-get install nginx-light");
  const path = join(folder, "backend.conf");
  const server = `server { listen 127.0.0.1:${port}; keepalive_requests 1000000000; location / { return 200 "${"x".repeat(100)}"; } }`;
  writeFileSync(path, nginxConfiguration(folder, port, server));
  return [program, "-c", path];
}

function nginxConfiguration(folder: string, port: number, http: string): string {
  const scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/nginx-${port}-${name};`).join(" ");
  return `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx-${port}.pid; error_log ${folder}/nginx-${port}.log crit;
  events { worker_connections 4096; }
  http { access_log off; ${scratch} ${http} }
`;
}

function haproxy(): Contestant {
  const program = findProgram("haproxy");
  if (program === undefined) return { name: "haproxy", missing: "apt-get install haproxy", command: () => ["haproxy"] };
  return {
    name: "haproxy",
    command: (hop) => {
      const path = join(hop.folder, `haproxy-${hop.port}.cfg`);
      const { bundle, ca } = hop.certificates;
      const bind = hop.role === "server" ? ` ssl crt ${bundle} ca-file ${ca} verify required ssl-min-ver TLSv1.3` : "";
      const server = hop.role === "client" ? ` ssl crt ${bundle} ca-file ${ca} verify required sni str(bench.example.org) ssl-min-ver TLSv1.3` : "";
      writeFileSync(
        path,
        `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${hop.port}${bind}
  default_backend out
backend out
  server backend 127.0.0.1:${hop.upstreamPort}${server}
`,
      );
      return [program, "-f", path, "-db"];
    },
  };
}

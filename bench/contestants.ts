/**
 * The proxies of the benchmarks and how each is told to do the same work: one worker, keep-alive without limit on both
 * sides, no access log; between hops TLS 1.3 with AES-128-GCM and X25519 (what Envoy chooses) and certificates that both
 * sides check. Weft and Envoy read the same bootstrap; Weft is started as `weft up` starts a sidecar.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundledPrograms } from "#cli/up/bundled-programs.ts";
import { realHost } from "#host/real/real.ts";
import { preloaded, programFile, SMALL_HEAP_OPTIONS } from "#model/config.ts";
import { ensureEnvoy, findProgram } from "#tools/peers.ts";
import { writeBootstrap } from "./bootstrap.ts";
import type { Hop } from "./hop.ts";

export type Command = readonly [string, ...string[]];

export interface Contestant {
  readonly name: string;
  /** How to get it, when it is not on this machine. */
  readonly missing?: string;
  /** Writes the configuration and answers the command that runs it in the foreground. */
  command(hop: Hop): Command;
}

const KEEP_ALIVE = "keepalive_requests 1000000000";
const CIPHER = "TLS_AES_128_GCM_SHA256";
const CURVE = "X25519";

export async function contestants(root: string): Promise<readonly Contestant[]> {
  return [await weft(root), nginx(), haproxy(), envoy()];
}

async function weft(root: string): Promise<Contestant> {
  const programs = await bundledPrograms(realHost(), { sourceRoot: root, pid: process.pid, err: (text) => void process.stderr.write(text) });
  if (programs.extension === "ts") console.log("NOTE: no bundle could be made in dist/, so weft runs from its sources: it starts slower and is larger");
  const node = [...SMALL_HEAP_OPTIONS, ...preloaded(programs, root), programFile(programs, "proxy")];
  return { name: "weft", command: (hop) => [process.execPath, ...node, "-c", writeBootstrap(hop)] };
}

function envoy(): Contestant {
  const found = ensureEnvoy();
  if ("missing" in found) return { name: "envoy", missing: found.install, command: () => [found.missing] };
  return { name: "envoy", command: (hop) => [found.path, "-c", writeBootstrap(hop), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"] };
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
      ? `listen 127.0.0.1:${hop.port} ssl; ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites ${CIPHER}; ssl_ecdh_curve ${CURVE};
         ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_client_certificate ${ca}; ssl_verify_client on;`
      : `listen 127.0.0.1:${hop.port};`;
  const upstream =
    hop.role === "client"
      ? `proxy_pass https://backend; proxy_ssl_certificate ${certificate}; proxy_ssl_certificate_key ${key}; proxy_ssl_trusted_certificate ${ca};
         proxy_ssl_conf_command Ciphersuites ${CIPHER}; proxy_ssl_conf_command Groups ${CURVE};
         proxy_ssl_verify on; proxy_ssl_protocols TLSv1.3; proxy_ssl_name bench.example.org; proxy_ssl_server_name on;`
      : "proxy_pass http://backend;";
  return `upstream backend { server 127.0.0.1:${hop.upstreamPort}; keepalive 256; ${KEEP_ALIVE}; }
    server { ${listen} ${KEEP_ALIVE};
      location / { ${upstream} proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } }`;
}

/** Also the backend is an nginx: it answers 100 bytes from memory. */
export function nginxBackend(folder: string, port: number): Command {
  const path = join(folder, "backend.conf");
  const server = `server { listen 127.0.0.1:${port}; ${KEEP_ALIVE}; location / { return 200 "${"x".repeat(100)}"; } }`;
  writeFileSync(path, nginxConfiguration(folder, port, server));
  return [findProgram("nginx") ?? "nginx", "-c", path];
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
      writeFileSync(path, haproxyConfiguration(hop));
      return [program, "-f", path, "-db"];
    },
  };
}

function haproxyConfiguration({ role, port, upstreamPort, certificates: { bundle, ca } }: Hop): string {
  const tls = `ssl crt ${bundle} ca-file ${ca} verify required ssl-min-ver TLSv1.3 ciphersuites ${CIPHER}`;
  const bind = role === "server" ? ` ${tls} curves ${CURVE}` : "";
  const server = role === "client" ? ` ${tls} sni str(bench.example.org)` : "";
  return `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${port}${bind}
  default_backend out
backend out
  server backend 127.0.0.1:${upstreamPort}${server}
`;
}

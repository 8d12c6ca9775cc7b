/** Weft's proxy as a process of its own, fed by Weft's xDS server over delta ADS; and backends that it sends to. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realHost } from "#host/real/real.ts";
import type { ProxyPlans } from "#model/plan/proxy-plan.ts";
import { SMALL_HEAP_OPTIONS } from "#model/config.ts";
import { DELTA_ADS, startXds } from "#xds/xds.ts";
import { adminPage } from "../peers/admin-page.ts";

export interface AdsProxy {
  /** Of its only listener. */
  readonly port: number;
  /** Updates that it refused. */
  readonly refused: readonly string[];
  /** Resolves when nothing is in flight to it. */
  settled(): Promise<void>;
  admin(path: string): Promise<string>;
  stop(): Promise<void>;
}

const root = join(import.meta.dirname, "../..");
const READY_MS = 60_000;

export async function startAdsProxy(plans: ProxyPlans): Promise<AdsProxy> {
  const folder = mkdtempSync(join(tmpdir(), "weft-changes-"));
  const host = realHost();
  const refused: string[] = [];
  const waiting: (() => void)[] = [];
  const xds = startXds(host, {
    plans,
    authorize: () => ({ proxy: "default/shop" }),
    rejected: (_proxy, _typeUrl, message) => void refused.push(message),
    settled: () => {
      for (const resolve of waiting.splice(0)) resolve();
    },
  });
  const server = await host.rpc.serve({ address: { path: join(folder, "xds.sock") }, methods: { [DELTA_ADS]: xds.methods[DELTA_ADS] ?? failed() } });
  writeFileSync(join(folder, "bootstrap.json"), JSON.stringify(bootstrap(folder)));
  const program = [...SMALL_HEAP_OPTIONS, join(root, "src/bin/proxy.ts"), "-c", join(folder, "bootstrap.json")];
  const child = spawn(process.execPath, program, { stdio: ["ignore", "ignore", "pipe"] });
  const admin = (path: string): Promise<string> => adminPage(join(folder, "admin.sock"), path);
  const stop = async (): Promise<void> => {
    await end(child);
    xds.stop();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const port = await listeningPort(child, admin);
    return { port, refused, admin, stop, settled: () => (xds.busy ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

async function listeningPort(child: ChildProcess, admin: (path: string) => Promise<string>): Promise<number> {
  let said = "";
  child.stderr?.on("data", (bytes: Buffer) => (said += bytes.toString()));
  for (const until = Date.now() + READY_MS; Date.now() < until; await new Promise((done) => setTimeout(done, 30))) {
    if (child.exitCode !== null) throw new Error(`the proxy ended: ${said}`);
    if (!(await admin("/ready").catch(() => "")).includes("LIVE")) continue;
    const port = /::127\.0\.0\.1:(\d+)/.exec(await admin("/listeners"))?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`the proxy is not ready: ${said}`);
}

function bootstrap(folder: string): object {
  const grpc = { api_type: "DELTA_GRPC", transport_api_version: "V3", grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }] };
  const ads = { ads: {}, resource_api_version: "V3" };
  const endpoint = { address: { pipe: { path: join(folder, "xds.sock") } } };
  return {
    node: { id: "sidecar~10.0.0.1~shop.default~default.svc.cluster.local", cluster: "shop" },
    admin: { address: { pipe: { path: join(folder, "admin.sock") } } },
    dynamic_resources: { ads_config: grpc, lds_config: ads, cds_config: ads },
    static_resources: {
      clusters: [
        {
          name: "xds-grpc",
          type: "STATIC",
          connect_timeout: "5s",
          load_assignment: { cluster_name: "xds-grpc", endpoints: [{ lb_endpoints: [{ endpoint }] }] },
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        },
      ],
    },
  };
}

function failed(): never {
  throw new Error("the xDS server has no delta ADS");
}

export interface Backends {
  readonly ports: readonly number[];
  stop(): void;
}

/** Each answers every whole request with as many bytes as the path says, and its own name. */
export async function startBackends(count: number): Promise<Backends> {
  const stops: (() => void)[] = [];
  const ports: number[] = [];
  for (let index = 0; index < count; index++) {
    const server = createServer({ noDelay: true }, (socket) => {
      stops.push(() => void socket.destroy());
      socket.on("error", () => undefined);
      socket.setEncoding("latin1");
      let text = "";
      socket.on("data", (chunk: string) => {
        text += chunk;
        // A body of these tests ends with one of these.
        const isWhole = text.endsWith("\r\n\r\n")
          ? text.startsWith("GET") || text.endsWith("\r\n0\r\n\r\n")
          : text.endsWith("request") && !text.includes("chunked");
        if (!isWhole) return;
        const body = "x".repeat(Number(/^\S+ \/(\d+)/.exec(text)?.[1]));
        text = "";
        socket.write(`HTTP/1.1 200 OK\r\nx-backend: ${index}\r\ncontent-length: ${body.length}\r\n\r\n${body}`, "latin1");
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    ports.push((server.address() as AddressInfo).port);
    stops.push(() => void server.close());
  }
  return {
    ports,
    stop() {
      for (const stop of stops) stop();
    },
  };
}

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { authority } from "#host/contract/certificates.ts";
import type { HttpExchange } from "#host/http.ts";
import { realHost } from "#host/real/real.ts";
import type { AppProbe } from "#model/app-probes.ts";
import { silentLog } from "#run/log.ts";
import { HEALTH_CHECK } from "#wire/grpc-health.ts";
import { serveAppProbes } from "./app-probes.ts";

const host = realHost();
const LOOPBACK = "127.0.0.1";

describe("an application's probes, asked by its proxy", () => {
  const stops: (() => Promise<void>)[] = [];
  const seen: { url: string; headers: Readonly<Record<string, string>>; from: string }[] = [];
  let port = 0;

  const portOf = (address: { readonly port?: number }): number => address.port ?? 0;

  before(async () => {
    const onRequest = (exchange: HttpExchange): void => {
      seen.push({ url: exchange.url, headers: exchange.headers, from: exchange.peer.address });
      if (exchange.url === "/slow") return;
      exchange.respond(exchange.url === "/moved" ? 302 : exchange.url === "/busy" ? 429 : 200, {}, "");
    };
    const plain = await host.http.serve({ address: { ip: LOOPBACK, port: 0 } }, { onRequest });
    const ca = await authority("probes");
    const tls = await host.http.serve(
      { address: { ip: LOOPBACK, port: 0 }, tls: await ca.issue([{ type: "dns", value: "elsewhere.example.org" }]) },
      { onRequest },
    );
    const health = await host.rpc.serve({
      address: { ip: LOOPBACK, port: 0 },
      methods: {
        [HEALTH_CHECK]: (call) => ({
          onMessage(message) {
            const service = Buffer.from(message.subarray(2)).toString();
            if (service === "unknown") return call.end(5, "unknown service");
            call.send(Uint8Array.of(8, service === "sick" ? 2 : 1));
            call.end();
          },
        }),
      },
    });
    const listener = await host.net.listen({ address: { ip: LOOPBACK, port: 0 } }, (connection) => connection.destroy());
    const http = portOf(plain.address as { port: number });
    const grpc = portOf(health.address as { port: number });
    const get = (path: string, more: Partial<NonNullable<AppProbe["httpGet"]>> = {}): AppProbe => ({
      httpGet: { port: http, path, scheme: "HTTP", ...more },
      timeoutSeconds: path === "/slow" ? 0.2 : 2,
    });
    const probes: Record<string, AppProbe> = {
      "/app-health/a/livez": get("/live?deep=1", { httpHeaders: [{ name: "X-Who", value: "kubelet" }] }),
      "/app-health/a/readyz": get("/busy"),
      "/app-health/a/startupz": get("/moved"),
      "/app-health/slow/livez": get("/slow"),
      "/app-health/gone/livez": { httpGet: { port: 1, path: "/", scheme: "HTTP" }, timeoutSeconds: 1 },
      "/app-health/tls/livez": { httpGet: { port: portOf(tls.address as { port: number }), path: "/", scheme: "HTTPS" }, timeoutSeconds: 2 },
      "/app-health/tcp/livez": { tcpSocket: { port: portOf(listener.address as { port: number }) }, timeoutSeconds: 1 },
      "/app-health/tcp/readyz": { tcpSocket: { port: 1 }, timeoutSeconds: 1 },
      "/app-health/grpc/livez": { grpc: { port: grpc, service: "" }, timeoutSeconds: 2 },
      "/app-health/grpc/readyz": { grpc: { port: grpc, service: "sick" }, timeoutSeconds: 2 },
      "/app-health/grpc/startupz": { grpc: { port: grpc, service: "unknown" }, timeoutSeconds: 2 },
      "/app-health/grpc2/livez": { grpc: { port: 1, service: "" }, timeoutSeconds: 2 },
    };
    const server = await serveAppProbes(host, { probes, podIP: LOOPBACK, port: 0, sourceIp: "127.0.0.6", log: silentLog });
    port = portOf(server.address as { port: number });
    stops.push(
      () => server.close(),
      () => plain.close(),
      () => tls.close(),
      () => health.close(),
      () => listener.close(),
    );
  });
  after(() => Promise.all(stops.map((stop) => stop())));

  const cases: readonly { path: string; status: number; says?: RegExp; what: string }[] = [
    { what: "an HTTP answer", path: "/app-health/a/livez", status: 200 },
    { what: "a failure of the application keeps its status", path: "/app-health/a/readyz", status: 429, says: /statuscode: 429/ },
    { what: "a redirect is a success", path: "/app-health/a/startupz", status: 200 },
    { what: "no answer in time", path: "/app-health/slow/livez", status: 503, says: /no answer within 200 ms/ },
    { what: "nobody listens", path: "/app-health/gone/livez", status: 503, says: /ECONNREFUSED/ },
    { what: "HTTPS with any certificate", path: "/app-health/tls/livez", status: 200 },
    { what: "an open port", path: "/app-health/tcp/livez", status: 200 },
    { what: "a closed port", path: "/app-health/tcp/readyz", status: 503 },
    { what: "gRPC: serving", path: "/app-health/grpc/livez", status: 200 },
    { what: "gRPC: not serving", path: "/app-health/grpc/readyz", status: 503, says: /service "sick" is NOT_SERVING/ },
    { what: "gRPC: no such service", path: "/app-health/grpc/startupz", status: 503, says: /gRPC status 5: unknown service/ },
    { what: "gRPC: nobody listens", path: "/app-health/grpc2/livez", status: 503 },
    { what: "a container that is not in the pod", path: "/app-health/other/livez", status: 404 },
    { what: "a name that objects have", path: "/constructor", status: 404 },
  ];
  for (const { what, path, status, says } of cases) {
    it(what, async () => {
      const response = await host.http.request({ method: "GET", url: `http://${LOOPBACK}:${port}${path}`, timeoutMs: 5_000 });
      const text = await response.text();
      assert.equal(response.status, status, text);
      if (says !== undefined) assert.match(text, says);
    });
  }

  it("asks with the path and the headers of the pod, from the address that is not intercepted", () => {
    const asked = seen.find(({ url }) => url === "/live?deep=1");
    assert.equal(asked?.headers["x-who"], "kubelet");
    assert.match(asked?.headers["user-agent"] ?? "", /^kube-probe/);
    assert.match(asked?.from ?? "", /^127\.0\.0\.6/);
  });
});

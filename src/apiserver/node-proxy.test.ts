import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { realClock } from "#host/real/clock.ts";
import { realHttp } from "#host/real/http.ts";
import { realRandom } from "#host/real/random.ts";
import { realStorage } from "#host/real/storage.ts";
import type { Http, HttpServer } from "#host/http.ts";
import { testAuthority } from "./test-certificates.ts";
import { startTestServer, type TestServer } from "./test-server.ts";

const real = realHttp();

/** A node's pod runtime: says what it was asked; exec echoes standard input until it is closed. */
function startNode(tls: { readonly certificate: string; readonly privateKey: string }, clientCa: string): Promise<HttpServer> {
  return real.serve(
    { address: { ip: "127.0.0.1", port: 0 }, tls: { ...tls, clientCa } },
    {
      onRequest(exchange) {
        const who = exchange.peer.certificate?.commonName ?? "nobody";
        const stream = exchange.stream(200, { "content-type": "text/plain" }, () => undefined);
        stream.write(`${exchange.method} ${exchange.url} by ${who}\n`);
        stream.end();
      },
      onUpgrade(upgrade) {
        if (upgrade.url.includes("/nothing?")) return upgrade.refuse(404, {}, "no such container\n");
        const connection = upgrade.accept(upgrade.protocols[0], {
          onMessage(bytes) {
            // v5: channel 255 says which channel was closed.
            if (bytes[0] === 0 && bytes.length > 1) connection.send(Buffer.concat([Buffer.from([1]), Buffer.from("echo "), bytes.subarray(1)]));
            if (bytes[0] === 255) finish();
          },
          onClose: () => undefined,
        });
        const finish = () => {
          connection.send(Buffer.concat([Buffer.from([3]), Buffer.from('{"metadata":{},"status":"Success"}')]));
          connection.close(1000);
        };
        connection.send(Buffer.concat([Buffer.from([1]), Buffer.from(`${upgrade.url}\n`)]));
        if (!upgrade.url.includes("stdin=true")) finish();
      },
    },
  );
}

function hasKubectl(): boolean {
  try {
    execFileSync("kubectl", ["version", "--client"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe("node proxy", () => {
  let server: TestServer;
  let node: HttpServer;
  let port = 0;

  before(async () => {
    const authority = await testAuthority();
    node = await startNode(await authority.issue("CN=node", { addresses: ["127.0.0.1"] }), authority.ca);
    port = "ip" in node.address ? node.address.port : 0;
    // The runtime's fixed port, moved to where this test's node listens.
    const moved = <T extends { readonly url: string }>(options: T): T => ({ ...options, url: options.url.replace(":10250", `:${port}`) });
    const http: Http = {
      serve: real.serve,
      request: (options) => real.request(moved(options)),
      webSocket: (options, handler) => real.webSocket(moved(options), handler),
    };
    const nodeClientTls = { ca: authority.ca, ...(await authority.issue("CN=apiserver")) };
    server = await startTestServer({ host: { http, storage: realStorage(), clock: realClock(), random: realRandom() }, nodeClientTls }, authority);
    await send("POST", "/api/v1/nodes", { metadata: { name: "n1" }, status: { addresses: [{ type: "InternalIP", address: "127.0.0.1" }] } });
    const containers = [
      { name: "app", image: "i:1" },
      { name: "istio-proxy", image: "p:1" },
    ];
    await send("POST", "/api/v1/namespaces/default/pods", { metadata: { name: "p" }, spec: { nodeName: "n1", containers } });
    await send("POST", "/api/v1/namespaces/default/pods", { metadata: { name: "loose" }, spec: { containers } });
    const image = { image: "i:1", imageID: "i:1" };
    const running = (name: string) => ({ ...image, name, ready: true, restartCount: 0, state: { running: { startedAt: "2026-01-01T00:00:00Z" } } });
    const waiting = { ...image, name: "istio-proxy", ready: false, restartCount: 1, state: { waiting: { reason: "CrashLoopBackOff" } } };
    const pod = JSON.parse(await send("GET", "/api/v1/namespaces/default/pods/p")) as object;
    await send("PUT", "/api/v1/namespaces/default/pods/p/status", { ...pod, status: { containerStatuses: [running("app"), waiting] } });
  });
  after(async () => {
    await server.stop();
    await node.close();
  });

  async function send(method: string, path: string, body?: unknown): Promise<string> {
    const response = await real.request({ method, url: server.url + path, tls: server.admin, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    return response.text();
  }

  function kubectl(args: readonly string[], input = ""): Promise<{ readonly out: string; readonly err: string }> {
    return new Promise((resolve) => {
      const env = { ...process.env, KUBECONFIG: server.kubeconfig, HOME: server.folder };
      const child = execFile("kubectl", [...args], { env, timeout: 20_000 }, (_error, out, err) => resolve({ out, err }));
      child.stdin?.end(input);
    });
  }

  test("logs come from the pod's node, asked for by the server", async () => {
    const log = "/api/v1/namespaces/default/pods/p/log";
    assert.equal(await send("GET", `${log}?container=app&tailLines=3`), "GET /containerLogs/default/p/app?tailLines=3 by apiserver\n");
    assert.match(await send("GET", log), /a container name must be specified for pod p, choose one of: \[app istio-proxy\]/);
    assert.match(await send("GET", `${log}?container=x`), /container x is not valid for pod p/);
    assert.match(await send("GET", log.replace("/p/", "/loose/") + "?container=app"), /pod loose does not have a host assigned/);
    assert.match(await send("GET", log.replace("/p/", "/gone/")), /pods \\"gone\\" not found/);
  });

  test("a node's pages are reached through the server, on any port", async () => {
    assert.equal(await send("GET", `/api/v1/nodes/n1:${port}/proxy/metrics/x?a=b`), "GET /metrics/x?a=b by apiserver\n");
    assert.equal(await send("GET", "/api/v1/nodes/n1/proxy/healthz"), "GET /healthz by apiserver\n");
    assert.match(await send("GET", "/api/v1/nodes/n1:1/proxy/x"), /error trying to reach https:\/\/127\.0\.0\.1:1\/x/);
    assert.match(await send("GET", "/api/v1/nodes/gone/proxy/x"), /nodes \\"gone\\" not found/);
  });

  test("exec speaks v5 and v4 and passes the node's refusal on", async () => {
    for (const protocol of ["v5.channel.k8s.io", "v4.channel.k8s.io"]) {
      let text = "";
      const closed = Promise.withResolvers<void>();
      const opened = await real.webSocket(
        { url: `${server.url}/api/v1/namespaces/default/pods/p/exec?container=app&command=ls&stdout=true`, protocols: [protocol], tls: server.admin },
        { onMessage: (bytes) => void (text += Buffer.from(bytes).toString("latin1")), onClose: () => closed.resolve() },
      );
      await closed.promise;
      assert.equal(opened.protocol, protocol);
      assert.ok(text.startsWith("\u0001/exec/default/p/app?command=ls&stdout=true\n\u0003{"), JSON.stringify(text));
    }
    const refused = (path: string, protocols: readonly string[]) =>
      real.webSocket({ url: server.url + path, protocols, tls: server.admin }, { onMessage: () => undefined, onClose: () => undefined });
    await assert.rejects(
      refused("/api/v1/namespaces/default/pods/p/exec?container=app&command=ls", ["v1.channel.k8s.io"]),
      /exec speaks the WebSocket subprotocols/,
    );
    const pod = "/api/v1/namespaces/default/pods/p";
    await assert.rejects(refused(`${pod}/portforward`, ["v5.channel.k8s.io"]), /port-forward is not supported by Weft's API server/);
    await assert.rejects(refused(`${pod}/attach`, ["v5.channel.k8s.io"]), /attach is not supported by Weft's API server.*kubectl logs -f POD/);
    const idle = /container \\"istio-proxy\\" of pod default\/p is not running: CrashLoopBackOff/;
    await assert.rejects(refused(`${pod}/exec?container=istio-proxy&command=ls`, ["v5.channel.k8s.io"]), idle);
    await assert.rejects(refused(`${pod}/exec?container=nobody&command=ls`, ["v5.channel.k8s.io"]), /container nobody is not valid for pod p/);
    await assert.rejects(
      real.webSocket(
        { url: `${server.url}/api/v1/namespaces/default/pods/p/exec?command=ls`, protocols: ["v5.channel.k8s.io"], tls: { ca: server.admin.ca } },
        { onMessage: () => undefined, onClose: () => undefined },
      ),
      (error: { readonly code?: string }) => error.code === "HTTP_403",
    );
  });

  test(
    "kubectl logs and exec work, with standard input",
    { skip: hasKubectl() ? false : "kubectl is not installed: logs and exec are NOT tried with it" },
    async () => {
      assert.match((await kubectl(["logs", "p", "-c", "app"])).out, /GET \/containerLogs\/default\/p\/app/);
      assert.match((await kubectl(["exec", "p", "-c", "app", "--", "ls", "-l"])).out, /\/exec\/default\/p\/app\?command=ls&command=-l&stderr=true&stdout=true/);
      const { out, err } = await kubectl(["exec", "-i", "p", "-c", "app", "--", "cat"], "hello\n");
      assert.match(out, /echo hello/, err);
      assert.match(
        (await kubectl(["exec", "p", "-c", "istio-proxy", "--", "ls"])).err,
        /container "istio-proxy" of pod default\/p is not running: CrashLoopBackOff/,
      );
      assert.match((await kubectl(["attach", "p", "-c", "app"])).err, /attach is not supported by Weft's API server/);
    },
  );
});

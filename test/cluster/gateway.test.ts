/** HTTPS at the gateway: certificates of Secrets by both kinds of Gateway, names, redirects, and certificates that change or go. */
import assert from "node:assert/strict";
import { Agent, request } from "node:https";
import { after, before, describe, test } from "node:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { issueKeyPair, newMeshRoot } from "#ca/root.ts";
import type { KeyPair } from "#ca/ca.ts";
import { get } from "#tools/demo/requests.ts";
import { conditionsOf, eventually, startMeshCluster, type MeshCluster } from "./mesh-cluster.ts";

let cluster: MeshCluster;
let folder: string;
let root: KeyPair;

interface Answer {
  readonly status: number;
  readonly serial: string;
  readonly socket: TLSSocket;
}

/** GET https://HOST/PATH at the machine's port, the certificate checked as a browser does; status 0: no answer. */
function getHttps(
  host: string,
  path: string,
  options: { readonly agent?: Agent; readonly sni?: string } = {},
): Promise<Answer | { readonly status: 0; readonly error: string }> {
  return new Promise((resolve) => {
    const { agent, sni = host } = options;
    const asked = request(
      {
        host: "127.0.0.1",
        port: cluster.httpsPort,
        servername: sni,
        path,
        ca: root.certificate,
        headers: { host },
        timeout: 10_000,
        agent: agent ?? new Agent(),
      },
      (response) => {
        const socket = response.socket as TLSSocket;
        const serial = socket.getPeerX509Certificate()?.serialNumber ?? "";
        response.resume();
        response.on("end", () => resolve({ status: response.statusCode ?? 0, serial, socket }));
      },
    );
    asked.on("timeout", () => asked.destroy(new Error("no answer within 10 s")));
    asked.on("error", (error) => resolve({ status: 0, error: error.message }));
    asked.end();
  });
}

async function putSecret(namespace: string, name: string, dnsNames: readonly string[]): Promise<void> {
  const { certificate, privateKey } = await issueKeyPair(cluster.context.host, root, { dnsNames, usages: ["server"], lifetimeMs: 3_600_000 });
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const data = { "tls.crt": base64(certificate), "tls.key": base64(privateKey) };
  const object = { apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, type: "kubernetes.io/tls", data };
  assert.ok((await cluster.put(`/api/v1/namespaces/${namespace}/secrets/${name}`, object)).status < 300);
}

const gateways = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  selector: { istio: ingressgateway }
  servers:
    - { port: { number: 443, name: https, protocol: HTTPS }, hosts: [shop.example.org], tls: { mode: SIMPLE, credentialName: shop } }
    - { port: { number: 80, name: http, protocol: HTTP }, hosts: [shop.example.org], tls: { httpsRedirect: true } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: edge }
spec:
  hosts: [shop.example.org]
  gateways: [edge]
  http: [{ route: [{ destination: { host: productpage, port: { number: 9080 } } }] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: api }
spec:
  gatewayClassName: weft
  listeners:
    - { name: https, port: 443, hostname: "*.api.example.org", protocol: HTTPS, tls: { certificateRefs: [{ name: api }] } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: api }
spec:
  parentRefs: [{ name: api }]
  hostnames: [details.api.example.org]
  rules: [{ backendRefs: [{ name: details, port: 9080 }] }]
`;

const SHOP = "shop.example.org";
const DETAILS = "details.api.example.org";
const statusIs =
  (status: number) =>
  (answer: { readonly status: number }): boolean =>
    answer.status === status;

describe("HTTPS at the gateway", { timeout: 280_000 }, () => {
  before(async () => {
    cluster = await startMeshCluster(`tls${process.pid}`, "examples/bookinfo/cluster.yaml");
    folder = mkdtempSync(join(cluster.user.home, "gateway-"));
    root = await newMeshRoot(cluster.context.host);
    await cluster.apply("examples/bookinfo");
    await putSecret("istio-system", "shop", [SHOP]);
    await putSecret("default", "api", ["*.api.example.org"]);
    const file = join(folder, "gateways.yaml");
    writeFileSync(file, gateways);
    assert.deepEqual(await cluster.apply(file), []);
    await eventually(() => get(`${cluster.gateway}/productpage`).catch(() => ({ status: 0 })), statusIs(200));
  });
  after(() => cluster?.stop());

  test("an Istio Gateway serves with the Secret that credentialName names", async () => {
    const answer = await eventually(() => getHttps(SHOP, "/productpage"), statusIs(200));
    assert.equal(answer.status, 200, "error" in answer ? answer.error : "");
    for (const { status, message } of (await conditionsOf(cluster, "/apis/networking.istio.io/v1/namespaces/default/gateways/edge")).values())
      assert.equal(status, "True", message);
  });

  test("a Gateway of the Gateway API serves with that of certificateRefs, by a wildcard", async () => {
    const answer = await eventually(() => getHttps(DETAILS, "/details/0"), statusIs(200));
    assert.equal(answer.status, 200, "error" in answer ? answer.error : "");
    for (const { type, status, message } of (await conditionsOf(cluster, "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/api")).values())
      assert.equal(status, "True", `${type}: ${message}`);
  });

  test("a name that nobody serves gets no certificate, and a name in TLS opens no other host's routes", async () => {
    assert.equal((await getHttps("other.example.org", "/productpage")).status, 0);
    assert.equal((await getHttps(DETAILS, "/details/0", { sni: SHOP })).status, 404);
    assert.equal((await getHttps(SHOP, "/productpage", { sni: "x.api.example.org" })).status, 404);
  });

  test("httpsRedirect sends clients of plain HTTP to HTTPS, path and query included, and only those of its hosts", async () => {
    const { status, headers } = await get(`${cluster.gateway}/productpage?a=b`, { host: SHOP });
    assert.equal(status, 301);
    assert.equal(headers.location, `https://${SHOP}/productpage?a=b`);
    assert.equal((await get(`${cluster.gateway}/productpage`)).status, 200);
  });

  test("an AuthorizationPolicy for a Gateway holds at its listeners and at no other's", async () => {
    const targetRefs = [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "api" }];
    const spec = { targetRefs, action: "DENY", rules: [{ to: [{ operation: { paths: ["/details/1*"] } }] }] };
    const path = "/apis/security.istio.io/v1/namespaces/default/authorizationpolicies/not-1";
    const metadata = { name: "not-1", namespace: "default" };
    assert.ok((await cluster.put(path, { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec })).status < 300);
    assert.equal((await eventually(() => getHttps(DETAILS, "/details/1"), statusIs(403))).status, 403);
    assert.equal((await getHttps(DETAILS, "/details/0")).status, 200);
    assert.notEqual((await getHttps(SHOP, "/details/1")).status, 403);
    for (const { type, status, message } of (await conditionsOf(cluster, path)).values()) assert.equal(status, "True", `${type}: ${message}`);
  });

  test("a new certificate is shown to new connections, and those that stand go on", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const before = await getHttps(SHOP, "/productpage", { agent });
    assert.ok("serial" in before);
    await putSecret("istio-system", "shop", [SHOP]);
    const renewed = await eventually(
      () => getHttps(SHOP, "/productpage"),
      (answer) => "serial" in answer && answer.serial !== before.serial,
    );
    assert.ok("serial" in renewed && renewed.serial !== before.serial);
    assert.equal(renewed.status, 200);
    const again = await getHttps(SHOP, "/productpage", { agent });
    assert.ok("serial" in again);
    assert.equal(again.status, 200);
    assert.equal(again.socket, before.socket, "the same connection");
    agent.destroy();
  });

  test("a certificate that goes is told on the status, and takes nothing else along", async () => {
    assert.equal((await cluster.api.request("DELETE", "/api/v1/namespaces/istio-system/secrets/shop")).status, 200);
    assert.equal((await eventually(() => getHttps(SHOP, "/productpage"), statusIs(0))).status, 0);
    const told = await eventually(
      async () => (await conditionsOf(cluster, "/apis/networking.istio.io/v1/namespaces/default/gateways/edge")).get("ResolvedRefs"),
      (condition) => condition?.status === "False",
    );
    assert.equal(told?.reason, "InvalidCertificateRef");
    assert.match(told.message, /spec\.servers\[0\]\.tls\.credentialName: Secret istio-system\/shop does not exist, so this server is not served/);
    assert.equal((await getHttps(DETAILS, "/details/0")).status, 200);
    assert.equal((await get(`${cluster.gateway}/productpage`)).status, 200);
  });
});

/**
 * Weft's control plane drives Envoy and Weft's proxy by delta ADS: what the mesh compilers make of a Gateway and a
 * VirtualService is served by both, changes reach both under traffic without one failed request, and what they refuse is
 * reported while the last good configuration goes on.
 */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { after, before, describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { issueKeyPair, newMeshRoot } from "#ca/root.ts";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { compileProxy } from "#compile/xds/xds.ts";
import { realHost } from "#host/real/real.ts";
import type { RpcServer } from "#host/rpc.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { objectKey } from "#model/object.ts";
import { type ProxyPlan, XDS_TYPES } from "#model/plan/proxy-plan.ts";
import { RouteConfigurationSchema } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { VirtualHostSchema } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import { startXds, type Xds } from "#xds/xds.ts";
import { adsBootstrap } from "./ads-bootstrap.ts";
import { rawExchange, readAnswer } from "./raw-exchange.ts";
import { onLoopback, OnePlan, withIdentity, withResources } from "./served-plan.ts";
import { type Side, type Sides, skipWithoutEnvoy, startSides } from "./sides.ts";

const host = realHost();
const HOUR_MS = 3_600_000;
const WAIT_MS = 20_000;
const LISTENER = "0.0.0.0_8080";

const manifests = (stable: "v1" | "v2"): string => `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: Service
metadata: { name: api, namespace: shop }
spec: { selector: { app: api }, ports: [{ name: http, port: 8080 }] }
---
${["v1", "v2"]
  .map(
    (version) => `apiVersion: apps/v1
kind: Deployment
metadata: { name: api-${version}, namespace: shop }
spec:
  selector: { matchLabels: { app: api, version: ${version} } }
  template:
    metadata: { labels: { app: api, version: ${version} } }
    spec: { serviceAccountName: api, containers: [{ name: api, image: api }] }
---
`,
  )
  .join("")}apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: api, namespace: shop }
spec: { host: api, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { selector: { istio: ingressgateway }, servers: [{ port: { number: 8080, name: http, protocol: HTTP }, hosts: ["*"] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: api, namespace: shop }
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
    - match: [{ headers: { end-user: { exact: jason } } }]
      route: [{ destination: { host: api, subset: v2 } }]
    - match: [{ uri: { prefix: /api } }]
      route: [{ destination: { host: api, subset: ${stable} } }]
`;

describe("Envoy and Weft's proxy, driven by Weft's control plane", { skip: skipWithoutEnvoy }, () => {
  let sides: Sides;
  const servers: Server[] = [];
  const sockets = new Map<string, RpcServer>();
  const streams = new Map<string, Xds>();
  const refused: string[] = [];
  let plans: OnePlan;
  let planFor: (stable: "v1" | "v2") => ProxyPlan;

  /** Answers with its name and its client's identity. */
  const startVersion = async (name: string, { certificate, privateKey }: { certificate: string; privateKey: string }, ca: string): Promise<number> => {
    const server = createServer(
      { cert: certificate, key: privateKey, ca, requestCert: true, ALPNProtocols: ["istio"], keepAliveTimeout: 600_000 },
      (request, response) => {
        const uri = (request.socket as TLSSocket).getPeerCertificate().subjectaltname;
        response.end(`${name} ${request.url} for ${uri}`);
      },
    );
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  };

  const serve = async (name: string, path: string): Promise<void> => {
    const xds = startXds(host, {
      plans,
      authorize: () => ({ proxy: name }),
      rejected: (proxy, typeUrl, message) => refused.push(`${proxy} ${typeUrl.replace(/.*\./, "")} ${message}`),
    });
    streams.set(name, xds);
    sockets.set(name, await host.rpc.serve({ address: { path }, methods: xds.methods }));
  };

  before(async () => {
    const root = await newMeshRoot(host);
    const issue = (uri: string) => issueKeyPair(host, root, { uris: [uri], usages: ["server", "client"], lifetimeMs: HOUR_MS });
    const api = await issue("spiffe://cluster.local/ns/shop/sa/api");
    const gateway = await issue("spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway");
    const ports = { v1: await startVersion("v1", api, root.certificate), v2: await startVersion("v2", api, root.certificate) };
    planFor = (stable) => {
      const world = imagineWorld(admitManifests(parseManifests("mesh.yaml", manifests(stable))).objects);
      const pods = [...(world.Pod?.values() ?? [])];
      const edge = pods.find(({ metadata }) => metadata.name.includes("ingressgateway")) ?? assert.fail("the world has no gateway");
      const versions = new Map(pods.map(({ status, metadata }) => [status?.podIP ?? "", metadata.labels?.["version"]]));
      const plan = compileProxy(world, objectKey(edge)) ?? assert.fail("the gateway has no plan");
      return onLoopback(withIdentity(plan, gateway, root.certificate), (ip) => (versions.get(ip) === "v2" ? ports.v2 : ports.v1));
    };
    plans = new OnePlan(planFor("v1"));
    sides = await startSides(async ({ name, folder }) => {
      const socket = join(folder, "xds.sock");
      await serve(name, socket);
      return adsBootstrap(socket);
    });
  });
  after(async () => {
    sides?.stop();
    for (const xds of streams.values()) xds.stop();
    await Promise.all([...sockets.values()].map((socket) => socket.close()));
    for (const server of servers) server.close();
    for (const server of servers) server.closeAllConnections();
  });

  const get = async (side: Side, path: string, headers = ""): Promise<string> => {
    const send = `GET ${path} HTTP/1.1\r\nhost: shop.test\r\n${headers}connection: close\r\n\r\n`;
    const { status, body } = readAnswer((await rawExchange({ port: side.port(LISTENER), send })).text);
    return `${status} ${body}`;
  };
  const both = (): readonly Side[] => [sides.weft, sides.envoy];

  const until = async (what: string, done: () => boolean | Promise<boolean>): Promise<void> => {
    for (const end = Date.now() + WAIT_MS; !(await done()); await new Promise((resolve) => setTimeout(resolve, 20)))
      if (Date.now() > end) assert.fail(`${what}; refused: ${refused.join("; ")}; ${JSON.stringify([...streams.values()].map((xds) => xds.status()))}`);
  };

  it("both serve the compiled gateway, by mTLS under its identity", async () => {
    const identity = "URI:spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway";
    for (const side of both()) {
      assert.equal(await get(side, "/api/x"), `200 v1 /api/x for ${identity}`, side.name);
      assert.equal(await get(side, "/api/x", "end-user: jason\r\n"), `200 v2 /api/x for ${identity}`, side.name);
      assert.match(await get(side, "/other"), /^404 /, side.name);
    }
    assert.deepEqual(refused, []);
  });

  it("a change of the route reaches both under traffic, and no request fails", async () => {
    const seen = new Map<string, string[]>(both().map(({ name }) => [name, []]));
    plans.set(planFor("v2"));
    await Promise.all(
      both().map((side) =>
        until(`${side.name} sends to v2`, async () => {
          const answer = await get(side, "/api/y");
          seen.get(side.name)?.push(answer);
          return answer.startsWith("200 v2");
        }),
      ),
    );
    for (const [name, answers] of seen)
      assert.ok(
        answers.every((answer) => answer.startsWith("200 ")),
        `${name}: ${answers.join(", ")}`,
      );
  });

  it("what is refused is reported with the proxy's words, and the last good configuration goes on", async () => {
    const good = planFor("v2");
    const [name = "", routes] = [...(good.resources.get(XDS_TYPES.routes) ?? [])][0] ?? [];
    const message = fromBinary(RouteConfigurationSchema, routes?.bytes ?? new Uint8Array());
    message.virtualHosts.push(create(VirtualHostSchema, { name: "broken", domains: ["*"] }));
    const bad = { name, version: "bad", bytes: toBinary(RouteConfigurationSchema, message) };
    plans.set(withResources(good, XDS_TYPES.routes, [[name, bad]]));
    await until("both refuse", () => both().every((side) => refused.some((one) => one.startsWith(`${side.name} RouteConfiguration`))));
    for (const side of both()) {
      assert.match(refused.find((one) => one.startsWith(side.name)) ?? "", /http\.8080|virtual host|domain/i);
      assert.match(await get(side, "/api/z"), /^200 v2/, side.name);
      const status = streams
        .get(side.name)
        ?.status()[0]
        ?.types.find(({ typeUrl }) => typeUrl === XDS_TYPES.routes);
      assert.equal(status?.acknowledged, false);
      assert.notEqual(status?.rejection, undefined);
    }
    refused.length = 0;
    plans.set(planFor("v1"));
    for (const side of both()) await until(`${side.name} goes back to v1`, async () => (await get(side, "/api/z")).startsWith("200 v1"));
    await until("both accept", () => [...streams.values()].every((xds) => xds.status()[0]?.types.every(({ acknowledged }) => acknowledged) === true));
    assert.deepEqual(refused, []);
  });

  it("while the control plane is away both go on, and learn afterwards what they missed", async () => {
    for (const side of both()) {
      await sockets.get(side.name)?.close();
      streams.get(side.name)?.stop();
    }
    for (const side of both()) assert.match(await get(side, "/api/away"), /^200 v1/, side.name);
    plans.set(planFor("v2"));
    for (const side of both()) await serve(side.name, join(side.folder, "xds.sock"));
    for (const side of both()) await until(`${side.name} learns of v2`, async () => (await get(side, "/api/back")).startsWith("200 v2"));
    assert.deepEqual(refused, []);
  });
});

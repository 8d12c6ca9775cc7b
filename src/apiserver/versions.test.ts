import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { KINDS, type KindId } from "#model/kinds.ts";
import { startTestServer, type TestServer } from "./test-server.ts";

/** The least that each kind with several versions must say. */
const specs: { readonly [K in KindId]?: object } = {
  VirtualService: { hosts: ["a"], http: [{ route: [{ destination: { host: "a" } }] }] },
  DestinationRule: { host: "a" },
  IstioGateway: { servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
  PeerAuthentication: { mtls: { mode: "STRICT" } },
  AuthorizationPolicy: { action: "ALLOW" },
  GatewayClass: { controllerName: "example.org/controller" },
  Gateway: { gatewayClassName: "c", listeners: [{ name: "l", port: 80, protocol: "HTTP" }] },
  HTTPRoute: { rules: [{ backendRefs: [{ name: "b", port: 80 }] }] },
  ReferenceGrant: { from: [{ group: "", kind: "Service", namespace: "a" }], to: [{ group: "", kind: "Secret" }] },
};

describe("served versions", () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  for (const info of Object.values(KINDS).filter(({ versions }) => versions.length > 1)) {
    test(`${info.kind} of ${info.group} is written and read in each of ${info.versions.join(", ")}, and is one object`, async () => {
      const pathOf = (version: string) => `/apis/${info.group}/${version}${info.namespaced ? "/namespaces/default" : ""}/${info.plural}`;
      for (const written of info.versions) {
        const name = `by-${written}`;
        const object = { apiVersion: `${info.group}/${written}`, kind: info.kind, metadata: { name }, spec: specs[info.id] };
        const made = await server.call("POST", pathOf(written), object);
        assert.equal(made.status, 201, JSON.stringify(made.body));
        for (const read of info.versions) {
          const apiVersion = `${info.group}/${read}`;
          const got = await server.call("GET", `${pathOf(read)}/${name}`);
          const listed = await server.call("GET", `${pathOf(read)}?fieldSelector=metadata.name%3D${name}`);
          const labels = { metadata: { labels: { [read]: "seen" } } };
          const patched = await server.call("PATCH", `${pathOf(read)}/${name}`, labels, { type: "application/merge-patch+json" });
          for (const seen of [got.body, listed.body["items"]?.[0], patched.body]) {
            assert.equal(seen?.["apiVersion"], apiVersion, JSON.stringify(seen));
            assert.equal(seen["metadata"]?.["uid"], made.body["metadata"]?.["uid"]);
            assert.deepEqual(seen["spec"], made.body["spec"]);
          }
        }
        const all = await server.call("GET", `${pathOf(written)}/${name}`);
        assert.deepEqual(Object.keys(all.body["metadata"]?.["labels"] ?? {}).toSorted(), info.versions.toSorted());
      }
      const other = await server.call("POST", pathOf(info.versions[1] ?? ""), {
        apiVersion: `${info.group}/${info.versions[0]}`,
        kind: info.kind,
        metadata: { name: "x" },
      });
      assert.equal(other.status, 400);
      assert.match(String(other.body["message"]), /does not match the expected API version/);
      assert.equal((await server.call("GET", pathOf("v9"))).status, 404);
    });
  }
});

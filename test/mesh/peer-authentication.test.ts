/**
 * PeerAuthentication of the mesh, a namespace, a workload and a port, in all combinations, held against Istio's rules written
 * down once more: the narrowest that states a mode decides; UNSET states none; nothing stated is PERMISSIVE.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decideInbound } from "#decide/why/inbound.ts";
import type { ConnectionView } from "#decide/request-view.ts";
import { imaginedRequest } from "#decide/request-view.ts";
import type { PlanView } from "#decide/why/plan-view.ts";
import { arriving, MeshWorld, type Arrival } from "./mesh-world.ts";
import { isLong, sampleOf, seed } from "./sample.ts";

const mesh = new MeshWorld(`
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: Service
metadata: { name: api, namespace: shop }
spec:
  selector: { app: api }
  ports: [{ name: http, port: 80, targetPort: 8080 }, { name: tcp-db, port: 9000 }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: api, namespace: shop }
spec:
  selector: { matchLabels: { app: api } }
  template:
    metadata: { labels: { app: api } }
    spec: { containers: [{ name: api, image: api }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: web }] }
`);

type Stated = "absent" | "UNSET" | "STRICT" | "PERMISSIVE" | "DISABLE";
type Mode = "STRICT" | "PERMISSIVE" | "DISABLE";

interface Levels {
  readonly mesh: Stated;
  readonly namespace: Stated;
  readonly workload: Stated;
  /** For port 8080 (HTTP), 9000 (TCP) or 7000 (of no Service). */
  readonly port: Stated;
  readonly at: number;
}

const stated: readonly Stated[] = ["absent", "UNSET", "STRICT", "PERMISSIVE", "DISABLE"];
const ports = [8080, 9000, 7000];
const all: readonly Levels[] = stated.flatMap((a) =>
  stated.flatMap((b) => stated.flatMap((c) => stated.flatMap((d) => ports.map((at) => ({ mesh: a, namespace: b, workload: c, port: d, at }))))),
);

function policies(levels: Levels): readonly object[] {
  const policy = (name: string, namespace: string, mode: Stated, more: object = {}) => ({
    apiVersion: "security.istio.io/v1",
    kind: "PeerAuthentication",
    metadata: { name, namespace },
    spec: { ...(mode === "absent" ? {} : { mtls: { mode } }), ...more },
  });
  const selector = { matchLabels: { app: "api" } };
  const portLevelMtls = levels.port === "absent" ? {} : { portLevelMtls: { [levels.at]: { mode: levels.port } } };
  return [
    ...(levels.mesh === "absent" ? [] : [policy("mesh", "istio-system", levels.mesh)]),
    ...(levels.namespace === "absent" ? [] : [policy("all", "shop", levels.namespace)]),
    ...(levels.workload === "absent" && levels.port === "absent" ? [] : [policy("api", "shop", levels.workload, { selector, ...portLevelMtls })]),
    // For others: it must not matter.
    policy("web", "shop", "DISABLE", { selector: { matchLabels: { app: "web" } } }),
  ];
}

function modeByTheBook(levels: Levels, port: number): Mode {
  const order = [...(port === levels.at ? [levels.port] : []), levels.workload, levels.namespace, levels.mesh];
  return order.find((mode) => mode !== "absent" && mode !== "UNSET") ?? "PERMISSIVE";
}

/** Whether the connection gets to the application, and with whom as its caller. */
function letInByTheBook(mode: Mode, port: number, how: Arrival): boolean {
  const isHttp = port === 8080;
  switch (how) {
    case "plain":
      return mode !== "STRICT";
    case "mesh TLS":
      // What a client's proxy sends to a port without mTLS is nothing that the application could read.
      return mode !== "DISABLE";
    case "foreign TLS":
      // The application's own, unless HTTP is expected, which this is not.
      return mode !== "STRICT" && !isHttp;
  }
}

function letIn(view: PlanView, connection: ConnectionView): boolean {
  const { hops, effect } = decideInbound(view, connection, imaginedRequest({ authority: "api" }));
  return effect === undefined && hops.every(({ verdict }) => verdict === undefined || verdict === "allowed");
}

function acceptsMtls(view: PlanView, port: number): boolean {
  const endpoints = view.endpoints(`outbound|${port}||api.shop.svc.cluster.local`)?.endpoints.flatMap(({ lbEndpoints }) => lbEndpoints) ?? [];
  assert.equal(endpoints.length, 1);
  return endpoints[0]?.metadata?.filterMetadata["envoy.transport_socket_match"]?.["tlsMode"] === "istio";
}

describe(`PeerAuthentication in ${isLong ? "all" : "a sample of all"} combinations (seed ${seed})`, () => {
  for (const port of ports) {
    test(`decides who gets to port ${port}, and how clients call it`, () => {
      for (const levels of sampleOf(all, 250)) {
        mesh.have(policies(levels));
        const [api, web] = [mesh.planOf("shop/api"), mesh.planOf("shop/web")];
        const mode = modeByTheBook(levels, port);
        for (const how of ["plain", "mesh TLS", "foreign TLS"] as const) {
          const connection = arriving(how, port, "spiffe://cluster.local/ns/shop/sa/web");
          assert.equal(letIn(api, connection), letInByTheBook(mode, port, how), `${how} at port ${port} under ${JSON.stringify(levels)}`);
        }
        const servicePort = { 8080: 80, 9000: 9000 }[port];
        if (servicePort !== undefined) assert.equal(acceptsMtls(web, servicePort), mode !== "DISABLE", `auto mTLS to ${port} under ${JSON.stringify(levels)}`);
      }
    });
  }
});

describe("a client's TLS by DestinationRule", () => {
  const cases: readonly { readonly what: string; readonly trafficPolicy: object; readonly subset?: object; readonly to80: string; readonly to9000: string }[] =
    [
      { what: "nothing said: by what each endpoint accepts", trafficPolicy: {}, to80: "auto", to9000: "auto" },
      { what: "DISABLE", trafficPolicy: { tls: { mode: "DISABLE" } }, to80: "plain", to9000: "plain" },
      { what: "ISTIO_MUTUAL", trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } }, to80: "mTLS", to9000: "mTLS" },
      { what: "SIMPLE, which is not supported, counts as not said", trafficPolicy: { tls: { mode: "SIMPLE" } }, to80: "auto", to9000: "auto" },
      {
        what: "one port's own setting before the rule's",
        trafficPolicy: { tls: { mode: "DISABLE" }, portLevelSettings: [{ port: { number: 80 }, tls: { mode: "ISTIO_MUTUAL" } }] },
        to80: "mTLS",
        to9000: "plain",
      },
      {
        what: "a port's settings that leave TLS out do not take the rule's",
        trafficPolicy: { tls: { mode: "DISABLE" }, portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: "RANDOM" } }] },
        to80: "auto",
        to9000: "plain",
      },
      {
        what: "a subset's before the rule's, also before that of the rule's port",
        trafficPolicy: { tls: { mode: "DISABLE" }, portLevelSettings: [{ port: { number: 80 }, tls: { mode: "DISABLE" } }] },
        subset: { tls: { mode: "ISTIO_MUTUAL" } },
        to80: "mTLS",
        to9000: "mTLS",
      },
      {
        what: "a subset that says nothing of TLS takes the rule's",
        trafficPolicy: { tls: { mode: "DISABLE" } },
        subset: { loadBalancer: { simple: "RANDOM" } },
        to80: "plain",
        to9000: "plain",
      },
    ];
  for (const { what, trafficPolicy, subset, to80, to9000 } of cases) {
    test(what, () => {
      const subsets = subset === undefined ? {} : { subsets: [{ name: "all", labels: { app: "api" }, trafficPolicy: subset }] };
      const spec = { host: "api", trafficPolicy, ...subsets };
      mesh.have([{ apiVersion: "networking.istio.io/v1", kind: "DestinationRule", metadata: { name: "api", namespace: "shop" }, spec }]);
      const web = mesh.planOf("shop/web");
      const tlsTo = (port: number): string => {
        const cluster =
          web.cluster(`outbound|${port}|${subset === undefined ? "" : "all"}|api.shop.svc.cluster.local`) ?? assert.fail(`no cluster for ${port}`);
        if (cluster.transportSocketMatches.length > 0) return "auto";
        return cluster.transportSocket === undefined ? "plain" : "mTLS";
      };
      assert.deepEqual([tlsTo(80), tlsTo(9000)], [to80, to9000]);
    });
  }
});

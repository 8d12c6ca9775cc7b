/** Behind another product's pod network: what Weft does there is told, and nothing else is claimed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { ask } from "./why.ts";

const workload = (app: string): string => `---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${app}, namespace: shop }
spec:
  selector: { matchLabels: { app: ${app} } }
  template:
    metadata: { labels: { app: ${app} } }
    spec: { serviceAccountName: ${app}, containers: [{ name: app, image: app, ports: [{ containerPort: 8080 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: ${app}, namespace: shop }
spec: { selector: { app: ${app} }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;

const SHOP = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
${workload("web")}${workload("api")}`;

const CUT = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: cut, namespace: shop }
spec: { podSelector: { matchLabels: { app: api } }, ingress: [] }
`;

const ONLY_OTHERS = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: others, namespace: shop }
spec: { selector: { matchLabels: { app: api } }, rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/others] } }] }] }
`;

function asked(manifests: string, isNetworkForeign: boolean) {
  const { objects } = admitManifests(parseManifests("shop.yaml", manifests));
  const question = { from: "web", to: "api", namespace: "shop", method: "GET", path: "/", headers: {} };
  return ask(imagineWorld(objects), question, { ...DEFAULT_SETTINGS, isNetworkForeign });
}

test("a request is followed from proxy to proxy, and what carries it is called unknown", () => {
  const { verdict, hops } = asked(SHOP, true);
  assert.equal(verdict, "allowed");
  const names = hops.map(({ hop }) => hop);
  for (const ours of ["interception", "proxy out", "endpoint", "mTLS"]) assert.ok(names.includes(ours), `${ours} in ${names.join(", ")}`);
  for (const others of ["neighbour", "policy out", "policy in", "source NAT"]) assert.ok(!names.includes(others), `${others} in ${names.join(", ")}`);
  const wire = hops.filter(({ hop }) => hop === "wire");
  assert.deepEqual(
    wire.map(({ known }) => known),
    ["unknown"],
  );
  assert.match(wire[0]?.text ?? "", /by the cluster's own pod network/);
});

test("a NetworkPolicy is others' to keep, an AuthorizationPolicy is ours", () => {
  assert.equal(asked(SHOP + CUT, false).verdict, "denied");
  assert.equal(asked(SHOP + CUT, true).verdict, "allowed");
  const { verdict, effect } = asked(SHOP + ONLY_OTHERS, true);
  assert.deepEqual({ verdict, effect }, { verdict: "denied", effect: "403" });
});

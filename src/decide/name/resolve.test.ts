import assert from "node:assert/strict";
import { test } from "node:test";
import type { DnsZone } from "#model/plan/node-plan.ts";
import { resolveName, type Resolver } from "./resolve.ts";

const by = { kind: "Service", namespace: "shop", name: "api", field: "spec.clusterIPs[0]" };
const zone: DnsZone = {
  domain: "cluster.local",
  reverse: [],
  namespaces: ["shop", "plain"],
  names: {
    "api.shop.svc.cluster.local": [{ type: "A", address: "10.96.0.20", by }],
    "heads.shop.svc.cluster.local": [
      { type: "A", address: "10.244.0.5" },
      { type: "A", address: "10.244.1.5" },
    ],
    "empty.shop.svc.cluster.local": [],
    "alias.shop.svc.cluster.local": [{ type: "CNAME", target: "api.shop.svc.cluster.local", by: { ...by, name: "alias", field: "spec.externalName" } }],
    "world.shop.svc.cluster.local": [{ type: "CNAME", target: "example.org" }],
  },
};
const resolver: Resolver = {
  hosts: [
    { ip: "127.0.0.1", names: ["localhost"] },
    { ip: "203.0.113.7", names: ["api.example.org"], field: "spec.hostAliases[0]" },
  ],
  searches: ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"],
  options: new Map([["ndots", "5"]]),
};
const addressesOf = (name: string, from: Resolver = resolver): readonly string[] => {
  const found = resolveName(zone, from, name);
  return found.kind === "zone" ? found.addresses.map(({ address }) => address) : found.kind === "hosts" ? [found.address] : [found.kind];
};

const cases: readonly { readonly name: string; readonly asked: string; readonly want: readonly string[] }[] = [
  { name: "a short name is found by the search list", asked: "api", want: ["10.96.0.20"] },
  { name: "so is one with its namespace", asked: "api.shop", want: ["10.96.0.20"] },
  { name: "case does not matter", asked: "API.Shop.svc.cluster.local", want: ["10.96.0.20"] },
  { name: "a name that ends with a dot is whole", asked: "api.shop.svc.cluster.local.", want: ["10.96.0.20"] },
  { name: "and is not searched for", asked: "api.", want: ["foreign"] },
  { name: "a headless Service has the addresses of its pods", asked: "heads", want: ["10.244.0.5", "10.244.1.5"] },
  { name: "an alias leads on", asked: "alias", want: ["10.96.0.20"] },
  { name: "an alias leads out", asked: "world", want: ["foreign"] },
  { name: "/etc/hosts goes before DNS", asked: "api.example.org", want: ["203.0.113.7"] },
  { name: "no such name in the cluster", asked: "nobody.shop.svc.cluster.local", want: ["none"] },
  { name: "somebody else's name", asked: "example.org", want: ["foreign"] },
];
for (const { name, asked, want } of cases) test(name, () => assert.deepEqual(addressesOf(asked), want));

test("the object that gave an address is named", () => {
  const found = resolveName(zone, resolver, "api");
  assert.deepEqual(found.kind === "zone" ? found.addresses[0]?.by : undefined, by);
});

test("a name without addresses exists all the same", () => {
  const found = resolveName(zone, resolver, "empty.shop.svc.cluster.local");
  assert.deepEqual(found, { kind: "none", exists: "empty.shop.svc.cluster.local" });
});

test("aliases on the way are told, with what made them", () => {
  const found = resolveName(zone, resolver, "alias");
  assert.deepEqual(found.kind === "zone" ? found.through : undefined, [
    "alias.shop.svc.cluster.local is an alias of api.shop.svc.cluster.local (Service shop/alias spec.externalName)",
  ]);
});

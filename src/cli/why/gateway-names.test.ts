import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Gateway, HTTPRoute } from "#model/gateway-api.ts";
import { worldReader, type World } from "#model/world.ts";
import { gatewayServing } from "./gateway-names.ts";

const API = "gateway.networking.k8s.io/v1";
type Listener = Gateway["spec"]["listeners"][number];

function gateway(name: string, address: string, listeners: readonly Partial<Listener>[]): [string, Gateway] {
  const spec = { gatewayClassName: "weft", listeners: listeners.map((each, i) => ({ name: `l${i}`, port: 443, protocol: "HTTPS", ...each })) };
  const addresses = [{ type: "Hostname", value: "balancer.example.org" }, ...(address === "" ? [] : [{ type: "IPAddress", value: address }])];
  return [`shop/${name}`, { apiVersion: API, kind: "Gateway", metadata: { namespace: "shop", name }, spec, status: { addresses } } as Gateway];
}

const route: HTTPRoute = {
  apiVersion: API,
  kind: "HTTPRoute",
  metadata: { namespace: "other", name: "r" },
  spec: { parentRefs: [{ name: "open", namespace: "shop" }], hostnames: ["by-route.example.org"] },
};

const world = worldReader({
  Gateway: new Map([
    gateway("wide", "203.0.113.1", [{ hostname: "*.example.org" }]),
    gateway("exact", "203.0.113.2", [{ hostname: "a.example.org" }, { hostname: "b.example.org", port: 8443 }]),
    gateway("open", "203.0.113.3", [{ port: 80, protocol: "HTTP" }]),
    gateway("new", "", [{ hostname: "a.example.org" }]),
  ]),
  HTTPRoute: new Map([["other/r", route]]),
} as World);

describe("where a name leads a machine outside", () => {
  for (const { host, port, want } of [
    { host: "a.example.org", port: 443, want: "203.0.113.2 Gateway exact status.addresses[1]" },
    { host: "b.example.org", port: 443, want: "203.0.113.1 Gateway wide status.addresses[1]" },
    { host: "b.example.org", port: 8443, want: "203.0.113.2 Gateway exact status.addresses[1]" },
    { host: "by-route.example.org", port: 80, want: "203.0.113.3 Gateway open status.addresses[1]" },
    { host: "by-route.example.org", port: 8080, want: undefined },
    { host: "nobodys.example.com", port: 443, want: undefined },
  ]) {
    it(`${host}:${port} leads to ${want ?? "no Gateway"}`, () => {
      const found = gatewayServing(host, port, world);
      assert.equal(found && `${found.address} ${found.by.kind} ${found.by.name} ${found.by.field}`, want);
    });
  }
});

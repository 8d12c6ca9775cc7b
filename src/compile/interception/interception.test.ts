import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { passHook, type Packet } from "#decide/packet/evaluate.ts";
import type { Pod } from "#model/core.ts";
import { compileInterception } from "./interception.ts";

const pod = (annotations: Record<string, string> = {}, names: readonly string[] = ["app"]): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "default", annotations },
  spec: { containers: names.map((name) => ({ name })), initContainers: [{ name: "istio-proxy", restartPolicy: "Always" }] },
});
const OWN = "10.244.0.5";
const OTHER = "10.244.0.6";

/** Where the packet ends up: a port of the pod, or past the rules. */
function fate(given: Pod, hook: "output" | "prerouting", packet: Partial<Packet>, knownBy: "mark" | "uid" = "uid"): number | "passes" | "refused" {
  const { tables } = compileInterception(given, knownBy);
  const whole: Packet = {
    source: OWN,
    destination: OTHER,
    protocol: "tcp",
    port: 80,
    mark: 0,
    ...(hook === "output" ? { out: "eth0" } : { in: "eth0" }),
    ...packet,
  };
  const [end, second] = passHook(tables, hook, { packet: whole, share: 1, verdict: "accept", trace: [] });
  assert.ok(end !== undefined && second === undefined);
  return end.verdict === "accept" ? (end.redirectedTo ?? "passes") : "refused";
}

const TRAFFIC = "traffic.sidecar.istio.io/";

describe("what a pod's proxy takes over", () => {
  const leaving: readonly { name: string; packet: Partial<Packet>; annotations?: Record<string, string>; knownBy?: "mark" | "uid"; want: number | string }[] = [
    { name: "the application's connection", packet: { uid: 1000 }, want: 15001 },
    { name: "the application as root", packet: { uid: 0 }, want: 15001 },
    { name: "the proxy's own, by its uid", packet: { uid: 1337 }, want: "passes" },
    { name: "a mark says nothing where the uid counts", packet: { uid: 1000, mark: 0x539 }, want: 15001 },
    { name: "a uid says nothing where the mark counts", packet: { uid: 1337 }, knownBy: "mark", want: 15001 },
    { name: "the proxy's own, by its mark", packet: { mark: 0x539 }, knownBy: "mark", want: "passes" },
    { name: "UDP", packet: { protocol: "udp", port: 53, uid: 1000 }, want: "passes" },
    { name: "what the pod sends itself", packet: { destination: OWN, out: "lo", uid: 1000 }, want: "passes" },
    { name: "the proxy calls its own pod as a service", packet: { destination: OWN, out: "lo", uid: 1337 }, want: 15006 },
    { name: "the proxy hands over to the application", packet: { source: "127.0.0.6", destination: OWN, out: "lo", uid: 1337 }, want: "passes" },
    { name: "the proxy asks loopback", packet: { source: "127.0.0.1", destination: "127.0.0.1", out: "lo", uid: 1337 }, want: "passes" },
    { name: "somebody calls the proxy's port", packet: { destination: OWN, out: "lo", port: 15001, uid: 1000 }, want: "refused" },
    { name: "an excluded port", packet: { port: 5432 }, annotations: { [`${TRAFFIC}excludeOutboundPorts`]: "5432, 6379" }, want: "passes" },
    { name: "an excluded range", packet: {}, annotations: { [`${TRAFFIC}excludeOutboundIPRanges`]: "10.244.0.0/24" }, want: "passes" },
    { name: "outside of the included ranges", packet: {}, annotations: { [`${TRAFFIC}includeOutboundIPRanges`]: "10.96.0.0/16" }, want: "passes" },
    {
      name: "an included port outside of the included ranges",
      packet: { port: 8443 },
      annotations: { [`${TRAFFIC}includeOutboundIPRanges`]: "", [`${TRAFFIC}includeOutboundPorts`]: "8443" },
      want: 15001,
    },
    { name: "IPv6, which proxies do not serve", packet: { source: "fd00:10::5", destination: "fd00:10::6", uid: 1000 }, want: "refused" },
    { name: "IPv6 within the pod", packet: { source: "::1", destination: "::1", out: "lo", uid: 1000 }, want: "passes" },
  ];
  for (const { name, packet, annotations, knownBy, want } of leaving) {
    it(`leaving: ${name}: ${want}`, () => assert.equal(fate(pod(annotations), "output", packet, knownBy), want));
  }

  const arriving: readonly { name: string; packet: Partial<Packet>; annotations?: Record<string, string>; want: number | string }[] = [
    { name: "a connection", packet: {}, want: 15006 },
    { name: "of the node, kubelet too", packet: { source: "192.168.99.10" }, want: 15006 },
    { name: "probes that the proxy asks for kubelet", packet: { port: 15020 }, want: "passes" },
    { name: "the proxy's readiness", packet: { port: 15021 }, want: "passes" },
    { name: "its metrics", packet: { port: 15090 }, want: "passes" },
    { name: "its own port", packet: { port: 15006 }, want: "refused" },
    { name: "its admin page", packet: { port: 15000 }, want: 15006 },
    { name: "an excluded port", packet: { port: 9000 }, annotations: { [`${TRAFFIC}excludeInboundPorts`]: "9000" }, want: "passes" },
    { name: "none of the included ports", packet: { port: 9000 }, annotations: { [`${TRAFFIC}includeInboundPorts`]: "8080" }, want: "passes" },
    { name: "one of the included ports", packet: { port: 8080 }, annotations: { [`${TRAFFIC}includeInboundPorts`]: "8080" }, want: 15006 },
    { name: "UDP", packet: { protocol: "udp" }, want: "passes" },
    { name: "IPv6", packet: { source: "fd00:10::6", destination: "fd00:10::5" }, want: "refused" },
  ];
  for (const { name, packet, annotations, want } of arriving) {
    it(`arriving: ${name}: ${want}`, () => assert.equal(fate(pod(annotations), "prerouting", { source: OTHER, destination: OWN, ...packet }), want));
  }

  it("is nothing in a gateway, in a pod without a proxy and in one that says so", () => {
    const without: Pod = { ...pod(), spec: { containers: [{ name: "app" }] } };
    for (const given of [pod({ "inject.istio.io/templates": "gateway" }), pod({ "sidecar.istio.io/interceptionMode": "NONE" }), without]) {
      assert.deepEqual(compileInterception(given, "uid"), { tables: [], problems: [] });
    }
  });

  it("says which annotations it cannot read, and ignores them", () => {
    const { problems } = compileInterception(
      pod({ [`${TRAFFIC}excludeInboundPorts`]: "http", [`${TRAFFIC}excludeOutboundIPRanges`]: "fd00::/8", [`${TRAFFIC}kubevirtInterfaces`]: "eth1" }),
      "uid",
    );
    assert.deepEqual(
      problems.map(({ by, message }) => `${by.field}: ${message}`),
      [
        `metadata.annotations["${TRAFFIC}excludeInboundPorts"]: value "http" is not a port; it is ignored`,
        `metadata.annotations["${TRAFFIC}excludeOutboundIPRanges"]: value "fd00::/8" is not an IPv4 range; it is ignored`,
        `metadata.annotations["${TRAFFIC}kubevirtInterfaces"]: this annotation is not supported yet; it is ignored`,
      ],
    );
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ConntrackFlow } from "#host/netlink.ts";
import type { BalancedPort } from "#model/plan/node-plan.ts";
import { lostEndpoints, staleConnections, unserved } from "./endpoint-changes.ts";

const port = (protocol: "tcp" | "udp", endpoints: readonly string[], draining: readonly string[] = []): BalancedPort => ({
  address: "10.96.0.20",
  protocol,
  port: 80,
  endpoints,
  draining,
  by: { kind: "Service", namespace: "shop", name: "web", field: "spec.ports[0]" },
});
const [a, b] = ["10.244.0.5:8080", "10.244.0.6:8080"];

describe("connections are forgotten", () => {
  const cases: readonly {
    readonly name: string;
    readonly before: readonly BalancedPort[];
    readonly after: readonly BalancedPort[];
    readonly want: readonly string[];
  }[] = [
    { name: "of an endpoint that went", before: [port("tcp", [a, b])], after: [port("tcp", [a])], want: ["10.244.0.6"] },
    { name: "of none while all stay", before: [port("tcp", [a, b])], after: [port("tcp", [b, a])], want: [] },
    { name: "not of a TCP endpoint that drains", before: [port("tcp", [a, b])], after: [port("tcp", [a], [b])], want: [] },
    { name: "of a UDP endpoint that drains", before: [port("udp", [a, b])], after: [port("udp", [a], [b])], want: ["10.244.0.6"] },
    { name: "of an endpoint that drained and went", before: [port("tcp", [a], [b])], after: [port("tcp", [a])], want: ["10.244.0.6"] },
    { name: "of a Service that went", before: [port("tcp", [a])], after: [], want: ["10.244.0.5"] },
  ];
  for (const { name, before, after, want } of cases)
    test(name, () =>
      assert.deepEqual(
        lostEndpoints(before, after).map(({ replySource }) => replySource?.ip),
        want,
      ),
    );
});

test("an agent that starts forgets what went while there was none, and nothing else", () => {
  const flow = (protocol: "tcp" | "udp", to: string, answers: string, answersPort = 8080): ConntrackFlow => ({
    protocol,
    originalSource: { ip: "10.244.0.9", port: 40000 },
    originalDestination: { ip: to, port: 80 },
    replySource: { ip: answers, port: answersPort },
  });
  const flows = [
    flow("tcp", "10.96.0.20", "10.244.0.5"),
    flow("tcp", "10.96.0.20", "10.244.0.6"),
    flow("tcp", "10.96.0.20", "10.244.0.7"),
    flow("tcp", "10.244.0.7", "10.244.0.7", 80),
    flow("udp", "10.96.0.20", "10.244.0.7"),
    // Never translated: refused by TCP, and by UDP sent to nobody for ever.
    flow("udp", "10.96.0.20", "10.96.0.20", 80),
    flow("tcp", "10.96.0.20", "10.96.0.20", 80),
  ];
  const matches = (...stale: readonly (ConntrackFlow | undefined)[]) =>
    stale.map((each) => ({ protocol: each?.protocol, originalDestination: each?.originalDestination, replySource: each?.replySource }));
  assert.deepEqual(staleConnections(flows, [port("tcp", [a], [b])]), matches(flows[2]));
  assert.deepEqual(staleConnections(flows, [port("udp", [a])]), matches(flows[4], flows[5]));
  assert.equal(staleConnections([...flows, ...flows], [port("udp", [a])]).length, 2, "clients of one endpoint in one");
});

test("what was sent by UDP while nobody served the port is forgotten when somebody does", () => {
  const to = { ip: "10.96.0.20", port: 80 };
  const match = { protocol: "udp", originalDestination: to, replySource: to };
  assert.deepEqual(unserved([port("udp", [])], [port("udp", [a])]), [match]);
  assert.deepEqual(unserved([], [port("udp", [a])]), [match]);
  assert.deepEqual(unserved([port("udp", [b])], [port("udp", [a])]), []);
  assert.deepEqual(unserved([port("tcp", [])], [port("tcp", [a])]), []);
});

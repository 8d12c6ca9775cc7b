/**
 * Run by network.test.ts inside namespaces of its own: who answers names listens at another port than 53 of the DNS address. Whom
 * policies let ask there, and at which port, must be as if he listened at port 53.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { lookForNames } from "#agent/names-there.ts";
import { DEFAULT_SETTINGS, NAMES_PORT } from "#compile/node/settings.ts";
import { withoutNamesPort } from "#compile/services/names-port.ts";
import type { KubeObject } from "#model/object.ts";
import { netnsPath } from "#supervisor/network.ts";
import { call, callUdp, host, makeLab, run, serve, serveUdp } from "./lab.ts";

const DNS = DEFAULT_SETTINGS.dnsAddress;
const SILENCE_MS = 300;
const lab = await makeLab({ namesPort: NAMES_PORT });
const node = netnsPath("node-1");
after(() => host.clock.after(500, () => process.exit()).unref());
const session = host.netlink.open(node);
await session.addAddress("lo", `${DNS}/32`);
session.close();
const system = { name: "kube-system", labels: { "kubernetes.io/metadata.name": "kube-system" } };
await lab.set({ apiVersion: "v1", kind: "Namespace", metadata: system } as KubeObject);
await serveUdp(node, DNS, NAMES_PORT, "names");
await serve(node, DNS, NAMES_PORT, "names");

const udp = { port: 53, protocol: "UDP" };
const tcp = { port: 53, protocol: "TCP" };
const dnsPods = { namespaceSelector: { matchLabels: system.labels }, podSelector: { matchLabels: { "k8s-app": "kube-dns" } } };
/** Of a pod's egress; undefined: no policy. `asks`: which of UDP and TCP get an answer at port 53. */
const cases: readonly { readonly name: string; readonly egress: readonly object[] | undefined; readonly asks: readonly ("udp" | "tcp")[] }[] = [
  { name: "no policy", egress: undefined, asks: ["udp", "tcp"] },
  { name: "nothing", egress: [], asks: [] },
  { name: "port 53 by UDP", egress: [{ ports: [udp] }], asks: ["udp"] },
  { name: "port 53 by TCP, of the address", egress: [{ to: [{ ipBlock: { cidr: `${DNS}/32` } }], ports: [tcp] }], asks: ["tcp"] },
  { name: "port 53 of the pods that users expect there", egress: [{ to: [dnsPods], ports: [udp, tcp] }], asks: ["udp", "tcp"] },
  { name: "a range of ports", egress: [{ ports: [{ port: 50, endPort: 60, protocol: "UDP" }] }], asks: ["udp"] },
  { name: "all but Services", egress: [{ to: [{ ipBlock: { cidr: "0.0.0.0/0", except: [DEFAULT_SETTINGS.serviceCIDR] } }] }], asks: [] },
  {
    name: "the other port only",
    egress: [
      {
        ports: [
          { port: NAMES_PORT, protocol: "UDP" },
          { port: NAMES_PORT, protocol: "TCP" },
        ],
      },
    ],
    asks: [],
  },
];

const pods: { readonly ip: string; readonly netns: string }[] = [];
for (const [i, { egress }] of cases.entries()) {
  const [name, ip] = [`p${i}`, `10.244.0.${20 + i}`];
  if (egress !== undefined) {
    const spec = { podSelector: { matchLabels: { p: name } }, policyTypes: ["Egress"], egress };
    await lab.set({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name, namespace: "default" }, spec } as KubeObject);
  }
  pods.push({ ip, netns: await lab.addPod({ uid: name, namespace: "default", name, ip, node: "node-1", labels: { p: name } }) });
}

for (const [i, { name, asks }] of cases.entries()) {
  test(`egress that allows ${name}: names are answered by ${asks.join(" and ") || "nothing"}`, async () => {
    const { ip, netns } = pods[i] ?? assert.fail();
    const wait = (protocol: "udp" | "tcp") => (asks.includes(protocol) ? undefined : SILENCE_MS);
    assert.equal(await callUdp(netns, DNS, 53, { timeoutMs: wait("udp") ?? 5_000 }), asks.includes("udp") ? "names" : "timeout");
    assert.equal(await call(netns, DNS, 53, wait("tcp")), asks.includes("tcp") ? `names ${ip}` : "timeout");
  });
}

test("what is dropped is told with the port that was asked", () => {
  const dropped = lab.nodes[0]?.flows.records() ?? [];
  const of = (ip: string) =>
    dropped.filter(({ source }) => source.ip === ip).map(({ protocol, destination }) => `${protocol} ${destination.ip}:${destination.port ?? ""}`);
  assert.deepEqual([...new Set(of(pods[1]?.ip ?? ""))].toSorted(), [`tcp ${DNS}:53`, `udp ${DNS}:53`]);
});

test("the other port is nobody's: a pod is refused there, as at all ports of the address that nobody has", async () => {
  const { netns } = pods[0] ?? assert.fail();
  assert.equal(await call(netns, DNS, NAMES_PORT), "ECONNREFUSED");
  assert.equal(await call(netns, DNS, 54), "ECONNREFUSED");
  assert.equal(await callUdp(netns, DNS, NAMES_PORT, { timeoutMs: SILENCE_MS }), "timeout");
});

test("the node's own programs ask as pods do", async () => {
  assert.equal(await callUdp(node, DNS, 53), "names");
  assert.equal(await call(node, DNS, 53), `names ${DNS}`);
  assert.equal(await callUdp(node, DNS, NAMES_PORT), "names", "who answers looks whether it does");
});

test("a policy that comes cuts off who asked from the same port before, and one that goes lets it ask again", async () => {
  const { netns } = pods[0] ?? assert.fail();
  const ask = (timeoutMs: number) => callUdp(netns, DNS, 53, { timeoutMs, source: pods[0]?.ip ?? "" });
  const closed = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "late", namespace: "default" } };
  assert.equal(await ask(5_000), "names");
  await lab.set({ ...closed, spec: { podSelector: { matchLabels: { p: "p0" } }, policyTypes: ["Egress"] } } as KubeObject);
  assert.equal(await ask(SILENCE_MS), "timeout");
  await lab.remove("NetworkPolicy", "default/late");
  assert.equal(await ask(5_000), "names");
});

test("the kernel tells when somebody listens at the other port; until then port 53 is who has it", async () => {
  const socket = { dnsAddress: DNS, namesPort: NAMES_PORT };
  const files = { ...host.files, readText: async (path: string) => run(node, "cat", path) };
  const plan = lab.nodes[0]?.plan ?? assert.fail();
  assert.equal((await lookForNames({ ...host, files }, socket)).planOf(plan), plan);
  const absent = await lookForNames({ ...host, files }, { ...socket, namesPort: NAMES_PORT + 1 });
  assert.deepEqual(absent.planOf(plan), withoutNamesPort(plan, socket));
  assert.equal(absent.planOf(plan), absent.planOf(plan));

  await serveUdp(node, DNS, 53, "before");
  const { netns } = pods[2] ?? assert.fail();
  assert.equal(await callUdp(netns, DNS, 53), "names");
  const applier = lab.nodes[0]?.applier ?? assert.fail();
  await applier.apply(withoutNamesPort(plan, socket));
  assert.equal(await callUdp(netns, DNS, 53), "before");
  await applier.apply(plan);
  assert.equal(await callUdp(netns, DNS, 53), "names");
});

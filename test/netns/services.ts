/**
 * Run by network.test.ts inside namespaces of its own: where Services can be called beside their cluster addresses, whom
 * they serve, and who stays with whom; and ports of the node that pods ask for.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { KubeObject } from "#model/object.ts";
import { netnsPath } from "#supervisor/network.ts";
import { call, callUdp, host, makeLab, run, serve, serveUdp } from "./lab.ts";

/** What is dropped never answers. */
const SILENCE_MS = 700;

const lab = await makeLab();
const addresses = { a: "10.244.0.5", b: "10.244.0.6", c: "10.244.1.7", d: "10.244.1.8" } as const;
type Name = keyof typeof addresses;
const node = (name: Name) => (addresses[name].startsWith("10.244.0.") ? "node-1" : "node-2");
const spaces = {} as Record<Name, string>;
for (const name of ["a", "b", "c", "d"] as const) {
  spaces[name] = await lab.addPod({ uid: name, namespace: "default", name, ip: addresses[name], node: node(name) });
  await serve(spaces[name], addresses[name], 8080, name);
  await serveUdp(spaces[name], addresses[name], 5353, name);
}
const outside = netnsPath("outside");
const OUTSIDE = "192.168.99.9";
const NODES = { one: "192.168.99.10", two: "192.168.99.11" } as const;
after(() => host.clock.after(500, () => process.exit()).unref());

let count = 0;
interface Wanted {
  readonly spec?: object;
  readonly status?: object;
  readonly conditions?: Readonly<Partial<Record<Name, object>>>;
}
/** A Service of these pods, with an address and a port of its own. */
async function makeService(
  pods: readonly Name[],
  { spec = {}, status = {}, conditions = {} }: Wanted = {},
): Promise<{ name: string; ip: string; nodePort: number }> {
  count += 1;
  const name = `s${count}`;
  const ip = `10.96.1.${count}`;
  const nodePort = 30_000 + count;
  const ports = [
    { name: "http", port: 80, protocol: "TCP", targetPort: 8080, nodePort },
    { name: "dns", port: 80, protocol: "UDP", targetPort: 5353, nodePort },
  ];
  await setEndpoints(name, pods, conditions);
  await lab.set({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: { type: "NodePort", clusterIP: ip, clusterIPs: [ip], ports, ...spec },
    status,
  } as KubeObject);
  return { name, ip, nodePort };
}

async function setEndpoints(name: string, pods: readonly Name[], conditions: Wanted["conditions"] = {}): Promise<void> {
  await lab.set({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${name}-1`, namespace: "default", labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [
      { name: "http", port: 8080, protocol: "TCP" },
      { name: "dns", port: 5353, protocol: "UDP" },
    ],
    endpoints: pods.map((each) => ({ addresses: [addresses[each]], nodeName: node(each), conditions: conditions[each] ?? { ready: true } })),
  } as KubeObject);
}

/** Who answers, of many calls. */
async function answers(netns: string, ip: string, port: number, calls = 24): Promise<string[]> {
  const seen = new Set<string>();
  for (let i = 0; i < calls; i += 1) seen.add(await call(netns, ip, port));
  return [...seen].sort();
}

test("a port of every node leads to pods of all nodes, from a machine beside them, from pods and from nodes", async () => {
  const { nodePort } = await makeService(["a", "c"]);
  assert.deepEqual(await answers(outside, NODES.one, nodePort), [`a ${OUTSIDE}`, "c 10.244.0.1"]);
  assert.deepEqual(await answers(outside, NODES.two, nodePort), ["a 10.244.1.1", `c ${OUTSIDE}`]);
  assert.deepEqual(await answers(spaces.b, NODES.one, nodePort), ["a 10.244.0.6", "c 10.244.0.6"]);
  assert.match((await answers(spaces.b, NODES.two, nodePort)).join(), /^a \S+,c \S+$/);
  assert.match((await answers(netnsPath("node-1"), NODES.one, nodePort)).join(), /^a \S+,c \S+$/);
  assert.match((await answers(netnsPath("node-1"), NODES.two, nodePort)).join(), /^a \S+,c \S+$/);
  const names = new Set<string>();
  for (let i = 0; i < 24; i += 1) names.add(await callUdp(outside, NODES.one, nodePort));
  assert.deepEqual([...names].sort(), ["a", "c"]);
});

test("a pod reaches itself through a port of its node", async () => {
  const { nodePort } = await makeService(["a"]);
  assert.equal(await call(spaces.a, NODES.one, nodePort), "a 169.254.1.1");
});

test("a port of the node without endpoints is refused, other ports are the node's own", async () => {
  const { nodePort } = await makeService([]);
  assert.equal(await call(outside, NODES.one, nodePort), "ECONNREFUSED");
  const server = await serve(netnsPath("node-1"), NODES.one, 7070, "node");
  assert.equal(await call(outside, NODES.one, 7070), `node ${OUTSIDE}`);
  await server.close();
});

test("external traffic stays on the node and keeps its source; from inside all endpoints serve", async () => {
  const { nodePort, name } = await makeService(["a", "c"], { spec: { externalTrafficPolicy: "Local" } });
  assert.deepEqual(await answers(outside, NODES.one, nodePort), [`a ${OUTSIDE}`]);
  assert.deepEqual(await answers(outside, NODES.two, nodePort), [`c ${OUTSIDE}`]);
  assert.deepEqual(await answers(spaces.b, NODES.one, nodePort), ["a 10.244.0.6", "c 10.244.0.6"]);
  await setEndpoints(name, ["c"]);
  assert.equal(await call(outside, NODES.one, nodePort, SILENCE_MS), "timeout");
  assert.deepEqual(await answers(spaces.b, NODES.one, nodePort, 6), ["c 10.244.0.6"]);
});

test("internal traffic stays on the node", async () => {
  const { ip, name } = await makeService(["a", "c"], { spec: { internalTrafficPolicy: "Local" } });
  assert.deepEqual(await answers(spaces.b, ip, 80), ["a 10.244.0.6"]);
  assert.deepEqual(await answers(spaces.d, ip, 80), ["c 10.244.1.8"]);
  await setEndpoints(name, ["c"]);
  assert.equal(await call(spaces.b, ip, 80, SILENCE_MS), "timeout");
});

test("an external address is served by whatever node it comes to", async () => {
  const ip = "198.51.100.7";
  await makeService(["a", "c"], { spec: { externalIPs: [ip] } });
  await run(outside, "ip", "route", "add", `${ip}/32`, "via", NODES.one);
  assert.deepEqual(await answers(outside, ip, 80), [`a ${OUTSIDE}`, "c 10.244.0.1"]);
  assert.deepEqual(await answers(spaces.b, ip, 80), ["a 10.244.0.6", "c 10.244.0.6"]);
});

test("a load balancer serves only the sources that it is restricted to", async () => {
  const balancer = (index: number, ranges: readonly string[]) =>
    makeService(["a"], {
      spec: { type: "LoadBalancer", loadBalancerSourceRanges: ranges },
      status: { loadBalancer: { ingress: [{ ip: `192.168.99.${index}` }] } },
    });
  await balancer(244, ["192.168.99.0/28", "192.168.99.9/32"]);
  await balancer(245, ["192.168.99.128/25"]);
  assert.equal(await call(outside, "192.168.99.244", 80), `a ${OUTSIDE}`);
  assert.equal(await call(outside, "192.168.99.245", 80, SILENCE_MS), "timeout");
});

test("a client stays with its endpoint, by each address for itself; another client may have another one", async () => {
  const affinity = { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 3 } } };
  const { ip, nodePort, name } = await makeService(["a", "b", "c", "d"], { spec: affinity });
  for (const [netns, address, port] of [
    [spaces.a, ip, 80],
    [spaces.d, ip, 80],
    [outside, NODES.one, nodePort],
  ] as const) {
    assert.equal((await answers(netns, address, port, 12)).length, 1);
    const udp = new Set<string>();
    for (let i = 0; i < 12; i += 1) udp.add(await callUdp(netns, address, port));
    assert.equal(udp.size, 1);
  }
  const [first = ""] = await answers(spaces.a, ip, 80, 3);
  const gone = first.slice(0, 1) as Name;
  const left = (["a", "b", "c", "d"] as const).filter((each) => each !== gone);
  await setEndpoints(name, left);
  const second = await answers(spaces.a, ip, 80, 12);
  assert.equal(second.length, 1, "another endpoint, and only one");
  assert.ok(!second.join().startsWith(gone));
  await setEndpoints(name, ["a", "b", "c", "d"]);
  assert.deepEqual(await answers(spaces.a, ip, 80, 12), second, "the numbers of endpoints change, and nobody moves");
  const seen = new Set<string>();
  for (let i = 0; i < 6 && seen.size < 2; i += 1) {
    seen.add(await call(spaces.a, ip, 80));
    await host.clock.sleep(3600);
  }
  assert.ok(seen.size > 1, "who has not called for so long may get another one");
});

test("a client stays with its endpoint when its node's agent starts again", async () => {
  const affinity = { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } } };
  const { ip } = await makeService(["a", "b", "c", "d"], { spec: affinity });
  const [first] = await answers(spaces.a, ip, 80, 3);
  for (let i = 0; i < 5; i += 1) {
    for (const each of lab.nodes) await each.restart();
    assert.deepEqual(await answers(spaces.a, ip, 80, 3), [first]);
  }
});

test("what terminates serves while nobody else does", async () => {
  const terminating = { ready: false, serving: true, terminating: true };
  const { ip, name } = await makeService(["a", "b"], { conditions: { a: terminating } });
  assert.deepEqual(await answers(spaces.c, ip, 80, 8), ["b 10.244.1.7"]);
  await setEndpoints(name, ["a"], { a: terminating });
  assert.deepEqual(await answers(spaces.c, ip, 80, 4), ["a 10.244.1.7"]);
  await setEndpoints(name, ["a"], { a: { ready: false, serving: false, terminating: true } });
  assert.equal(await call(spaces.c, ip, 80), "ECONNREFUSED");
});

test("an endpoint in a node's own network, on this node and on another", async () => {
  const servers = [await serve(netnsPath("node-1"), NODES.one, 8080, "node-1"), await serve(netnsPath("node-2"), NODES.two, 8080, "node-2")];
  const { ip, nodePort, name } = await makeService([]);
  await lab.set({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${name}-1`, namespace: "default", labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    endpoints: [NODES.one, NODES.two].map((address) => ({ addresses: [address], conditions: { ready: true } })),
  } as KubeObject);
  for (const netns of [spaces.a, netnsPath("node-1")]) assert.match((await answers(netns, ip, 80)).join(), /^node-1 \S+,node-2 \S+$/);
  assert.match((await answers(outside, NODES.one, nodePort)).join(), /^node-1 \S+,node-2 \S+$/);
  for (const server of servers) await server.close();
});

test("UDP that nobody served goes to the first endpoint that comes, from the same socket", async () => {
  const { ip, nodePort, name } = await makeService([]);
  for (const [address, port] of [
    [ip, 80],
    [NODES.two, nodePort],
  ] as const) {
    await setEndpoints(name, []);
    const heard: string[] = [];
    const socket = await host.net.bind({ address: { ip: "0.0.0.0", port: 0 }, netns: spaces.a }, ({ bytes }) => heard.push(Buffer.from(bytes).toString()));
    for (let i = 0; i < 60 && heard.length === 0; i += 1) {
      if (i === 5) await setEndpoints(name, ["c"]);
      socket.send(Buffer.from("?"), { ip: address, port });
      await host.clock.sleep(100);
    }
    socket.close();
    assert.equal(heard[0], "c", `${address}:${port}`);
  }
});

test("a pod has a port of its node: on every address or on the one it names, by TCP and UDP, and only there", async () => {
  const hostPod = async (uid: string, ip: string, port: object) => {
    const spec = { nodeName: "node-1", containers: [{ name: "app", ports: [{ containerPort: 8080, ...port }] }] };
    const netns = await lab.addPod({ uid, namespace: "default", name: uid, ip, node: "node-1", more: { spec } });
    await serve(netns, ip, 8080, uid);
    await serveUdp(netns, ip, 8080, uid);
    return netns;
  };
  const all = await hostPod("all", "10.244.0.20", { hostPort: 9000 });
  await hostPod("loopback", "10.244.0.21", { hostPort: 9001, hostIP: "127.0.0.1" });
  await hostPod("tcp", "10.244.0.22", { hostPort: 9001, hostIP: NODES.one });
  await hostPod("udp", "10.244.0.23", { hostPort: 9001, hostIP: NODES.one, protocol: "UDP" });
  const one = netnsPath("node-1");
  assert.equal(await call(outside, NODES.one, 9000), `all ${OUTSIDE}`);
  assert.equal(await call(all, NODES.one, 9000), "all 169.254.1.1");
  assert.equal(await call(one, "127.0.0.1", 9000), "all 169.254.1.1");
  assert.equal(await call(one, "127.0.0.1", 9001), "loopback 169.254.1.1");
  assert.equal(await call(outside, NODES.one, 9001), `tcp ${OUTSIDE}`);
  assert.equal(await callUdp(outside, NODES.one, 9001), "udp");
  assert.equal(await call(outside, NODES.two, 9000), "ECONNREFUSED");
});

test("a pod cannot reach its node's loopback address, although its answers to that address pass", async () => {
  const server = await serve(netnsPath("node-1"), "127.0.0.1", 7071, "secret");
  const pod = netnsPath("pod-loopback");
  await run(pod, "ip", "route", "add", "127.0.0.1/32", "via", "169.254.1.1", "dev", "eth0", "onlink", "table", "7");
  await run(pod, "ip", "rule", "add", "to", "127.0.0.1", "lookup", "7", "pref", "0");
  await run(pod, "ip", "rule", "add", "lookup", "local", "pref", "10");
  await run(pod, "ip", "rule", "delete", "lookup", "local", "pref", "0");
  await run(pod, "sysctl", "-w", "net.ipv4.conf.all.route_localnet=1");
  const drops = lab.nodes[0]?.flows.dropped ?? 0;
  assert.equal(await call(pod, "127.0.0.1", 7071, SILENCE_MS), "timeout");
  assert.ok((lab.nodes[0]?.flows.records().slice(drops) ?? []).some(({ reason }) => /loopback/.test(reason)));
  await server.close();
});

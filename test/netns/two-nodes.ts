/** Run by network.test.ts inside namespaces of its own; what it does to the network dies with it. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startDns } from "#dns/dns.ts";
import type { KubeObject } from "#model/object.ts";
import { netnsPath } from "#supervisor/network.ts";
import { call, callUdp, host, hostIn, makeLab, run, serve, serveUdp, LabNode } from "./lab.ts";

/** What is dropped never answers. What is not may take long on a busy machine, and waits as long as lab.ts does. */
const SILENCE_MS = 700;

const lab = await makeLab();
const [one, two] = lab.nodes;
if (one === undefined || two === undefined) throw new Error("the lab has two nodes");
const pod = (uid: string, ip: string, node: string, app: string) => lab.addPod({ uid, namespace: "default", name: uid, ip, node, labels: { app } });
const a = await pod("a", "10.244.0.5", "node-1", "a");
const b = await pod("b", "10.244.0.6", "node-1", "b");
const c = await pod("c", "10.244.1.7", "node-2", "c");
const d = await pod("d", "10.244.1.8", "node-2", "c");
const outside = netnsPath("outside");
const addresses = { a: "10.244.0.5", b: "10.244.0.6", c: "10.244.1.7", d: "10.244.1.8" } as const;
for (const [name, netns] of Object.entries({ a, b, c, d })) {
  const ip = addresses[name as keyof typeof addresses];
  await serve(netns, ip, 8080, name);
  await serveUdp(netns, ip, 5353, name);
}
after(() => host.clock.after(500, () => process.exit()).unref());

const service = (name: string, clusterIP: string, spec: object = {}): KubeObject =>
  ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: {
      clusterIP,
      clusterIPs: [clusterIP],
      ports: [
        { name: "http", port: 80, protocol: "TCP", targetPort: 8080 },
        { name: "dns", port: 53, protocol: "UDP", targetPort: 5353 },
      ],
      ...spec,
    },
  }) as KubeObject;
const slice = (name: string, pods: readonly (keyof typeof addresses)[], conditions: object = { ready: true }): KubeObject =>
  ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${name}-1`, namespace: "default", labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [
      { name: "http", port: 8080, protocol: "TCP" },
      { name: "dns", port: 5353, protocol: "UDP" },
    ],
    endpoints: pods.map((each) => ({ addresses: [addresses[each]], conditions })),
  }) as KubeObject;
const policy = (name: string, spec: object): KubeObject =>
  ({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name, namespace: "default" }, spec }) as KubeObject;

/** The kernel starts a new link's queue a moment after the link is up, and drops what is sent before. */
async function firstAnswer(): Promise<string> {
  for (let i = 0; i < 20; i += 1) {
    const answer = await call(a, addresses.c, 8080);
    if (answer !== "timeout") return answer;
  }
  return "timeout";
}

test("pods reach each other on a node and across nodes, with their own addresses", async () => {
  assert.equal(await call(a, addresses.b, 8080), "b 10.244.0.5");
  assert.equal(await firstAnswer(), "c 10.244.0.5");
  assert.equal(await callUdp(c, addresses.a, 5353), "a");
});

test("a full packet of the pods' MTU, in the tunnel, fills the underlay's exactly", async () => {
  const sizes: number[] = [];
  const session = host.netlink.open();
  const capture = session.capture("node-1", (frame) => sizes.push(frame.length));
  // IP and UDP take 28 bytes.
  assert.equal(await callUdp(a, addresses.c, 5353, { bytes: 1450 - 28 }), "c");
  const largest = Math.max(...sizes);
  assert.equal(await callUdp(a, addresses.c, 5353, { bytes: 1450 - 27 }), "c");
  capture.close();
  session.close();
  assert.equal(largest, 1500 + 14);
  assert.equal(Math.max(...sizes), 1500 + 14, "a larger one is split by the pod, not by the tunnel");
});

test("a service address leads to each of its endpoints, by TCP and UDP", async () => {
  await lab.set(service("web", "10.96.0.20"), slice("web", ["b", "c", "d"]));
  const counts = new Map<string, number>();
  for (let i = 0; i < 60; i += 1) {
    const name = (await call(a, "10.96.0.20", 80)).split(" ")[0] ?? "";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  assert.deepEqual([...counts.keys()].sort(), ["b", "c", "d"]);
  const names = new Set<string>();
  for (let i = 0; i < 30; i += 1) names.add(await callUdp(a, "10.96.0.20", 53));
  assert.deepEqual([...names].sort(), ["b", "c", "d"]);
});

test("the nodes themselves reach services and pods everywhere", async () => {
  assert.match(await call(netnsPath("node-1"), addresses.a, 8080), /^a 10.244.0.1$/);
  assert.match(await call(netnsPath("node-1"), addresses.c, 8080), /^c 10.244.0.1$/);
  for (let i = 0; i < 12; i += 1) assert.match(await call(netnsPath("node-1"), "10.96.0.20", 80), /^[bcd] /);
});

test("a service without endpoints, and a port that no service has, are refused at once", async () => {
  await lab.set(service("empty", "10.96.0.21"), slice("empty", []));
  for (const netns of [a, netnsPath("node-1")]) {
    assert.equal(await call(netns, "10.96.0.21", 80), "ECONNREFUSED");
    assert.equal(await call(netns, "10.96.0.20", 81), "ECONNREFUSED");
    assert.equal(await call(netns, "10.96.99.99", 80), "ECONNREFUSED");
  }
});

test("a pod reaches itself through its own service, and sees another address than its own", async () => {
  await lab.set(service("self", "10.96.0.22"), slice("self", ["a"]));
  assert.equal(await call(a, "10.96.0.22", 80), "a 169.254.1.1");
});

test("a load balancer address works from a machine beside the nodes, to pods of every node", async () => {
  await lab.set(
    { ...service("lb", "10.96.0.23", { type: "LoadBalancer" }), status: { loadBalancer: { ingress: [{ ip: "192.168.99.241" }] } } } as KubeObject,
    slice("lb", ["a", "c"]),
  );
  const seen = new Set<string>();
  for (let i = 0; i < 30; i += 1) seen.add(await call(outside, "192.168.99.241", 80));
  assert.deepEqual([...seen].sort(), ["a 192.168.99.9", "c 10.244.0.1"]);
  assert.equal(await call(outside, "192.168.99.242", 80), "ECONNREFUSED");
});

test("pods reach machines beside the nodes with their node's address", async () => {
  const server = await serve(outside, "192.168.99.9", 8080, "outside");
  assert.equal(await call(a, "192.168.99.9", 8080), "outside 192.168.99.10");
  await server.close();
});

test("a policy isolates for ingress, on a node and across nodes, also behind a service; the drops name it", async () => {
  await lab.set(
    policy("only-b", {
      podSelector: { matchLabels: { app: "c" } },
      policyTypes: ["Ingress"],
      ingress: [{ from: [{ podSelector: { matchLabels: { app: "b" } } }], ports: [{ port: 8080 }] }],
    }),
  );
  await lab.set(service("cs", "10.96.0.24"), slice("cs", ["c", "d"]));
  assert.equal(await call(b, addresses.c, 8080), "c 10.244.0.6");
  assert.match(await call(b, "10.96.0.24", 80), /^[cd] 10.244.0.6$/);
  assert.equal(await call(a, addresses.c, 8080, SILENCE_MS), "timeout");
  assert.equal(await call(a, "10.96.0.24", 80, SILENCE_MS), "timeout");
  assert.equal(await call(d, addresses.c, 8080, SILENCE_MS), "timeout");
  assert.equal(await callUdp(b, addresses.c, 5353, { timeoutMs: SILENCE_MS }), "timeout");
  const drops = two.flows.records();
  const drop = drops.find(({ source, destination }) => source.ip === addresses.a && destination.ip === addresses.c);
  assert.ok(drop, JSON.stringify(drops));
  assert.deepEqual(
    { ...drop, time: "", source: { ...drop.source, port: 0 } },
    {
      time: "",
      node: "node-2",
      verdict: "dropped",
      direction: "ingress",
      protocol: "tcp",
      source: { ip: addresses.a, port: 0 },
      destination: { ip: addresses.c, port: 8080 },
      policies: ["NetworkPolicy default/only-b"],
      reason: "isolated for ingress by NetworkPolicy default/only-b, and no rule allows it",
    },
  );
  assert.ok(drops.some(({ protocol, destination }) => protocol === "udp" && destination.ip === addresses.c));
});

test("an isolated pod answers its node's probes and reaches itself through its service, but not its sibling", async () => {
  assert.equal(await call(netnsPath("node-2"), addresses.c, 8080), "c 10.244.1.1");
  const answers = new Set<string>();
  for (let i = 0; i < 10; i += 1) answers.add(await call(c, "10.96.0.24", 80, 300));
  assert.deepEqual([...answers].sort(), ["c 169.254.1.1", "timeout"]);
});

test("a policy isolates for egress: names and numbers of ports, ranges with exceptions, and the node's own DNS", async () => {
  await lab.set(
    policy("egress", {
      podSelector: { matchLabels: { app: "a" } },
      policyTypes: ["Egress"],
      egress: [{ to: [{ ipBlock: { cidr: "10.244.0.0/16", except: ["10.244.1.0/24"] } }], ports: [{ port: 8000, endPort: 9000 }] }],
    }),
  );
  assert.equal(await call(a, addresses.b, 8080), "b 10.244.0.5");
  assert.equal(await call(a, addresses.d, 8080, SILENCE_MS), "timeout");
  assert.equal(await callUdp(a, addresses.b, 5353, { timeoutMs: SILENCE_MS }), "timeout");
  assert.ok(one.flows.records().some(({ direction, policies }) => direction === "egress" && policies.includes("NetworkPolicy default/egress")));
  assert.match(await run(a, "dig", "+time=1", "+tries=1", "@10.96.0.10", "web.default.svc.cluster.local"), /timed out|no servers could be reached/);
  await lab.remove("NetworkPolicy", "default/egress");
  assert.equal(await call(a, addresses.b, 8080), "b 10.244.0.5");
});

/** A connection that says what it is told, and what has come back of it. */
function chat(netns: string, ip: string, port: number): { say(words: string, withinMs?: number): Promise<boolean>; close(): void } {
  let heard = "";
  const connection = host.net.connect({ address: { ip, port }, netns }, { onData: (bytes) => (heard += Buffer.from(bytes).toString()), onClose() {} });
  return {
    async say(words, withinMs = 10_000) {
      connection.write(words);
      for (let i = 0; i < withinMs / 50 && !heard.includes(words); i += 1) await host.clock.sleep(50);
      return heard.includes(words);
    },
    close: () => connection.destroy(),
  };
}

test("a policy cuts off the open connections that it does not allow, and no others", async () => {
  await lab.remove("NetworkPolicy", "default/only-b");
  await lab.set(service("one", "10.96.0.26"), slice("one", ["c"]));
  const chats = {
    direct: chat(a, addresses.c, 8080),
    byService: chat(a, "10.96.0.26", 80),
    allowed: chat(b, addresses.c, 8080),
    allowedByService: chat(b, "10.96.0.26", 80),
  };
  for (const [name, each] of Object.entries(chats)) assert.ok(await each.say("before"), name);
  await lab.set(policy("only-b", { podSelector: { matchLabels: { app: "c" } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: "b" } } }] }] }));
  assert.ok((await chats.allowed.say("after")) && (await chats.allowedByService.say("after")));
  assert.deepEqual(await Promise.all([chats.direct.say("after", 1000), chats.byService.say("after", 1000)]), [false, false]);
  await lab.remove("NetworkPolicy", "default/only-b");
  for (const each of Object.values(chats)) each.close();
});

test("connections go on when the agent starts again", async () => {
  const heard: string[] = [];
  let ended = false;
  const connection = host.net.connect(
    { address: { ip: "10.96.0.20", port: 80 }, netns: a },
    { onData: (bytes) => heard.push(Buffer.from(bytes).toString()), onClose: () => (ended = true) },
  );
  await host.clock.sleep(200);
  const again = new LabNode("node-1", false);
  for (const node of [one]) {
    for (const wiring of node.plan?.pods ?? []) {
      const { uid, namespace, name } = wiring;
      const object = { apiVersion: "v1", kind: "Pod", metadata: { uid, namespace, name }, spec: { nodeName: "node-1", containers: [] } } as KubeObject;
      again.compiler.apply({ kind: "Pod", key: `${namespace}/${name}`, object });
      again.compiler.wire({
        uid: wiring.uid,
        namespace: wiring.namespace,
        name: wiring.name,
        ip: wiring.ip,
        ...(wiring.netns === undefined ? {} : { netns: wiring.netns }),
      });
    }
  }
  for (const each of ["node-1", "node-2"]) {
    const place = each === "node-1" ? { address: "192.168.99.10", podCIDR: "10.244.0.0/24" } : { address: "192.168.99.11", podCIDR: "10.244.1.0/24" };
    again.compiler.apply({
      kind: "Node",
      key: each,
      object: {
        apiVersion: "v1",
        kind: "Node",
        metadata: { name: each },
        spec: { podCIDR: place.podCIDR },
        status: { addresses: [{ type: "InternalIP", address: place.address }] },
      } as KubeObject,
    });
  }
  again.compiler.apply({ kind: "Service", key: "default/web", object: service("web", "10.96.0.20") });
  again.compiler.apply({ kind: "EndpointSlice", key: "default/web-1", object: slice("web", ["b", "c", "d"]) });
  await again.apply();
  connection.write("still there?");
  for (let i = 0; i < 100 && !heard.join("").includes("still"); i += 1) await host.clock.sleep(100);
  assert.ok(!ended);
  assert.match(heard.join(""), /still there\?/);
  connection.destroy();
});

test("when an endpoint goes its connections are forgotten; while it drains they stay", async () => {
  await lab.set(service("gone", "10.96.0.25"), slice("gone", ["b"]));
  const node = netnsPath("node-1");
  const entries = () => run(node, "conntrack", "-L", "-d", "10.96.0.25");
  const connection = host.net.connect({ address: { ip: "10.96.0.25", port: 80 }, netns: a }, { onData() {}, onClose() {} });
  await callUdp(a, "10.96.0.25", 53);
  await host.clock.sleep(200);
  assert.match(await entries(), /tcp.*ESTABLISHED[^]*udp|udp[^]*tcp.*ESTABLISHED/);
  await lab.set(slice("gone", ["b"], { ready: false, serving: false, terminating: true }));
  assert.match(await entries(), /tcp.*ESTABLISHED/);
  assert.doesNotMatch(await entries(), /udp/);
  await lab.set(slice("gone", []));
  assert.doesNotMatch(await entries(), /tcp|udp/);
  connection.destroy();
});

test("a spoofed source address or MAC dies on the node, and so do tunnel packets of pods", async () => {
  const before = one.flows.dropped;
  await run(a, "ip", "address", "add", "10.244.0.99/32", "dev", "eth0");
  assert.equal(await callUdp(a, addresses.b, 5353, { source: "10.244.0.99", timeoutMs: 200 }), "timeout");
  await run(a, "ip", "address", "delete", "10.244.0.99/32", "dev", "eth0");
  await run(a, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:99");
  assert.equal(await callUdp(a, addresses.b, 5353, { timeoutMs: 200 }), "timeout");
  await run(a, "ip", "link", "set", "eth0", "address", one.plan?.pods.find(({ uid }) => uid === "a")?.podMac ?? "");
  await run(a, "ip", "neigh", "replace", "169.254.1.1", "lladdr", one.plan?.pods.find(({ uid }) => uid === "a")?.hostMac ?? "", "dev", "eth0");
  assert.equal(await callUdp(a, "192.168.99.11", 4789, { timeoutMs: 200 }), "timeout");
  await host.clock.sleep(100);
  const reasons = one.flows
    .records()
    .slice(before)
    .map(({ reason }) => reason);
  assert.ok(
    reasons.some((reason) => /not its own/.test(reason)),
    reasons.join(),
  );
  assert.ok(
    reasons.some((reason) => /tunnel packet/.test(reason)),
    reasons.join(),
  );
});

test("names are answered on the node, as dig sees them", async () => {
  const inNode = hostIn(netnsPath("node-1"));
  const net = {
    ...host.net,
    bind: (options: Parameters<typeof host.net.bind>[0], received: Parameters<typeof host.net.bind>[1]) =>
      host.net.bind({ ...options, netns: netnsPath("node-1") }, received),
    listen: (options: Parameters<typeof host.net.listen>[0], accepted: Parameters<typeof host.net.listen>[1]) =>
      host.net.listen({ ...options, netns: netnsPath("node-1") }, accepted),
  };
  const dns = await startDns(
    { ...inNode, net },
    {
      address: { ip: "10.96.0.10", port: 53 },
      upstreams: () => [],
      zone: () => one.plan?.zone ?? { domain: "cluster.local", reverse: [], namespaces: [], names: {} },
    },
  );
  const dig = (...args: string[]) => run(a, "dig", "+time=1", "+tries=1", "@10.96.0.10", ...args);
  assert.equal(await dig("+short", "web.default.svc.cluster.local"), "10.96.0.20\n");
  assert.equal(await dig("+short", "+tcp", "web.default.svc.cluster.local"), "10.96.0.20\n");
  assert.equal(await dig("+short", "-x", "10.96.0.20"), "web.default.svc.cluster.local.\n");
  assert.match(await dig("nobody.default.svc.cluster.local"), /status: NXDOMAIN[^]*SOA/);
  assert.match(await dig("AAAA", "web.default.svc.cluster.local"), /status: NOERROR[^]*ANSWER: 0[^]*SOA/);
  assert.match(await dig("example.org"), /status: REFUSED/);
  await dns.close();
});

test("a pod with a proxy gives it its traffic, and nobody connects to the proxy's own ports", async () => {
  const proxied = await lab.addPod({
    uid: "p",
    namespace: "default",
    name: "p",
    ip: "10.244.0.9",
    node: "node-1",
    labels: { app: "p" },
    more: {
      spec: {
        nodeName: "node-1",
        containers: [
          { name: "app", image: "x" },
          { name: "istio-proxy", image: "x" },
        ],
      },
    },
  });
  const listen = (ip: string, port: number, name: string) =>
    host.net.listen({ address: { ip, port }, netns: proxied, originalDestination: true }, (connection) => {
      connection.handle({ onData() {}, onClose() {} });
      const original = connection.facts.originalDestination;
      connection.write(`${name} ${original?.ip ?? ""}:${original?.port ?? ""}\n`);
    });
  await listen("0.0.0.0", 15001, "outbound");
  await listen("0.0.0.0", 15006, "inbound");
  await listen("0.0.0.0", 15021, "ready");
  await serve(proxied, "0.0.0.0", 8080, "app");
  assert.equal(await call(proxied, addresses.b, 8080), "outbound 10.244.0.6:8080");
  assert.equal(await call(proxied, "10.96.0.20", 80), "outbound 10.96.0.20:80");
  assert.equal(await call(a, "10.244.0.9", 8080), "inbound 10.244.0.9:8080");
  assert.match(await call(a, "10.244.0.9", 15021), /^ready /);
  assert.match(await call(proxied, "127.0.0.1", 8080), /^app /);
  for (const port of [15001, 15006]) {
    assert.equal(await call(a, "10.244.0.9", port), "ECONNREFUSED");
    assert.equal(await call(proxied, "127.0.0.1", port), "ECONNREFUSED");
  }
  const from = (ip: string, socket: { readonly mark?: number; readonly sourceIp?: string }): Promise<string> =>
    new Promise((resolve) => {
      const connection = host.net.connect(
        { address: { ip, port: 8080 }, netns: proxied, ...socket },
        {
          onData: (bytes) => {
            resolve(Buffer.from(bytes).toString().trim());
            connection.destroy();
          },
          onClose: (error) => resolve(error?.code ?? ""),
        },
      );
    });
  assert.equal(await from(addresses.b, { mark: 0x539 }), "b 10.244.0.9");
  // How a proxy hands over to its application, without a mark.
  assert.equal(await from("10.244.0.9", { sourceIp: "127.0.0.6" }), "app 127.0.0.6");
  assert.match(await from("10.244.0.9", { mark: 0x539 }), /^inbound /);
});

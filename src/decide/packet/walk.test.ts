import assert from "node:assert/strict";
import { test } from "node:test";
import { planOfKept } from "#compile/node/test-kept.ts";
import { DEFAULT_SETTINGS, NAMES_PORT, type NodeSettings } from "#compile/node/settings.ts";
import { formatProvenance } from "#model/provenance.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { World } from "#model/world.ts";
import { passHook } from "./evaluate.ts";
import { walkPacket, type PacketOutcome, type PacketQuestion } from "./walk.ts";

const object = (kind: string, name: string, rest: object, namespace: string | undefined = "default"): KubeObject =>
  ({
    apiVersion: "v1",
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...(rest as { metadata?: object }).metadata },
    ...Object.fromEntries(Object.entries(rest).filter(([key]) => key !== "metadata")),
  }) as KubeObject;
const node = (name: string, address: string, podCIDR: string) => ({
  ...object("Node", name, { spec: { podCIDR }, status: { addresses: [{ type: "InternalIP", address }] } }),
  metadata: { name },
});
const pod = (name: string, ip: string, nodeName: string, containers: object[] = [{ name: "app", ports: [{ name: "http", containerPort: 8080 }] }]) =>
  object("Pod", name, { metadata: { uid: name, labels: { app: name.slice(0, 1) } }, spec: { nodeName, containers }, status: { podIP: ip, phase: "Running" } });
const service = (name: string, clusterIP: string, rest: object = {}) =>
  object("Service", name, { spec: { clusterIP, clusterIPs: [clusterIP], ports: [{ name: "http", port: 80 }], ...rest } });
const slice = (name: string, ips: string[]) =>
  object("EndpointSlice", `${name}-1`, {
    metadata: { labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints: ips.map((ip) => ({ addresses: [ip], nodeName: ip.startsWith("10.244.0.") ? "node-1" : "node-2", conditions: { ready: true } })),
  });
const policy = (name: string, spec: object) => object("NetworkPolicy", name, { spec });

const A = "10.244.0.5";
const B = "10.244.0.6";
const C = "10.244.1.7";
const P = "10.244.1.9";
const base: KubeObject[] = [
  node("node-1", "192.168.99.10", "10.244.0.0/24"),
  node("node-2", "192.168.99.11", "10.244.1.0/24"),
  { ...object("Namespace", "default", {}), metadata: { name: "default" } },
  pod("a", A, "node-1"),
  pod("b", B, "node-1"),
  pod("c", C, "node-2"),
  pod("p", P, "node-2", [{ name: "app" }, { name: "istio-proxy" }]),
  service("bc", "10.96.0.20"),
  slice("bc", [B, C]),
  service("empty", "10.96.0.21"),
  slice("empty", []),
  service("self", "10.96.0.22"),
  slice("self", [A]),
];

function walk(objects: readonly KubeObject[], question: PacketQuestion, more: Partial<NodeSettings> = {}): PacketOutcome[] {
  const world = Object.fromEntries(
    [...Map.groupBy(objects, ({ kind }) => kind)].map(([kind, list]) => [kind, new Map(list.map((each) => [objectKey(each), each]))]),
  ) as World;
  const plans = ["node-1", "node-2"].map((name) => planOfKept(world, { node: name, settings: { ...DEFAULT_SETTINGS, ...more } }));
  return walkPacket(plans, question);
}

const from = (name: string) => ({ kind: "pod", namespace: "default", name }) as const;
const ask = (name: string, destination: string, port = 8080, more: Partial<PacketQuestion> = {}): PacketQuestion => ({
  from: from(name),
  destination,
  port,
  protocol: "tcp",
  ...more,
});

/** "allowed default/c:8080 from 10.244.0.5", or how it ended, with who decided. */
function told(outcome: PacketOutcome): string {
  const at = outcome.at.kind === "pod" ? `${outcome.at.namespace}/${outcome.at.name}` : outcome.at.kind === "node" ? outcome.at.node : "beyond";
  if (outcome.verdict === "allowed") return `${at}:${outcome.port} from ${outcome.source}${outcome.proxy === undefined ? "" : `, ${outcome.proxy} proxy`}`;
  const last = outcome.hops.at(-1);
  return `${outcome.effect ?? ""} at ${last?.hop ?? ""}${last?.by === undefined ? "" : ` by ${formatProvenance(last.by)}`}`;
}

const onlyB = policy("only-b", {
  podSelector: { matchLabels: { app: "c" } },
  ingress: [{ from: [{ podSelector: { matchLabels: { app: "b" } } }], ports: [{ port: "http" }] }],
});
const closed = policy("closed", { podSelector: { matchLabels: { app: "a" } }, policyTypes: ["Egress"] });
const nodePort = (spec: object = {}) => service("bc", "10.96.0.20", { type: "NodePort", ports: [{ name: "http", port: 80, nodePort: 30080 }], ...spec });
const restricted = (range: string) =>
  ({
    ...service("bc", "10.96.0.20", { type: "LoadBalancer", loadBalancerSourceRanges: [range] }),
    status: { loadBalancer: { ingress: [{ ip: "192.168.99.241" }] } },
  }) as KubeObject;
const fromOutside = (destination: string, port: number): PacketQuestion =>
  ask("", destination, port, { from: { kind: "outside", ip: "192.168.99.9", via: "node-1", ranges: ["192.168.99.240/28"] } });
const CASES: { name: string; objects?: KubeObject[]; question: PacketQuestion; want: string[] }[] = [
  { name: "pod to pod on its node", question: ask("a", B), want: ["default/b:8080 from 10.244.0.5"] },
  { name: "pod to pod across the tunnel", question: ask("a", C), want: ["default/c:8080 from 10.244.0.5"] },
  {
    name: "pod to cluster IP, each endpoint",
    question: ask("a", "10.96.0.20", 80),
    want: ["default/b:8080 from 10.244.0.5", "default/c:8080 from 10.244.0.5"],
  },
  {
    name: "pod to cluster IP with no endpoints: REJECT",
    question: ask("a", "10.96.0.21", 80),
    want: ["connection refused at service by Service default/empty spec.ports[0]"],
  },
  { name: "pod to a port that the service does not have: REJECT", question: ask("a", "10.96.0.20", 81), want: ["connection refused at service"] },
  { name: "pod to itself through its service sees the gateway", question: ask("a", "10.96.0.22", 80), want: ["default/a:8080 from 169.254.1.1"] },
  { name: "pod to DNS on its node", question: ask("a", "10.96.0.10", 53, { protocol: "udp" }), want: ["node-1:53 from 10.244.0.5"] },
  {
    name: "pod to a machine beside the nodes leaves with its node's address",
    question: ask("a", "192.168.99.9", 443),
    want: ["beyond:443 from 192.168.99.10"],
  },
  { name: "an address of the pod range that no pod has", question: ask("a", "10.244.9.9"), want: ["beyond:8080 from 192.168.99.10"] },
  { name: "pod through a policy that allows it, by a named port", objects: [onlyB], question: ask("b", C), want: ["default/c:8080 from 10.244.0.6"] },
  {
    name: "pod through a policy that does not allow it",
    objects: [onlyB],
    question: ask("a", C),
    want: ["no answer at policy in by NetworkPolicy default/only-b"],
  },
  {
    name: "the same behind a service: one endpoint of two",
    objects: [onlyB],
    question: ask("a", "10.96.0.20", 80),
    want: ["default/b:8080 from 10.244.0.5", "no answer at policy in by NetworkPolicy default/only-b"],
  },
  { name: "another port than the policy's", objects: [onlyB], question: ask("b", C, 9), want: ["no answer at policy in by NetworkPolicy default/only-b"] },
  { name: "egress closed", objects: [closed], question: ask("a", B), want: ["no answer at policy out by NetworkPolicy default/closed"] },
  {
    name: "egress closed closes the node's DNS too",
    objects: [closed],
    question: ask("a", "10.96.0.10", 53, { protocol: "udp" }),
    want: ["no answer at policy out by NetworkPolicy default/closed"],
  },
  {
    name: "egress closed, but to itself through its service",
    objects: [closed],
    question: ask("a", "10.96.0.22", 80),
    want: ["default/a:8080 from 169.254.1.1"],
  },
  {
    name: "the node's probe of an isolated pod",
    objects: [onlyB],
    question: ask("", C, 8080, { from: { kind: "node", node: "node-2" } }),
    want: ["default/c:8080 from 10.244.1.1"],
  },
  {
    name: "a load balancer address from outside",
    objects: [{ ...service("bc", "10.96.0.20", { type: "LoadBalancer" }), status: { loadBalancer: { ingress: [{ ip: "192.168.99.241" }] } } } as KubeObject],
    question: ask("", "192.168.99.241", 80, { from: { kind: "outside", ip: "192.168.99.9", via: "node-1", ranges: ["192.168.99.240/28"] } }),
    want: ["default/b:8080 from 192.168.99.9", "default/c:8080 from 10.244.0.1"],
  },
  {
    name: "a node's port from outside, each endpoint",
    objects: [nodePort()],
    question: fromOutside("192.168.99.10", 30080),
    want: ["default/b:8080 from 192.168.99.9", "default/c:8080 from 10.244.0.1"],
  },
  {
    name: "another node's port from a pod",
    objects: [nodePort()],
    question: ask("a", "192.168.99.11", 30080),
    want: ["default/b:8080 from 10.244.1.1", "default/c:8080 from 192.168.99.10"],
  },
  {
    name: "a node's port with external traffic local, from outside",
    objects: [nodePort({ externalTrafficPolicy: "Local" })],
    question: fromOutside("192.168.99.11", 30080),
    want: ["default/c:8080 from 192.168.99.9"],
  },
  {
    name: "the same from a pod: short cut to all endpoints",
    objects: [nodePort({ externalTrafficPolicy: "Local" })],
    question: ask("a", "192.168.99.10", 30080),
    want: ["default/b:8080 from 10.244.0.5", "default/c:8080 from 10.244.0.5"],
  },
  {
    name: "the same where no endpoint is: DROP",
    objects: [nodePort({ externalTrafficPolicy: "Local" }), slice("bc", [C])],
    question: fromOutside("192.168.99.10", 30080),
    want: ["no answer at service by Service default/bc spec.ports[0].nodePort"],
  },
  {
    name: "clients that stay: a new one may get each endpoint",
    objects: [service("bc", "10.96.0.20", { sessionAffinity: "ClientIP" })],
    question: ask("a", "10.96.0.20", 80),
    want: ["default/b:8080 from 10.244.0.5", "default/c:8080 from 10.244.0.5"],
  },
  {
    name: "a load balancer that is restricted to other sources: DROP",
    objects: [restricted("203.0.113.0/24")],
    question: fromOutside("192.168.99.241", 80),
    want: ["no answer at service by Service default/bc spec.loadBalancerSourceRanges"],
  },
  {
    name: "a load balancer that is restricted to this source",
    objects: [restricted("192.168.99.0/28")],
    question: fromOutside("192.168.99.241", 80),
    want: ["default/b:8080 from 192.168.99.9", "default/c:8080 from 10.244.0.1"],
  },
  {
    name: "an endpoint outside the pod network sees the node",
    objects: [slice("bc", ["192.168.99.11"])],
    question: ask("a", "10.96.0.20", 80),
    want: ["node-2:8080 from 192.168.99.10"],
  },
  {
    name: "a port that a pod has on its node",
    objects: [pod("b", B, "node-1", [{ name: "app", ports: [{ containerPort: 8080, hostPort: 9090 }] }])],
    question: fromOutside("192.168.99.10", 9090),
    want: ["default/b:8080 from 192.168.99.9"],
  },
  { name: "out of a pod with a proxy", question: ask("p", C), want: ["default/p:8080 from 10.244.1.9, outbound proxy"] },
  { name: "the proxy's own packets", question: ask("p", C, 8080, { mark: 0x539 }), want: ["default/c:8080 from 10.244.1.9"] },
  { name: "UDP of a pod with a proxy", question: ask("p", "10.96.0.10", 53, { protocol: "udp" }), want: ["node-2:53 from 10.244.1.9"] },
  { name: "into a pod with a proxy", question: ask("a", P), want: ["default/p:8080 from 10.244.0.5, inbound proxy"] },
  { name: "the readiness of a proxy", question: ask("a", P, 15021), want: ["default/p:15021 from 10.244.0.5"] },
  { name: "straight to the proxy's port: REJECT", question: ask("a", P, 15006), want: ["connection refused at interception"] },
];
for (const { name, objects = [], question, want } of CASES) {
  test(name, () => {
    const known = new Map([...base, ...objects].map((each) => [`${each.kind} ${objectKey(each)}`, each]));
    const outcomes = walk([...known.values()], question);
    assert.deepEqual(outcomes.map(told), want);
    assert.ok(Math.abs(outcomes.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
    assert.ok(outcomes.every(({ hops }) => hops.every(({ known: how }) => how === "modelled")));
  });
}

test("every hop on the way is named", () => {
  const [, c] = walk([...base, onlyB], ask("b", "10.96.0.20", 80));
  assert.deepEqual(
    c?.hops.map(({ hop, by }) => `${hop}${by === undefined ? "" : `: ${formatProvenance(by)}`}`),
    [
      "neighbour: Pod default/b",
      "service: Service default/bc spec.ports[0]",
      "policy out",
      "wire: Node node-2 spec.podCIDR",
      "policy in: NetworkPolicy default/only-b spec.ingress[0]",
      "neighbour: Pod default/c",
    ],
  );
});

test("who stays with an endpoint is told so", () => {
  const sticky = service("bc", "10.96.0.20", { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } });
  const [first] = walk([...base.filter((each) => objectKey(each) !== "default/bc"), sticky], ask("a", "10.96.0.20", 80));
  const hop = first?.hops.find((each) => each.hop === "service");
  assert.equal(
    hop?.text,
    "10.96.0.20:80 -> 10.244.0.6:8080 (1 of 2; EndpointSlice default/bc-1 endpoints[0]; the same client stays with it, until it has not called for 60 s)",
  );
});

test("a rule that points at nothing is an error, not an answer", () => {
  const table = {
    family: "ip",
    name: "t",
    sets: [],
    maps: [],
    chains: [
      {
        name: "c",
        base: { type: "filter", hook: "input", priority: 0, policy: "accept" },
        rules: [{ matches: [], statements: [{ kind: "jump", chain: "gone" }] }],
      },
    ],
  } as const;
  assert.throws(
    () => passHook([table], "input", { packet: { source: A, destination: B, protocol: "tcp", port: 1, mark: 0 }, share: 1, verdict: "accept", trace: [] }),
    /no chain gone/,
  );
});

test("a question to DNS gets the port of who answers on the node after policies have seen port 53", () => {
  const only53 = policy("only-53", {
    podSelector: { matchLabels: { app: "a" } },
    policyTypes: ["Egress"],
    egress: [{ ports: [{ port: 53, protocol: "UDP" }] }],
  });
  const asked = (objects: readonly KubeObject[], protocol: "tcp" | "udp", port = 53) => {
    const [outcome] = walk([...base, ...objects], ask("a", "10.96.0.10", port, { protocol }), { namesPort: NAMES_PORT });
    return outcome ?? assert.fail();
  };
  const hops = ({ hops: all }: PacketOutcome) =>
    all.filter(({ hop }) => hop !== "neighbour").map(({ hop, by }) => `${hop}${by === undefined ? "" : ` by ${formatProvenance(by)}`}`);
  assert.equal(told(asked([], "udp")), `node-1:${NAMES_PORT} from ${A}`);
  assert.deepEqual(hops(asked([], "udp")), ["service", "policy out"]);
  assert.equal(told(asked([only53], "udp")), `node-1:${NAMES_PORT} from ${A}`);
  assert.deepEqual(hops(asked([only53], "udp")), ["policy out by NetworkPolicy default/only-53 spec.egress[0]", "service"]);
  assert.equal(told(asked([only53], "tcp")), "no answer at policy out by NetworkPolicy default/only-53");
  assert.equal(told(asked([closed], "udp")), "no answer at policy out by NetworkPolicy default/closed");
  assert.equal(told(asked([], "udp", NAMES_PORT)), "connection refused at service");
});

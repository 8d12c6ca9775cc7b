import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { planOfKept } from "#compile/node/test-kept.ts";
import type { MapElement } from "#lib/nft-ruleset.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import { formatProvenance } from "#model/provenance.ts";
import type { World } from "#model/world.ts";
import { SERVICES_TABLE } from "./services.ts";

/** Pods a, b on node-1 (zone z1), c on node-2 (zone z2); this node is node-1. */
const [A, B, C] = ["10.244.0.5", "10.244.0.6", "10.244.1.7"];
const NODE = "192.168.99.10";
const GATEWAY = "10.244.0.1";
const nodes = [
  { name: "node-1", address: NODE, podCIDR: "10.244.0.0/24", zone: "z1" },
  { name: "node-2", address: "192.168.99.11", podCIDR: "10.244.1.0/24", zone: "z2" },
].map(({ name, address, podCIDR, zone }) =>
  object("Node", { name, labels: { "topology.kubernetes.io/zone": zone } }, { spec: { podCIDR }, status: { addresses: [{ type: "InternalIP", address }] } }),
);

function object(kind: string, metadata: object, rest: object): KubeObject {
  return { apiVersion: "v1", kind, metadata, ...rest } as KubeObject;
}
const service = (spec: object, status: object = {}): KubeObject =>
  object(
    "Service",
    { name: "web", namespace: "shop" },
    { spec: { clusterIP: "10.96.0.20", clusterIPs: ["10.96.0.20"], ports: [{ port: 80, targetPort: 8080 }], ...spec }, status },
  );
interface End {
  readonly ip: string;
  readonly node?: string;
  readonly conditions?: object;
  readonly hints?: object;
}
const at = (ip: string, conditions: object = { ready: true }, hints?: object): End => ({
  ip,
  node: ip === C ? "node-2" : "node-1",
  conditions,
  ...(hints === undefined ? {} : { hints }),
});
const slice = (ends: readonly End[], { name = "web-1", ports = [{ port: 8080 }] as readonly object[], addressType = "IPv4" } = {}): KubeObject =>
  object(
    "EndpointSlice",
    { name, namespace: "shop", labels: { "kubernetes.io/service-name": "web" } },
    {
      addressType,
      ports,
      endpoints: ends.map(({ ip, node, conditions, hints }) => ({ addresses: [ip], nodeName: node, conditions, ...(hints === undefined ? {} : { hints }) })),
    },
  );
const terminating = { ready: false, serving: true, terminating: true };

function planOf(objects: readonly KubeObject[]): NodePlan {
  const world = Object.fromEntries(
    [...Map.groupBy([...nodes, ...objects], ({ kind }) => kind)].map(([kind, list]) => [kind, new Map(list.map((each) => [objectKey(each), each]))]),
  ) as World;
  return planOfKept(world, { node: "node-1", settings: DEFAULT_SETTINGS });
}

/** "10.96.0.20 tcp 80 -> A:8080, B:8080", by number; "inside" where pods and the node itself are served otherwise. */
function told(plan: NodePlan): string[] {
  const table = plan.tables.find(({ name }) => name === SERVICES_TABLE);
  const elements = (name: string): readonly MapElement[] => table?.maps.find((map) => map.name === name)?.elements ?? [];
  const find = (key: readonly string[], ...maps: readonly string[]) =>
    maps.flatMap((map) => elements(map)).find((each) => each.key.join(" ") === key.join(" "))?.value as readonly string[] | undefined;
  const endpoints = (key: readonly string[], chain: string) => {
    const [, kind, count, , offset = 0, , seconds] = /^(endpoints|sticky)-(\d+)(-from-(\d+))?(-(\d+)s)?$/.exec(chain) ?? [];
    if (kind === undefined) return chain;
    const list = Array.from({ length: Number(count) }, (_, i) => {
      const number = [...key, String(Number(offset) + i)];
      if (kind === "endpoints") return find(number, "endpoints-tcp", "endpoints-udp");
      return find([...key, find(number, "marks")?.[0] ?? ""], "sticky-tcp", "sticky-udp");
    });
    const names = list.map((each) => (each === undefined ? "nothing" : each.join(":").replace(A, "A").replace(B, "B").replace(C, "C")));
    return `${names.join(", ")}${seconds === undefined ? "" : `, kept for ${seconds} s`}`;
  };
  const lines = (map: string, prefix: string) =>
    elements(map).map(
      ({ key, value }) =>
        `${prefix}${key.join(" ").replace(NODE, "NODE").replace(GATEWAY, "GATEWAY")} -> ${endpoints(key, "chain" in value ? value.chain : "")}`,
    );
  return [...lines("services", ""), ...lines("inside", "inside "), ...lines("refused", ""), ...lines("restricted", "restricted ")];
}

const nodePort = { type: "NodePort", ports: [{ port: 80, nodePort: 30080 }] };
const cases: readonly { readonly name: string; readonly objects: readonly KubeObject[]; readonly want: readonly string[] }[] = [
  { name: "an address leads to all that are ready", objects: [service({}), slice([at(C), at(A)])], want: ["10.96.0.20 tcp 80 -> A:8080, C:8080"] },
  { name: "nobody is ready: refused", objects: [service({}), slice([at(A, { ready: false })])], want: ["10.96.0.20 tcp 80 -> refuse"] },
  {
    name: "what terminates serves when nobody is ready, and what does not serve never does",
    objects: [service({}), slice([at(A, terminating), at(B, { ready: false, serving: false, terminating: true })])],
    want: ["10.96.0.20 tcp 80 -> A:8080"],
  },
  {
    name: "what terminates does not serve while another is ready",
    objects: [service({}), slice([at(A, terminating), at(B)])],
    want: ["10.96.0.20 tcp 80 -> B:8080"],
  },
  {
    name: "unready addresses that are published are ready, also while they terminate",
    objects: [service({ publishNotReadyAddresses: true }), slice([at(A, { ready: true, serving: false, terminating: true }), at(B)])],
    want: ["10.96.0.20 tcp 80 -> A:8080, B:8080"],
  },
  {
    name: "several slices: each endpoint once, in its better state; each slice has its own port",
    objects: [
      service({}),
      slice([at(A), at(B, { ready: false })]),
      slice([at(A), at(B)], { name: "web-2" }),
      slice([at(C)], { name: "web-3", ports: [{ port: 9090 }] }),
    ],
    want: ["10.96.0.20 tcp 80 -> A:8080, B:8080, C:9090"],
  },
  {
    name: "one number by TCP and by UDP, and names of ports",
    objects: [
      service({
        ports: [
          { name: "dns", port: 53, protocol: "UDP" },
          { name: "dns-tcp", port: 53, protocol: "TCP" },
        ],
      }),
      slice([at(A)], {
        ports: [
          { name: "dns", port: 5353, protocol: "UDP" },
          { name: "dns-tcp", port: 5354, protocol: "TCP" },
        ],
      }),
    ],
    want: ["10.96.0.20 udp 53 -> A:5353", "10.96.0.20 tcp 53 -> A:5354"],
  },
  {
    name: "a port of every node: on each of its addresses, to pods of all nodes",
    objects: [service(nodePort), slice([at(A), at(C)])],
    want: ["10.96.0.20 tcp 80 -> A:8080, C:8080", "NODE tcp 30080 -> A:8080, C:8080", "GATEWAY tcp 30080 -> A:8080, C:8080"],
  },
  {
    name: "external traffic local: to this node's, but from inside to all",
    objects: [service({ ...nodePort, externalTrafficPolicy: "Local" }), slice([at(A), at(C)])],
    want: [
      "10.96.0.20 tcp 80 -> A:8080, C:8080",
      "NODE tcp 30080 -> A:8080",
      "GATEWAY tcp 30080 -> A:8080",
      "inside NODE tcp 30080 -> A:8080, C:8080",
      "inside GATEWAY tcp 30080 -> A:8080, C:8080",
    ],
  },
  {
    name: "external traffic local and nobody here: not answered from outside",
    objects: [service({ ...nodePort, externalTrafficPolicy: "Local" }), slice([at(C)])],
    want: [
      "10.96.0.20 tcp 80 -> C:8080",
      "inside NODE tcp 30080 -> C:8080",
      "inside GATEWAY tcp 30080 -> C:8080",
      "NODE tcp 30080 -> served-elsewhere",
      "GATEWAY tcp 30080 -> served-elsewhere",
    ],
  },
  {
    name: "external traffic local while this node's last one terminates: it serves outside, the others serve inside",
    objects: [service({ ...nodePort, externalTrafficPolicy: "Local" }), slice([at(A, terminating), at(C)])],
    want: [
      "10.96.0.20 tcp 80 -> C:8080",
      "NODE tcp 30080 -> A:8080",
      "GATEWAY tcp 30080 -> A:8080",
      "inside NODE tcp 30080 -> C:8080",
      "inside GATEWAY tcp 30080 -> C:8080",
    ],
  },
  {
    name: "internal traffic local",
    objects: [service({ internalTrafficPolicy: "Local" }), slice([at(A), at(C)])],
    want: ["10.96.0.20 tcp 80 -> A:8080"],
  },
  {
    name: "internal traffic local and nobody here",
    objects: [service({ internalTrafficPolicy: "Local" }), slice([at(C)])],
    want: ["10.96.0.20 tcp 80 -> served-elsewhere"],
  },
  {
    name: "internal traffic local and nobody anywhere",
    objects: [service({ internalTrafficPolicy: "Local" }), slice([])],
    want: ["10.96.0.20 tcp 80 -> refuse"],
  },
  {
    name: "clients stay where they are",
    objects: [service({ sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 10 } } }), slice([at(A), at(C)])],
    want: ["10.96.0.20 tcp 80 -> A:8080, C:8080, kept for 10 s"],
  },
  {
    name: "for three hours unless something else is said",
    objects: [service({ sessionAffinity: "ClientIP" }), slice([at(A)])],
    want: ["10.96.0.20 tcp 80 -> A:8080, kept for 10800 s"],
  },
  {
    name: "external and load balancer addresses; sources that it is restricted to",
    objects: [
      service(
        { type: "LoadBalancer", externalIPs: ["203.0.113.5", "2001:db8::1"], loadBalancerSourceRanges: ["198.51.100.0/24"] },
        { loadBalancer: { ingress: [{ ip: "192.168.99.241" }, { ip: "192.168.99.242", ipMode: "Proxy" }, { hostname: "lb.example.org" }] } },
      ),
      slice([at(A)]),
    ],
    want: [
      "10.96.0.20 tcp 80 -> A:8080",
      "203.0.113.5 tcp 80 -> A:8080",
      "192.168.99.241 tcp 80 -> A:8080",
      "restricted 192.168.99.241 tcp 80 -> check-source",
    ],
  },
  {
    name: "hints: this node before its zone, its zone before all",
    objects: [
      service({}),
      slice([
        at(A, { ready: true }, { forZones: [{ name: "z1" }], forNodes: [{ name: "node-1" }] }),
        at(B, {}, { forZones: [{ name: "z1" }], forNodes: [{ name: "node-3" }] }),
      ]),
    ],
    want: ["10.96.0.20 tcp 80 -> A:8080"],
  },
  {
    name: "hints of zones",
    objects: [
      service({}),
      slice([at(A, {}, { forZones: [{ name: "z1" }] }), at(B, {}, { forZones: [{ name: "z1" }] }), at(C, {}, { forZones: [{ name: "z2" }] })]),
    ],
    want: ["10.96.0.20 tcp 80 -> A:8080, B:8080"],
  },
  {
    name: "hints that one endpoint lacks count for nothing",
    objects: [service({}), slice([at(A, {}, { forZones: [{ name: "z1" }] }), at(C)])],
    want: ["10.96.0.20 tcp 80 -> A:8080, C:8080"],
  },
  {
    name: "hints that nobody of this zone has count for nothing",
    objects: [service({}), slice([at(C, {}, { forZones: [{ name: "z2" }] })])],
    want: ["10.96.0.20 tcp 80 -> C:8080"],
  },
  {
    name: "who serves a Service himself says so by a label",
    objects: [{ ...service({}), metadata: { name: "web", namespace: "shop", labels: { "service.kubernetes.io/service-proxy-name": "mine" } } }, slice([at(A)])],
    want: [],
  },
  { name: "a headless Service has no address", objects: [service({ clusterIP: "None", clusterIPs: ["None"] }), slice([at(A)])], want: [] },
];

describe("a Service becomes", () => {
  for (const { name, objects, want } of cases) test(name, () => assert.deepEqual(told(planOf(objects)), want));
});

const pod = (ports: readonly object[], spec: object = {}) =>
  object(
    "Pod",
    { name: "a", namespace: "shop", uid: "a" },
    { spec: { nodeName: "node-1", containers: [{ name: "app", ports }], ...spec }, status: { podIP: A, phase: "Running" } },
  );
const hostPorts: readonly { readonly name: string; readonly pod: KubeObject; readonly want: readonly string[]; readonly loopback?: true }[] = [
  {
    name: "on every address of its node",
    pod: pod([{ containerPort: 8080, hostPort: 9090 }]),
    want: ["NODE tcp 9090 -> A:8080", "GATEWAY tcp 9090 -> A:8080", "127.0.0.1 tcp 9090 -> A:8080"],
    loopback: true,
  },
  {
    name: "on the address that it names",
    pod: pod([{ containerPort: 53, hostPort: 53, protocol: "UDP", hostIP: NODE }]),
    want: ["NODE udp 53 -> A:53"],
  },
  { name: "not when it uses its node's network", pod: pod([{ containerPort: 8080, hostPort: 8080 }], { hostNetwork: true }), want: [] },
];
describe("a pod has a port of its node", () => {
  for (const { name, pod: each, want, loopback = false } of hostPorts) {
    test(name, () => {
      const plan = planOf([each]);
      assert.deepEqual(told(plan), want);
      assert.deepEqual(
        plan.sysctls.filter(({ key }) => key.startsWith("net.ipv4.conf.weft") && key.endsWith(".route_localnet")).map(({ value }) => value),
        want.length > 0 ? [loopback ? "1" : "0"] : [],
      );
    });
  }
});

test("what a Service asks for in vain is said", () => {
  const plan = planOf([
    service({ ports: [{ port: 80, protocol: "SCTP" }], clusterIPs: ["10.96.0.20", "fd00::20"] }),
    slice([{ ip: "fd00::5" }], { name: "web-6", addressType: "IPv6" }),
  ]);
  assert.deepEqual(
    plan.problems.map(({ by }) => formatProvenance(by)),
    ["Service shop/web spec.ports[0].protocol", "Service shop/web spec.clusterIPs[1]", "EndpointSlice shop/web-6 addressType"],
  );
});

test("load balancers are told how many endpoints are here", () => {
  const balancer = { type: "LoadBalancer", externalTrafficPolicy: "Local", healthCheckNodePort: 32000 };
  const told = (ends: readonly End[]) =>
    planOf([service(balancer), slice(ends)]).healthChecks.map(({ port, name, localEndpoints }) => ({ port, name, localEndpoints }));
  assert.deepEqual(told([at(A), at(B), at(C)]), [{ port: 32000, name: "web", localEndpoints: 2 }]);
  assert.deepEqual(told([at(A, terminating), at(C)]), [{ port: 32000, name: "web", localEndpoints: 0 }], "what terminates serves, but asks for no more");
});

test("ranges of sources do not overlap, and two Services with one address do not either", () => {
  const balancer = (name: string, ranges: readonly string[]) => ({
    ...service({ type: "LoadBalancer", loadBalancerSourceRanges: ranges }, { loadBalancer: { ingress: [{ ip: "192.168.99.241" }] } }),
    metadata: { name, namespace: "shop" },
  });
  const plan = planOf([balancer("a", ["10.0.0.0/8", "10.1.0.0/16", "192.168.99.0/24", "fd00::/8"]), balancer("b", ["0.0.0.0/0"])]);
  const set = plan.tables.find(({ name }) => name === SERVICES_TABLE)?.sets.find(({ name }) => name === "allowed-sources");
  assert.deepEqual(
    set?.elements.map(({ key }) => key.at(-1)),
    ["10.0.0.0/8", "192.168.99.0/24"],
  );
});

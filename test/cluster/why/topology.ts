/** Who lives in the cluster of the differential test, before any policy: three namespaces, two of them in the mesh, on two nodes. */
import { firstObjects } from "#compile/cluster/first-objects.ts";
import type { Deployment } from "#model/apps.ts";
import type { KubeObject } from "#model/object.ts";

export interface Dweller {
  readonly namespace: string;
  readonly name: string;
  readonly node: "node-1" | "node-2";
  readonly labels: Readonly<Record<string, string>>;
  readonly account?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Its readiness probe fails for ever. */
  readonly unready?: true;
}

export const dwellers: readonly Dweller[] = [
  { namespace: "alpha", name: "web-1", node: "node-1", labels: { app: "web", version: "v1" }, account: "web" },
  { namespace: "alpha", name: "web-2", node: "node-2", labels: { app: "web", version: "v2" }, account: "web" },
  { namespace: "alpha", name: "front", node: "node-1", labels: { app: "front", tier: "edge" }, account: "front" },
  { namespace: "alpha", name: "bare", node: "node-2", labels: { app: "bare", "sidecar.istio.io/inject": "false" }, account: "bare" },
  { namespace: "beta", name: "api-1", node: "node-1", labels: { app: "api", version: "v1" }, account: "api" },
  { namespace: "beta", name: "api-2", node: "node-2", labels: { app: "api", version: "v2" }, account: "api" },
  { namespace: "beta", name: "late", node: "node-2", labels: { app: "late", version: "v3" }, unready: true },
  { namespace: "plain", name: "old", node: "node-2", labels: { app: "old" } },
  { namespace: "plain", name: "tool", node: "node-1", labels: { app: "tool", tier: "edge" } },
];

/** Where the tests talk to the probers; sidecars leave it alone. */
const CONTROL_PORT = "7000";

interface Port {
  readonly name?: string;
  readonly port: number;
  readonly target?: number | string;
  readonly udp?: true;
}

function namespace(name: string, injected: boolean): KubeObject {
  return object("v1", "Namespace", undefined, name, { metadata: { labels: { team: name, ...(injected ? { "istio-injection": "enabled" } : {}) } } });
}

function service(inNamespace: string, name: string, app: string, ports: readonly Port[], more: object = {}): KubeObject {
  const spec = {
    selector: { app },
    ports: ports.map(({ name: portName, port, target, udp }) => ({
      ...(portName === undefined ? {} : { name: portName }),
      port,
      targetPort: target ?? port,
      protocol: udp === true ? "UDP" : "TCP",
    })),
    ...more,
  };
  return object("v1", "Service", inNamespace, name, { spec });
}

function pod({ namespace: inNamespace, name, node, labels, account, annotations, unready }: Dweller): KubeObject {
  const readinessProbe = unready === true ? { exec: { command: ["false"] }, periodSeconds: 5 } : { tcpSocket: { port: 8080 }, periodSeconds: 5 };
  return object("v1", "Pod", inNamespace, name, {
    metadata: { labels, annotations: { "traffic.sidecar.istio.io/excludeInboundPorts": CONTROL_PORT, ...annotations } },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      serviceAccountName: account ?? "default",
      containers: [
        {
          name: "prober",
          image: "weft-test/prober:1",
          readinessProbe,
          ports: [
            { name: "http", containerPort: 8080 },
            { name: "line", containerPort: 9000 },
            { name: "udp", containerPort: 5300, protocol: "UDP" },
          ],
        },
      ],
    },
  });
}

export function object(apiVersion: string, kind: string, inNamespace: string | undefined, name: string, rest: object): KubeObject {
  const { metadata, ...others } = rest as { readonly metadata?: object };
  return { apiVersion, kind, metadata: { name, ...(inNamespace === undefined ? {} : { namespace: inNamespace }), ...metadata }, ...others };
}

/** What clients call. Ports that say nothing of HTTP are TCP to the mesh. */
export const services: readonly KubeObject[] = [
  service(
    "alpha",
    "web",
    "web",
    [
      { name: "http", port: 80, target: 8080 },
      { name: "tcp-line", port: 9000 },
      { name: "dns-udp", port: 5300, udp: true },
    ],
    { type: "LoadBalancer" },
  ),
  service("alpha", "front", "front", [{ name: "http", port: 8080 }]),
  service("alpha", "bare", "bare", [{ name: "http", port: 80, target: "http" }]),
  service("alpha", "nobody", "nobody", [{ name: "http", port: 80 }]),
  service("beta", "api", "api", [
    { name: "http-api", port: 8080, target: "http" },
    { name: "tcp-line", port: 9000, target: "line" },
  ]),
  service("beta", "heads", "api", [{ name: "tcp-line", port: 9000 }], { clusterIP: "None" }),
  service("beta", "late", "late", [{ name: "http", port: 80, target: 8080 }]),
  service("plain", "old", "old", [
    { name: "http", port: 80, target: 8080 },
    { name: "tcp-line", port: 9000 },
    { name: "dns-udp", port: 5300, udp: true },
  ]),
  service("plain", "raw", "tool", [{ port: 8081, target: 8080 }]),
  object("v1", "Service", "alpha", "alias", { spec: { type: "ExternalName", externalName: "old.plain.svc.cluster.local" } }),
];

export const gateways: readonly KubeObject[] = [
  object("gateway.networking.k8s.io/v1", "Gateway", "alpha", "edge", {
    spec: { gatewayClassName: "weft", listeners: [{ name: "http", port: 80, protocol: "HTTP" }] },
  }),
  object("gateway.networking.k8s.io/v1", "HTTPRoute", "alpha", "edge", {
    spec: {
      parentRefs: [{ name: "edge" }],
      hostnames: ["shop.example.org"],
      rules: [
        { matches: [{ path: { type: "PathPrefix", value: "/public" } }], backendRefs: [{ name: "web", port: 80 }] },
        { matches: [{ path: { type: "Exact", value: "/front" } }], backendRefs: [{ name: "front", port: 8080 }] },
      ],
    },
  }),
];

/** The gateway that every cluster brings along, on the node where this one has it: policies may name a node's addresses. */
export function gatewayAt(node: string): KubeObject {
  const deployment = firstObjects({ dnsAddress: "" }).find(({ kind }) => kind === "Deployment")?.object as Deployment;
  const { spec } = deployment;
  return { ...deployment, spec: { ...spec, template: { ...spec.template, spec: { ...spec.template.spec, nodeName: node } } } } as KubeObject;
}

/** In the order in which they can be applied. */
export function standing(): readonly KubeObject[] {
  const accounts = dwellers.flatMap(({ namespace: inNamespace, account }) => (account === undefined ? [] : [`${inNamespace}/${account}`]));
  return [
    namespace("alpha", true),
    namespace("beta", true),
    namespace("plain", false),
    ...[...new Set(accounts)].map((key) => object("v1", "ServiceAccount", key.split("/")[0], key.split("/")[1] ?? "", {})),
    ...services,
    ...gateways,
    ...dwellers.map(pod),
  ];
}

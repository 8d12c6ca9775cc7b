/** The objects of this world. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Pod } from "#model/core.ts";
import type { Container } from "#model/pod-parts.ts";

export const MESH = "faults-mesh";
export const PLAIN = "faults-plain";
export const NAMESPACES = [MESH, PLAIN] as const;
export const IMAGE = "weft/shell:1";
export const GATEWAY = "way-in";
/** Nobody talks to them: what they are made of may die. On each node, in the mesh. */
export const SPARE = "spare";

const PROGRAM = readFileSync(join(import.meta.dirname, "pod.cjs"), "utf8");
/** Who is slow because the machine is busy stays Ready: without endpoints requests fail by right. */
const PATIENT = { httpGet: { path: "/", port: 8080 }, periodSeconds: 2, timeoutSeconds: 10, failureThreshold: 10 };

/**
 * An API server that was away for a minute comes back to controllers that heard of no node meanwhile: they say of all pods that they are
 * not Ready, for some seconds, and without an endpoint requests fail by right.
 */
const ALWAYS = { publishNotReadyAddresses: true };

/** A pod of each on each node of each namespace: "asks-n1". */
export const ROLES = ["guarded", "asks", "intrudes"] as const;

export interface PodOf {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Of pod.cjs. */
  readonly args: readonly string[];
  readonly account?: string;
  readonly readinessProbe?: object;
  readonly annotations?: Readonly<Record<string, string>>;
}

export const hostOf = (name: string, namespace: string): string => `${name}.${namespace}.svc.cluster.local`;

export const containerOf = (name: string, args: readonly string[]): Container => ({
  name,
  image: IMAGE,
  command: ["node", "/program/pod.cjs", ...args],
  // Who asks for nothing is given next to nothing on a busy machine, and then nobody's words come in time.
  resources: { requests: { cpu: "20m" } },
  volumeMounts: [{ name: "program", mountPath: "/program" }],
});

/** The node is named, so that no scheduler is needed to bring it back. */
export function podOf({ namespace, name, node, labels, args, account = "default", readinessProbe, annotations = {} }: PodOf): Pod {
  const app = containerOf("app", args);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels, annotations },
    spec: {
      nodeName: node,
      serviceAccountName: account,
      terminationGracePeriodSeconds: 1,
      containers: [readinessProbe === undefined ? app : { ...app, readinessProbe }],
      volumes: [{ name: "program", configMap: { name: "program" } }],
    },
  };
}

export function namespaces(): readonly object[] {
  return NAMESPACES.flatMap((name) => [
    { apiVersion: "v1", kind: "Namespace", metadata: { name, labels: name === MESH ? { "istio-injection": "enabled" } : {} } },
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "asks", namespace: name } },
    programOf(name),
  ]);
}

export function programOf(namespace: string): object {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "program", namespace }, data: { "pod.cjs": PROGRAM } };
}

/** `guards`: as of policies. */
export function podsAndServices(nodes: readonly string[], guards: readonly string[]): readonly object[] {
  const guarded = (namespace: string): readonly string[] => nodes.map((node) => hostOf(`guarded-${node}`, namespace));
  // Both ways to each: by the Service's address, and straight to the pod's, Ready or not.
  const everything = guards.flatMap((namespace) => [...guarded(namespace), ...nodes.map((node) => hostOf(`direct-${node}`, namespace))]);
  return NAMESPACES.flatMap((namespace) =>
    nodes.flatMap((node) => {
      const pod = (role: string, args: readonly string[], more: Partial<PodOf> = {}): object =>
        podOf({ namespace, name: `${role}-${node}`, node, labels: { role, app: `${role}-${node}` }, args, ...more });
      return [
        service(`guarded-${node}`, namespace, { selector: { app: `guarded-${node}` }, ...ALWAYS }),
        service(`open-${node}`, namespace, { selector: { app: `intrudes-${node}` } }),
        service(`direct-${node}`, namespace, { selector: { app: `guarded-${node}` }, clusterIP: "None", ...ALWAYS }),
        pod("guarded", ["serve"], { readinessProbe: PATIENT }),
        pod("asks", ["ask", ...guarded(namespace)], { account: "asks" }),
        pod("intrudes", ["intrude", ...everything]),
        ...(namespace === MESH ? [podOf({ namespace, name: `${SPARE}-${node}`, node, labels: { spare: "yes" }, args: ["serve"] })] : []),
      ];
    }),
  );
}

export function service(name: string, namespace: string, spec: object): object {
  const ports = [
    { name: "tcp", port: 7000 },
    { name: "http", port: 8080 },
  ];
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace }, spec: { ports, ...spec } };
}

/** The way in from outside: by a Gateway's own address to those who are guarded. */
export function wayIn(): readonly object[] {
  const spec = { gatewayClassName: "weft", listeners: [{ name: "http", port: 80, protocol: "HTTP" }] };
  return [
    { apiVersion: "gateway.networking.k8s.io/v1", kind: "Gateway", metadata: { name: GATEWAY, namespace: MESH }, spec },
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: GATEWAY, namespace: MESH },
      spec: { parentRefs: [{ name: GATEWAY }], rules: [{ backendRefs: [{ name: "front", port: 8080 }] }] },
    },
    service("front", MESH, { selector: { role: "guarded" }, ...ALWAYS }),
  ];
}

/** Only who asks may, and the gateway; the mesh knows them by their identity, the network by a label. `guards`: namespaces that have somebody who guards. */
export function policies(guards: readonly string[]): readonly object[] {
  const selector = { matchLabels: { role: "guarded" } };
  const principals = [`cluster.local/ns/${MESH}/sa/asks`, "cluster.local/ns/istio-system/sa/istio-ingressgateway"];
  const byNetwork = {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "guarded", namespace: PLAIN },
    spec: { podSelector: selector, ingress: [{ from: [{ podSelector: { matchLabels: { role: "asks" } } }] }] },
  };
  return [
    ...(guards.includes(PLAIN) ? [byNetwork] : []),
    {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "guarded", namespace: MESH },
      spec: { selector, mtls: { mode: "STRICT" } },
    },
    {
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "guarded", namespace: MESH },
      spec: { selector, rules: [{ from: [{ source: { principals } }] }] },
    },
  ];
}

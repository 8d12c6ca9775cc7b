/**
 * What an empty cluster starts with. Pure. Everything is made only when it is missing, so what a user changed stays,
 * but for nodes, which must agree with this start of the cluster. The API server itself makes Kubernetes' own namespaces.
 */
import type { KindId, Kinds } from "#model/kinds.ts";
import type { RuntimeConfig } from "#model/config.ts";

export interface FirstObject<K extends KindId = KindId> {
  readonly kind: K;
  readonly object: Kinds[K];
}

export const GATEWAY_CONTROLLER = "weft.dev/gateway-controller";
const GATEWAY = "istio-ingressgateway";
const GATEWAY_LABELS = { app: GATEWAY, istio: "ingressgateway" };

function first<K extends KindId>(kind: K, object: Kinds[K]): FirstObject {
  return { kind, object } as unknown as FirstObject;
}

/** In the order in which they can be made. */
export function firstObjects(config: Pick<RuntimeConfig, "dnsAddress">): readonly FirstObject[] {
  return [
    first("Namespace", { apiVersion: "v1", kind: "Namespace", metadata: { name: "istio-system" } }),
    ...["weft", "istio"].map((name) =>
      first("GatewayClass", {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "GatewayClass",
        metadata: { name },
        spec: { controllerName: GATEWAY_CONTROLLER },
      }),
    ),
    first("Service", {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "kube-dns", namespace: "kube-system", labels: { "k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS" } },
      // No selector: every node's agent answers at this address itself.
      spec: {
        clusterIP: config.dnsAddress,
        ports: [
          { name: "dns", port: 53, protocol: "UDP" },
          { name: "dns-tcp", port: 53, protocol: "TCP" },
        ],
      },
    }),
    ...ingressGateway(),
  ];
}

/** Named, labelled and numbered as Istio's, so that its Gateways select it. */
function ingressGateway(): readonly FirstObject[] {
  const metadata = { name: GATEWAY, namespace: "istio-system", labels: GATEWAY_LABELS };
  const account = `${GATEWAY}-service-account`;
  return [
    first("ServiceAccount", { apiVersion: "v1", kind: "ServiceAccount", metadata: { ...metadata, name: account } }),
    first("Service", {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: {
        type: "LoadBalancer",
        selector: GATEWAY_LABELS,
        ports: [
          { name: "status-port", port: 15021, targetPort: 15021, protocol: "TCP" },
          { name: "http2", port: 80, targetPort: 8080, protocol: "TCP" },
          { name: "https", port: 443, targetPort: 8443, protocol: "TCP" },
        ],
      },
    }),
    first("Deployment", {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: {
        replicas: 1,
        selector: { matchLabels: GATEWAY_LABELS },
        template: {
          metadata: {
            labels: { ...GATEWAY_LABELS, "sidecar.istio.io/inject": "true" },
            annotations: { "inject.istio.io/templates": "gateway" },
          } as unknown as Kinds["Deployment"]["spec"]["template"]["metadata"] & object,
          spec: {
            serviceAccountName: account,
            containers: [
              {
                name: "istio-proxy",
                image: "auto",
                ports: [15021, 8080, 8443].map((containerPort) => ({ containerPort, protocol: "TCP" as const })),
              },
            ],
          },
        },
      },
    }),
  ];
}

/** What a node is made with; its agent reports the rest. */
export function firstNode(node: RuntimeConfig["nodes"][number]): Kinds["Node"] {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: node.name,
      labels: { "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64" },
    },
    spec: { podCIDR: node.podCIDR, podCIDRs: [node.podCIDR] },
  };
}

export function firstNodeStatus(node: RuntimeConfig["nodes"][number]): NonNullable<Kinds["Node"]["status"]> {
  return {
    addresses: [
      { type: "InternalIP", address: node.address },
      { type: "Hostname", address: node.name },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
  };
}

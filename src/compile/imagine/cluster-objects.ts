/** What every cluster of ours has before anybody applies anything: what the control plane makes, and what its nodes tell. */
import { firstNode, firstNodeStatus, firstObjects } from "#compile/cluster/first-objects.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import type { Node } from "#model/core.ts";
import type { KubeObject } from "#model/object.ts";

export function clusterObjects(nodes: number): readonly KubeObject[] {
  const first = firstObjects(DEFAULT_SETTINGS).map(({ object }): KubeObject => object);
  return [...Array.from({ length: nodes }, (_, i) => node(i)), ...first, ...apiServer()];
}

function node(index: number): Node {
  const config = { name: `node-${index + 1}`, address: `192.168.99.${10 + index + 1}`, podCIDR: `10.244.${index}.0/24` };
  return { ...firstNode(config), status: { ...firstNodeStatus(config), conditions: [{ type: "Ready", status: "True" }] } };
}

/** Made by the API server itself. */
function apiServer(): readonly KubeObject[] {
  const metadata = { namespace: "default", name: "kubernetes" };
  const labels = { "kubernetes.io/service-name": "kubernetes" };
  const ports = [{ name: "https", port: 443, protocol: "TCP", targetPort: 6443 }];
  return [
    { apiVersion: "v1", kind: "Service", metadata, spec: { clusterIP: "10.96.0.1", clusterIPs: ["10.96.0.1"], ports } } as KubeObject,
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { ...metadata, labels },
      addressType: "IPv4",
      endpoints: [{ addresses: ["192.168.99.1"], conditions: { ready: true } }],
      ports: [{ name: "https", protocol: "TCP", port: 6443 }],
    } as KubeObject,
  ];
}

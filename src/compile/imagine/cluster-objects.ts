/** What every cluster of ours has before anybody applies anything. */
import { ingressGateway } from "#compile/mesh/settings.ts";
import type { Node } from "#model/core.ts";
import type { Deployment } from "#model/apps.ts";
import type { KubeObject } from "#model/object.ts";

export function clusterObjects(nodes: number): readonly KubeObject[] {
  return [...Array.from({ length: nodes }, (_, i) => node(i)), ...kubernetesService(), gatewayDeployment(), gatewayService()];
}

function node(index: number): Node {
  const name = `node-${index + 1}`;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name },
    spec: { podCIDR: `10.244.${index}.0/24`, podCIDRs: [`10.244.${index}.0/24`] },
    status: { addresses: [{ type: "InternalIP", address: `192.168.99.${10 + index + 1}` }], conditions: [{ type: "Ready", status: "True" }] },
  };
}

function kubernetesService(): readonly KubeObject[] {
  const metadata = { namespace: "default", name: "kubernetes" };
  const labels = { "kubernetes.io/service-name": "kubernetes" };
  return [
    service(metadata, { clusterIP: "10.96.0.1", clusterIPs: ["10.96.0.1"], ports: [{ name: "https", port: 443, protocol: "TCP", targetPort: 6443 }] }),
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

function gatewayDeployment(): Deployment {
  const { namespace, service: name, labels: own } = ingressGateway;
  const labels = { app: name, ...own };
  const annotations = { "inject.istio.io/templates": "gateway" };
  const metadata = { name: "", labels: { ...labels, "sidecar.istio.io/inject": "true" }, annotations };
  const container = { name: "istio-proxy", image: "auto" };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace, name },
    spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata, spec: { serviceAccountName: name, containers: [container] } } },
  };
}

function gatewayService(): KubeObject {
  const { namespace, service: name, labels } = ingressGateway;
  const ports = [
    { name: "status-port", port: 15021, protocol: "TCP", targetPort: 15021 },
    { name: "http2", port: 80, protocol: "TCP", targetPort: 8080 },
    { name: "https", port: 443, protocol: "TCP", targetPort: 8443 },
  ];
  return service({ namespace, name }, { type: "LoadBalancer", selector: labels, ports });
}

function service(metadata: { readonly namespace: string; readonly name: string }, spec: object): KubeObject {
  return { apiVersion: "v1", kind: "Service", metadata, spec } as KubeObject;
}

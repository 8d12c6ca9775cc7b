import { own, type Manifest } from "./manifest.ts";

/** No selector: every node's agent answers at this address itself. It keeps the address from other Services. */
export function dnsService(dnsAddress: string): Manifest {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: own("kube-dns", { namespace: "kube-system", labels: { "k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS" } }),
    spec: {
      clusterIP: dnsAddress,
      ports: [
        { name: "dns", port: 53, protocol: "UDP" },
        { name: "dns-tcp", port: 53, protocol: "TCP" },
      ],
    },
  };
}

/** The ingress gateway, named, labelled and numbered as Istio's, so that its Gateways select it. Its container is filled in by the injector. */
import { CONFIG_HASH_ANNOTATION, GATEWAY, own, type Manifest } from "./manifest.ts";
import type { InstallSettings } from "./settings.ts";

const LABELS = { app: GATEWAY, istio: "ingressgateway" };
const PORTS = [
  { name: "status-port", port: 15021, targetPort: 15021 },
  { name: "http2", port: 80, targetPort: 8080 },
  { name: "https", port: 443, targetPort: 8443 },
] as const;

export function gateway({ config, gateway: chosen, imagePullPolicy }: InstallSettings, hash: string): readonly Manifest[] {
  const metadata = own(GATEWAY, { namespace: config.rootNamespace, labels: LABELS });
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: { type: chosen.serviceType, selector: LABELS, ports: PORTS.map((port) => ({ ...port, protocol: "TCP" })) },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: {
        replicas: chosen.replicas,
        selector: { matchLabels: LABELS },
        template: {
          metadata: {
            labels: { ...LABELS, "sidecar.istio.io/inject": "true" },
            annotations: { "inject.istio.io/templates": "gateway", [CONFIG_HASH_ANNOTATION]: hash },
          },
          spec: {
            serviceAccountName: GATEWAY,
            // The policy is said, or the API server takes "auto" for an image that is always pulled.
            containers: [
              { name: "istio-proxy", image: "auto", imagePullPolicy, ports: PORTS.map(({ targetPort }) => ({ containerPort: targetPort, protocol: "TCP" })) },
            ],
          },
        },
      },
    },
  ];
}

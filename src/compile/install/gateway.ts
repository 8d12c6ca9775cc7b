/**
 * The ingress gateway, named, labelled and numbered as Istio's, so that its Gateways select it. Its pods are written as the
 * injector would make them: they need not wait for it, and no order of applying is wrong (Helm applies webhooks last).
 */
import { injectProxy } from "#compile/inject/inject.ts";
import { ADDRESSES_ANNOTATION } from "#compile/mesh/gateway-address.ts";
import type { Namespace, Pod } from "#model/core.ts";
import { CONFIG_HASH_ANNOTATION, GATEWAY, own, type Manifest } from "./manifest.ts";
import type { InstallSettings } from "./settings.ts";

const LABELS = { app: GATEWAY, istio: "ingressgateway" };
const PORTS = [
  { name: "status-port", port: 15021, targetPort: 15021 },
  { name: "http2", port: 80, targetPort: 8080 },
  { name: "https", port: 443, targetPort: 8443 },
] as const;

export function gateway(settings: InstallSettings, hash: string): readonly Manifest[] {
  const { config, gateway: chosen } = settings;
  const metadata = own(GATEWAY, { namespace: config.rootNamespace, labels: LABELS });
  const { metadata: pod, spec } = gatewayPod(settings);
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: own(GATEWAY, { namespace: config.rootNamespace, labels: LABELS, annotations: { [ADDRESSES_ANNOTATION]: "own" } }),
      spec: { type: chosen.serviceType, selector: LABELS, ports: PORTS.map((port) => ({ ...port, protocol: "TCP" })) },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: {
        replicas: chosen.replicas,
        selector: { matchLabels: LABELS },
        template: { metadata: { labels: pod.labels, annotations: { ...pod.annotations, [CONFIG_HASH_ANNOTATION]: hash } }, spec },
      },
    },
  ];
}

function gatewayPod({ config, imagePullPolicy }: InstallSettings): Pod {
  const asked: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: GATEWAY, namespace: config.rootNamespace, labels: LABELS, annotations: { "inject.istio.io/templates": "gateway" } },
    spec: {
      serviceAccountName: GATEWAY,
      automountServiceAccountToken: false,
      containers: [
        {
          name: "istio-proxy",
          image: config.image,
          imagePullPolicy: imagePullPolicy as "IfNotPresent",
          ports: PORTS.map(({ targetPort }) => ({ containerPort: targetPort, protocol: "TCP" as const })),
        },
      ],
    },
  };
  // As if the namespace had opted in: the pod itself does not ask the injector for anything.
  const namespace: Namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: config.rootNamespace, labels: { "istio-injection": "enabled" } } };
  const { pod, problems } = injectProxy(asked, namespace, { kind: "kubernetes", image: config.image });
  if (problems.length > 0) throw new Error(`the gateway's own pod is refused by the injector: ${problems.map(({ message }) => message).join("; ")}`);
  return pod;
}

import { KUBERNETES_DEFAULTS, type KubernetesConfig } from "#model/kubernetes-config.ts";
import type { InstallSettings } from "./settings.ts";

export function testSettings(config: Partial<KubernetesConfig> = {}): InstallSettings {
  return {
    version: "1.2.3",
    imagePullPolicy: "IfNotPresent",
    control: { replicas: 2 },
    gateway: { install: true, replicas: 1, serviceType: "LoadBalancer", allSecrets: false },
    crds: { install: true },
    dns: { service: true },
    config: {
      ...KUBERNETES_DEFAULTS,
      image: "example.org/weft:1.2.3",
      serviceCIDR: "172.30.0.0/16",
      podCIDR: "10.0.0.0/8",
      dnsAddress: "172.30.0.10",
      apiServer: "https://192.168.0.1:6443",
      ...config,
    },
  };
}

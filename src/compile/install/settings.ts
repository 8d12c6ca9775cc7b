/**
 * What a person may choose about an installation: the flags and `--set` keys of `weft install`, and the values of the Helm
 * chart, from one table.
 */
import type { KubernetesConfig } from "#model/kubernetes-config.ts";

export interface InstallSettings {
  /** Of the Weft that installs. */
  readonly version: string;
  readonly config: KubernetesConfig;
  readonly imagePullPolicy: string;
  readonly control: { readonly replicas: number };
  readonly gateway: { readonly install: boolean; readonly replicas: number; readonly serviceType: string; readonly allSecrets: boolean };
  readonly crds: { readonly install: boolean };
  /** Service kube-system/kube-dns, so that nobody else gets the address at which agents answer names. */
  readonly dns: { readonly service: boolean };
}

export interface Setting {
  readonly key: string;
  readonly type: "text" | "count" | "flag";
  /** Absent: it is found in the cluster, or must be given. */
  readonly default?: string | number | boolean;
  readonly values?: readonly string[];
  readonly about: string;
  /** In the other profile nothing asks for it. */
  readonly profile?: KubernetesConfig["profile"];
}

/** Keys without a dot are fields of KubernetesConfig. */
export const SETTINGS: readonly Setting[] = [
  { key: "apiServer", type: "text", about: "https URL of the API server that nodes reach without Services" },
  { key: "serviceCIDR", type: "text", about: "range of Services' addresses" },
  { key: "podCIDR", type: "text", about: "range that every node's podCIDR is a part of" },
  { key: "dnsAddress", type: "text", about: "where pods ask names (kubelets' clusterDNS)" },
  { key: "loadBalancerCIDR", type: "text", default: "", about: "range for LoadBalancer Services; empty: somebody else gives them addresses" },
  {
    key: "dnsUpstreams",
    type: "text",
    default: "",
    about: "resolvers for names outside the cluster, by commas; empty: those of each node's /etc/resolv.conf",
    profile: "full",
  },
  { key: "vni", type: "count", default: 42, about: "VXLAN network identifier", profile: "full" },
  {
    key: "imagePullPolicy",
    type: "text",
    default: "IfNotPresent",
    values: ["IfNotPresent", "Always", "Never"],
    about: "of all of Weft's containers",
  },
  { key: "control.replicas", type: "count", default: 2, about: "control planes, each on a node of its own" },
  { key: "gateway.install", type: "flag", default: true, about: "the ingress gateway" },
  { key: "gateway.replicas", type: "count", default: 1, about: "its pods" },
  { key: "gateway.serviceType", type: "text", default: "LoadBalancer", values: ["LoadBalancer", "NodePort", "ClusterIP"], about: "of its Service" },
  {
    key: "gateway.allSecrets",
    type: "flag",
    default: false,
    about: "read the Secrets that Gateways name in every namespace; otherwise in istio-system, and where ClusterRole weft-gateway-secrets is bound",
  },
  { key: "crds.install", type: "flag", default: true, about: "definitions of Istio's and Gateway API's kinds" },
  { key: "dns.service", type: "flag", default: true, about: "Service kube-system/kube-dns, which keeps dnsAddress", profile: "full" },
];

/** What an installation must know of a cluster, read from the cluster with the installer's rights. */
import { cidr, containsCidr, formatCidr, formatIp, network, parseCidr, parseIp, type Cidr } from "#lib/ip.ts";
import type { Node, Service } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import { INSTALLATION } from "#compile/install/manifest.ts";
import type { ClusterApi } from "#cli/cluster-api.ts";
import { messageOf } from "#cli/cluster-api.ts";
import type { KubernetesCluster } from "#cli/kubernetes/access.ts";
import { CliError } from "#cli/context.ts";

export interface ClusterFacts {
  readonly version: string;
  readonly nodes: readonly string[];
  readonly apiServer: string | undefined;
  readonly serviceCIDR: string | undefined;
  readonly podCIDR: string | undefined;
  readonly dnsAddress: string | undefined;
  /** Service kube-system/kube-dns is somebody else's. */
  readonly hasForeignDns: boolean;
  /** Why something of the above is not known: "podCIDR: Node n1 has no spec.podCIDR ...". */
  readonly unknown: Readonly<Record<string, string>>;
}

/** Throws HostError when the server does not answer, CliError when it is no cluster to install on. */
export async function discoverCluster({ api, access }: KubernetesCluster): Promise<ClusterFacts> {
  const { gitVersion } = await api.get<{ readonly gitVersion: string }>("/version");
  if (gitVersion.includes("weft")) throw new CliError(`${access.url} is a cluster of \`weft up\`: Weft is in it already`);
  const unknown: Record<string, string> = {};
  const tried = async <T>(key: string, find: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await find();
    } catch (error) {
      unknown[key] = error instanceof Error ? error.message : String(error);
      return undefined;
    }
  };
  const nodes = (await tried("nodes", () => api.list<Node>("/api/v1/nodes"))) ?? [];
  const dns = await tried("dns", () => api.find<Service>("/api/v1/namespaces/kube-system/services/kube-dns"));
  const serviceCIDR = await tried("serviceCIDR", () => findServiceRange(api));
  const hasForeignDns = dns !== undefined && dns.metadata.labels?.[INSTALLATION.key] === undefined;
  return {
    version: gitVersion,
    nodes: nodes.map(({ metadata }) => metadata.name),
    apiServer: await tried("apiServer", () => findApiServer(api, access.url)),
    serviceCIDR,
    podCIDR: await tried("podCIDR", async () => podRange(nodes, serviceCIDR)),
    dnsAddress: await tried("dnsAddress", () => findDnsAddress(api, { nodes, dns, serviceCIDR })),
    hasForeignDns,
    unknown,
  };
}

/** A server at a loopback address is this machine's only; its own endpoints are what nodes reach. */
async function findApiServer(api: ClusterApi, url: string): Promise<string> {
  const { hostname } = new URL(url);
  if (hostname !== "localhost" && !hostname.startsWith("127.") && hostname !== "[::1]") return url;
  const slices = await api.list<EndpointSlice>(
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name=kubernetes",
  );
  const address = slices[0]?.endpoints[0]?.addresses[0];
  const port = slices[0]?.ports?.find(({ name }) => name === "https")?.port;
  if (address === undefined || port === undefined)
    throw new Error("the kubeconfig's server is a loopback address, and EndpointSlice default/kubernetes names none");
  return `https://${address}:${port}`;
}

async function findServiceRange(api: ClusterApi): Promise<string> {
  interface ServiceCidr {
    readonly spec?: { readonly cidrs?: readonly string[] };
  }
  const ranges = await api.list<ServiceCidr>("/apis/networking.k8s.io/v1/servicecidrs").catch(() => []);
  const four = ranges.flatMap(({ spec }) => spec?.cidrs ?? []).find((text) => parseCidr(text)?.ip.family === 4);
  return four ?? askServiceRange(api);
}

/** Before ServiceCIDR was a kind (1.33), the server told its range only to who asked for an address outside it. */
async function askServiceRange(api: ClusterApi): Promise<string> {
  const body = { apiVersion: "v1", kind: "Service", metadata: { name: "weft-asks" }, spec: { clusterIP: "0.0.0.1", ports: [{ port: 1 }] } };
  const answer = await api.request("POST", "/api/v1/namespaces/default/services?dryRun=All", { body, contentType: "application/json" });
  const range = /valid IPs is ([0-9.]+\/[0-9]+)/.exec(messageOf(answer))?.[1];
  if (range === undefined) throw new Error(`the cluster does not tell its range: ${messageOf(answer)}`);
  return range;
}

/** Clusters give nodes 256 ranges or more of their own; nothing tells how many, so the smallest that fits is taken. */
const NODE_BITS = 8;

function podRange(nodes: readonly Node[], serviceCIDR: string | undefined): string {
  if (nodes.length === 0) throw new Error("the cluster has no node");
  const ranges = nodes.map(({ metadata, spec }) => {
    const text = [spec?.podCIDR, ...(spec?.podCIDRs ?? [])].find((each) => each !== undefined && parseCidr(each)?.ip.family === 4);
    if (text === undefined)
      throw new Error(`Node ${metadata.name} has no spec.podCIDR; kube-controller-manager gives them out with --allocate-node-cidrs and --cluster-cidr`);
    return cidr(text);
  });
  const [first] = ranges;
  if (first === undefined) throw new Error("the cluster has no node");
  let prefix = first.prefix;
  const around = (bits: number): Cidr => network(first.ip, bits);
  while (prefix > 0 && !ranges.every((range) => containsCidr(around(prefix), range))) prefix -= 1;
  const roomy = around(Math.max(0, Math.min(prefix, first.prefix - NODE_BITS)));
  const services = serviceCIDR === undefined ? undefined : cidr(serviceCIDR);
  const overlaps = services !== undefined && (containsCidr(roomy, services) || containsCidr(services, roomy));
  return formatCidr(overlaps ? around(prefix) : roomy);
}

interface DnsFacts {
  readonly nodes: readonly Node[];
  readonly dns: Service | undefined;
  readonly serviceCIDR: string | undefined;
}

/** What kubelets tell pods, as a kubelet says it; else the Service of that name; else the tenth address, as everybody has it. */
async function findDnsAddress(api: ClusterApi, { nodes, dns, serviceCIDR }: DnsFacts): Promise<string> {
  const node = nodes[0]?.metadata.name;
  const kubelet =
    node === undefined
      ? undefined
      : await api.get<{ readonly kubeletconfig?: { readonly clusterDNS?: readonly string[] } }>(`/api/v1/nodes/${node}/proxy/configz`).catch(() => undefined);
  const told = kubelet?.kubeletconfig?.clusterDNS?.find((address) => parseIp(address)?.family === 4);
  if (told !== undefined) return told;
  if (dns?.spec.clusterIP !== undefined) return dns.spec.clusterIP;
  if (serviceCIDR === undefined) throw new Error("neither a kubelet nor a Service kube-system/kube-dns tells it");
  const { ip } = cidr(serviceCIDR);
  return formatIp({ family: ip.family, value: ip.value + 10n });
}

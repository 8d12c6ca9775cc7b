/**
 * What control plane and agents of a Kubernetes cluster are told: `config.json` of ConfigMap weft-system/weft-config, written
 * by `weft install` and mounted at /etc/weft. (In the embedded cluster it is RuntimeConfig.) Pods are started anew when it
 * changes: their template carries its hash.
 */
import { cidr, contains, containsCidr, formatIp, ip, parseCidr, parseIp } from "#lib/ip.ts";
import { isRecord } from "./decode.ts";
import { formatProblem, invalid, required, unsupported, type Problem } from "./problem.ts";

export const KUBERNETES_CONFIG_FILE = "/etc/weft/config.json";
export const CONFIG_MAP = "weft-config";
export const CONFIG_KEY = "config.json";

export interface KubernetesConfig {
  /** "full" owns pod network, Services, DNS, policy and mesh; "mesh" chains behind another CNI plugin and is the mesh only. */
  readonly profile: "full" | "mesh";
  /** Of every program, the sidecar among them. */
  readonly image: string;
  /** "cluster.local". */
  readonly clusterDomain: string;
  readonly serviceCIDR: string;
  /** Of the whole cluster; each node has a part of it (Node spec.podCIDR). */
  readonly podCIDR: string;
  /** Where pods ask names; with profile full every node's agent answers it. */
  readonly dnsAddress: string;
  readonly vni: number;
  /** https://host:port, reachable from nodes without Services. */
  readonly apiServer: string;
  /** host:port of xDS and the CA; the host is also the name in the server's certificate. */
  readonly xdsAddress: string;
  /** Addresses of LoadBalancer Services are taken from here; absent: somebody else gives them. */
  readonly loadBalancerCIDR?: string;
  /** "192.0.2.1,192.0.2.2:5353": who is asked for names outside the cluster; absent: each node's own resolvers. */
  readonly dnsUpstreams?: string;
  readonly systemNamespace: string;
  readonly rootNamespace: string;
  /**
   * "uninstall": an agent that starts with it removes all that agents ever made on its node (links, rules, routes, CNI files,
   * certificates, /run/weft), applies nothing, is Ready (/readyz) only when nothing is left, and stays until it is ended.
   * `weft uninstall` rolls the DaemonSet out with it, waits for every pod to be Ready, and removes the rest.
   */
  readonly phase: "run" | "uninstall";
}

/** What is the same on most clusters. */
export const KUBERNETES_DEFAULTS = {
  profile: "full",
  clusterDomain: "cluster.local",
  vni: 42,
  xdsAddress: "weft-control.weft-system.svc:15012",
  systemNamespace: "weft-system",
  rootNamespace: "istio-system",
  phase: "run",
} as const satisfies Partial<KubernetesConfig>;

type Field = keyof KubernetesConfig;
/** What is wrong with a value; undefined when nothing is. */
type Check = (value: unknown, field: Field) => Problem | undefined;

const said =
  (test: (value: string) => boolean, detail: string): Check =>
  (value, field) =>
    typeof value === "string" && test(value) ? undefined : invalid(field, value, detail);

const oneOf =
  (...values: readonly string[]): Check =>
  (value, field) =>
    typeof value === "string" && values.includes(value) ? undefined : unsupported(field, value, values);

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const label = new RegExp(`^${LABEL}$`);
const domain = new RegExp(`^${LABEL}([.]${LABEL})*$`);
const range = said((value) => value.includes("/") && parseCidr(value)?.ip.family === 4, "must be an IPv4 range such as 10.0.0.0/16");
const namespace = said((value) => value.length <= 63 && label.test(value), "must be the name of a namespace");

/** VXLAN network identifiers have 24 bits (RFC 7348 5). */
const MAX_VNI = 2 ** 24 - 1;

const checks: { readonly [F in Field]: Check } = {
  profile: oneOf("full", "mesh"),
  image: said((value) => /^[^\s]+$/.test(value), "must be the name of an image, such as localhost/weft:0.1.0"),
  clusterDomain: said((value) => value.length <= 253 && domain.test(value), "must be a domain such as cluster.local"),
  serviceCIDR: range,
  podCIDR: range,
  dnsAddress: said((value) => parseIp(value)?.family === 4, "must be an IPv4 address"),
  vni: (value, field) =>
    typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_VNI
      ? undefined
      : invalid(field, value, `must be a whole number from 1 to ${MAX_VNI}`),
  apiServer: said((value) => /^https:\/\/[^/\s:]+(:[0-9]{1,5})?$/.test(value), "must be a URL such as https://192.0.2.1:6443, without a path"),
  xdsAddress: said((value) => /^[^/\s:]+:[0-9]{1,5}$/.test(value), "must be HOST:PORT"),
  loadBalancerCIDR: range,
  dnsUpstreams: said(
    (value) => value.split(",").every((each) => resolverAddress(each) !== undefined),
    "must be IPv4 addresses, with a port or without, by commas",
  ),
  systemNamespace: namespace,
  rootNamespace: namespace,
  phase: oneOf("run", "uninstall"),
};

export const optionalConfigFields: ReadonlySet<string> = new Set<Field>(["loadBalancerCIDR", "dnsUpstreams"]);

/** "192.0.2.1" or "192.0.2.1:5353". */
export function resolverAddress(text: string): { readonly ip: string; readonly port: number } | undefined {
  const [, address = "", port = "53"] = /^([0-9.]+)(?::([0-9]{1,5}))?$/.exec(text.trim()) ?? [];
  const found = parseIp(address);
  return found?.family !== 4 || Number(port) < 1 || Number(port) > 65_535 ? undefined : { ip: formatIp(found), port: Number(port) };
}

export const kubernetesConfigFields = Object.keys(checks) as readonly Field[];

export interface DecodedKubernetesConfig {
  /** Absent when there are problems. */
  readonly config?: KubernetesConfig;
  /** "dnsAddress: Invalid value: \"x\": must be an IPv4 address". */
  readonly problems: readonly string[];
}

/** Strict: an unknown field is a problem, because a misspelt one would silently do nothing. */
export function decodeKubernetesConfig(raw: unknown): DecodedKubernetesConfig {
  if (!isRecord(raw)) return { problems: ["not a map of fields"] };
  const problems = Object.keys(raw)
    .filter((name) => !Object.hasOwn(checks, name))
    .map((name) => `unknown field ${JSON.stringify(name)}`);
  for (const field of kubernetesConfigFields) {
    const value = raw[field];
    if (value === undefined && optionalConfigFields.has(field)) continue;
    const problem = value === undefined ? required(field) : checks[field](value, field);
    if (problem !== undefined) problems.push(formatProblem(problem));
  }
  if (problems.length === 0) problems.push(...rangeProblems(raw as unknown as KubernetesConfig).map(formatProblem));
  return problems.length === 0 ? { config: raw as unknown as KubernetesConfig, problems } : { problems };
}

function rangeProblems({ profile, podCIDR, serviceCIDR, dnsAddress, loadBalancerCIDR }: KubernetesConfig): readonly Problem[] {
  const problems: Problem[] = [];
  const apart = (field: Field, a: string, other: string, b: string): void => {
    const overlap = containsCidr(cidr(a), cidr(b)) || containsCidr(cidr(b), cidr(a));
    if (overlap) problems.push(invalid(field, a, `overlaps with ${other} ${b}`));
  };
  apart("podCIDR", podCIDR, "serviceCIDR", serviceCIDR);
  if (loadBalancerCIDR !== undefined) {
    apart("loadBalancerCIDR", loadBalancerCIDR, "serviceCIDR", serviceCIDR);
    apart("loadBalancerCIDR", loadBalancerCIDR, "podCIDR", podCIDR);
  }
  // With profile mesh another program answers names, and may do so at a node's own address.
  if (profile === "full" && !contains(cidr(serviceCIDR), ip(dnsAddress)))
    problems.push(invalid("dnsAddress", dnsAddress, `is not in serviceCIDR ${serviceCIDR}`));
  return problems;
}

/** The mounted file's text. Throws an Error that names every problem. */
export function parseKubernetesConfig(json: string): KubernetesConfig {
  const { config, problems } = decodeKubernetesConfig(parsed(json));
  if (config === undefined)
    throw new Error(
      `ConfigMap weft-system/${CONFIG_MAP} ${CONFIG_KEY}: ${problems.join("; ")}; weft install writes it anew, of the same version as this program`,
    );
  return config;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

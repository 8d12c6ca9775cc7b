/** Random requests and connections of one round, and how a prober makes the same one. */
import type { KubeObject } from "#model/object.ts";
import type { Draw } from "./draw.ts";
import { headerSets, methods, paths } from "./policies.ts";
import { dwellers } from "./topology.ts";

export interface Question {
  readonly id: number;
  /** "namespace/name" of a dweller, or "outside". */
  readonly from: string;
  /** As `weft why` takes it. */
  readonly to: string;
  readonly protocol: "http" | "tcp" | "udp";
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What the cluster chose. */
export interface Addresses {
  readonly pods: ReadonlyMap<string, string>;
  readonly services: ReadonlyMap<string, string>;
  readonly gateway: string;
  /** LoadBalancer address of alpha/web. */
  readonly balancer: string;
}

interface Target {
  readonly host: string;
  readonly port: number;
  readonly protocol: Question["protocol"];
  readonly headers?: Readonly<Record<string, string>>;
}

const named: readonly (readonly [service: string, namespace: string, port: number, protocol: Question["protocol"]])[] = [
  ["web", "alpha", 80, "http"],
  ["web", "alpha", 80, "http"],
  ["web", "alpha", 9000, "tcp"],
  ["web", "alpha", 5300, "udp"],
  ["web", "alpha", 81, "http"],
  ["front", "alpha", 8080, "http"],
  ["bare", "alpha", 80, "http"],
  ["nobody", "alpha", 80, "http"],
  ["raw", "plain", 8081, "http"],
  ["alias", "alpha", 80, "http"],
  ["api", "beta", 8080, "http"],
  ["api", "beta", 8080, "http"],
  ["api", "beta", 9000, "tcp"],
  ["heads", "beta", 9000, "tcp"],
  ["late", "beta", 80, "http"],
  ["old", "plain", 80, "http"],
  ["old", "plain", 9000, "tcp"],
  ["old", "plain", 5300, "udp"],
];

export function questionsOf(draw: Draw, count: number, addresses: Addresses): readonly Question[] {
  return Array.from({ length: count }, (_, id) => {
    const from = draw.chance(0.12) ? "outside" : `${draw.from(dwellers).namespace}/`;
    const client = from === "outside" ? undefined : draw.from(dwellers);
    const target = client === undefined ? targetFromOutside(draw, addresses) : targetFrom(draw, client.namespace, addresses);
    const http = target.protocol === "http";
    return {
      id,
      from: client === undefined ? "outside" : `${client.namespace}/${client.name}`,
      to: `${target.host}:${target.port}${target.protocol === "udp" ? "/udp" : ""}`,
      method: http ? draw.from(methods) : "GET",
      path: http ? draw.from(paths) : "/",
      protocol: target.protocol,
      host: target.host,
      port: target.port,
      headers: http ? { ...draw.from(headerSets), ...target.headers } : {},
    };
  });
}

function targetFrom(draw: Draw, clientNamespace: string, addresses: Addresses): Target {
  const [service, namespace, port, protocol] = draw.from(named);
  if (draw.chance(0.12)) {
    const dweller = draw.from(dwellers);
    const host = addresses.pods.get(`${dweller.namespace}/${dweller.name}`) ?? "";
    return draw.of<Target>({ host, port: 8080, protocol: "http" }, { host, port: 9000, protocol: "tcp" }, { host, port: 5300, protocol: "udp" });
  }
  const address = addresses.services.get(`${namespace}/${service}`);
  if (address !== undefined && draw.chance(0.1)) return { host: address, port, protocol };
  if (draw.chance(0.06))
    return { host: addresses.gateway, port: 80, protocol: "http", headers: { host: draw.of("shop.example.org", "edge.example.com", "nowhere.example.org") } };
  const forms: readonly [string, ...string[]] = [`${service}.${namespace}`, `${service}.${namespace}.svc.cluster.local`];
  return { host: clientNamespace === namespace ? draw.of(service, ...forms) : draw.of(...forms), port, protocol };
}

function targetFromOutside(draw: Draw, addresses: Addresses): Target {
  return draw.of<() => Target>(
    () => ({
      host: addresses.gateway,
      port: 80,
      protocol: "http",
      headers: { host: draw.of("shop.example.org", "shop.example.org", "edge.example.com", "nowhere.example.org") },
    }),
    () => ({ host: addresses.balancer, port: 80, protocol: "http", headers: { host: draw.of("web", "web.alpha") } }),
    () => ({ host: addresses.balancer, port: draw.of(9000, 9001), protocol: "tcp" }),
    () => ({ host: addresses.pods.get("plain/old") ?? "", port: 9000, protocol: "tcp" }),
  )();
}

export function addressesOf(pods: readonly KubeObject[], services: readonly KubeObject[]): Addresses {
  interface Spec {
    readonly spec?: { readonly clusterIP?: string };
    readonly status?: { readonly podIP?: string; readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string }[] } };
  }
  const key = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;
  const balancerOf = (name: string): string => (services.find((each) => key(each) === name) as Spec | undefined)?.status?.loadBalancer?.ingress?.[0]?.ip ?? "";
  const clusterIps = services.flatMap((each): [string, string][] => {
    const address = (each as Spec).spec?.clusterIP;
    return address === undefined || address === "None" || address === "" ? [] : [[key(each), address]];
  });
  return {
    pods: new Map(pods.map((each) => [key(each), (each as Spec).status?.podIP ?? ""])),
    services: new Map(clusterIps),
    gateway: balancerOf("istio-system/istio-ingressgateway"),
    balancer: balancerOf("alpha/web"),
  };
}

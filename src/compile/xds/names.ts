/** Names of xDS resources: Istio's, which dashboards and people know. */

export const passthroughCluster = "PassthroughCluster";
export const blackHoleCluster = "BlackHoleCluster";
export const inboundPassthroughCluster = "InboundPassthroughCluster";

export interface OutboundCluster {
  readonly port: number;
  /** "": the whole service. */
  readonly subset: string;
  readonly host: string;
}

/** "outbound|9080|v1|reviews.default.svc.cluster.local" */
export function outboundCluster({ port, subset, host }: OutboundCluster): string {
  return `outbound|${port}|${subset}|${host}`;
}

export function parseOutboundCluster(name: string): OutboundCluster | undefined {
  const [direction, port, subset, host] = name.split("|");
  if (direction !== "outbound" || subset === undefined || host === undefined) return undefined;
  return { port: Number(port), subset, host };
}

export function inboundCluster(port: number): string {
  return `inbound|${port}||`;
}

/** The form of a cluster's name that is legal as SNI. */
export function sniOf({ port, subset, host }: OutboundCluster): string {
  return `outbound_.${port}_.${subset}_.${host}`;
}

/** The HTTP listener for all services on a port, and its routes. */
export function httpListener(port: number): string {
  return `0.0.0.0_${port}`;
}

export function gatewayRoutes(port: number): string {
  return `http.${port}`;
}

/** Of a server that ends TLS: it has routes of its own, so that a name in TLS reaches no other server's. */
export function gatewayTlsRoutes(port: number, section: string, gateway: string): string {
  return `https.${port}.${section}.${gateway.split("/").toReversed().join(".")}`;
}

/** The name under which SDS serves a Secret. */
export function secretName(key: string): string {
  return `kubernetes://${key}`;
}

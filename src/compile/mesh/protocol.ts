/**
 * What a service port speaks: appProtocol, else the port's name up to the first "-" (Istio's convention). A port that says
 * nothing is TCP: guessing by the first bytes would make a client's silence a delay, and a policy depend on what is sent.
 * HTTP/2 and gRPC ports are carried as TCP, whole and encrypted, because the proxy's HTTP codec is HTTP/1.1.
 */
import type { ServicePort } from "#model/core.ts";

export type Protocol = "http" | "tcp";

const http = new Set(["http", "kubernetes.io/ws"]);
const asTcpForLackOfHttp2 = new Set(["http2", "grpc", "grpc-web", "kubernetes.io/h2c"]);

export interface PortProtocol {
  readonly protocol: Protocol;
  /** The field that said so; absent when nothing did. */
  readonly field?: "name" | "appProtocol";
  /** HTTP/2, which is carried as TCP. */
  readonly degraded: boolean;
}

export function portProtocol(port: Pick<ServicePort, "name" | "appProtocol">): PortProtocol {
  if (port.appProtocol !== undefined) return { ...named(port.appProtocol.toLowerCase()), field: "appProtocol" };
  const prefix = port.name?.split("-", 1)[0]?.toLowerCase() ?? "";
  const isConvention = http.has(prefix) || asTcpForLackOfHttp2.has(prefix) || ["tcp", "tls", "https"].includes(prefix);
  return isConvention ? { ...named(prefix), field: "name" } : { protocol: "tcp", degraded: false };
}

function named(protocol: string): { protocol: Protocol; degraded: boolean } {
  return { protocol: http.has(protocol) ? "http" : "tcp", degraded: asTcpForLackOfHttp2.has(protocol) };
}

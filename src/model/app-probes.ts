/**
 * Probes that a pod's proxy asks in kubelet's place. Injection writes them into the proxy's environment and points kubelet at
 * the proxy; the proxy (src/sidecar) reads them. Ports are numbers: their names are the application container's.
 */
import { isRecord } from "./decode.ts";

/** Where kubelet asks; Istio's port, which interception leaves alone. */
export const APP_PROBE_PORT = 15020;

export const APP_PROBES_ENV = "WEFT_APP_PROBES";

export interface AppProbe {
  readonly httpGet?: { readonly port: number; readonly path: string; readonly scheme: "HTTP" | "HTTPS"; readonly httpHeaders?: readonly AppProbeHeader[] };
  readonly tcpSocket?: { readonly port: number };
  readonly grpc?: { readonly port: number; readonly service: string };
  /** Of kubelet: a hook of the container's life has none. */
  readonly timeoutSeconds: number;
}

interface AppProbeHeader {
  readonly name: string;
  readonly value: string;
}

/** By path: "/app-health/reviews/livez". */
export type AppProbes = Readonly<Record<string, AppProbe>>;

/** What injection wrote; anything else is a manifest that somebody changed by hand. */
export function parseAppProbes(json: string): AppProbes {
  const value: unknown = JSON.parse(json);
  if (!isRecord(value) || !Object.values(value).every(isProbe)) throw new Error(`${APP_PROBES_ENV} is not what injection writes: an object of probes by path`);
  return value as AppProbes;
}

function isProbe(value: unknown): boolean {
  if (!isRecord(value) || typeof value["timeoutSeconds"] !== "number") return false;
  const action = value["httpGet"] ?? value["tcpSocket"] ?? value["grpc"];
  return isRecord(action) && typeof action["port"] === "number";
}

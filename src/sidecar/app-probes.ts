/**
 * Answers kubelet in the application's place, on a port that interception leaves alone: kubelet has no certificate, so it
 * could not ask a pod that wants mutual TLS. Each question that injection moved here is asked of the application on the pod's own
 * address, as kubelet would, from the address by which proxies hand traffic to their application: that is not taken for a
 * call to the pod's service. Nothing but those questions can be asked, so nobody reaches more of the pod through this port.
 */
import type { Host } from "#host/host.ts";
import type { HttpExchange, HttpServer } from "#host/http.ts";
import { APP_PROBE_PORT, type AppProbe, type AppProbes } from "#model/app-probes.ts";
import type { Log } from "#run/log.ts";
import { probeHttp, probeTcp, type ProbeResult } from "#run/probe.ts";
import { probeGrpc } from "./grpc-probe.ts";

export type ProbeHost = Pick<Host, "http" | "net" | "rpc" | "clock">;

export interface AppProbeOptions {
  readonly probes: AppProbes;
  readonly podIP: string;
  /** 0 in tests. */
  readonly port?: number;
  /** What the application sees; absent in tests, where no rule is to be told apart. */
  readonly sourceIp?: string;
  readonly log: Log;
}

/** Source of connections to the application; Istio's. */
export const TO_APPLICATION = "127.0.0.6";

export function serveAppProbes(host: ProbeHost, options: AppProbeOptions): Promise<HttpServer> {
  const { probes, port = APP_PROBE_PORT, log } = options;
  const said = new Map<string, string>();
  const onRequest = (exchange: HttpExchange): void => {
    const path = exchange.url.split("?")[0] ?? "";
    const probe = Object.hasOwn(probes, path) ? probes[path] : undefined;
    if (probe === undefined) return exchange.respond(404, { "content-type": "text/plain" }, `no probe of this pod has the path ${path}\n`);
    void ask(host, options, probe).then((result) => {
      // Once for each change: kubelet asks every few seconds.
      if (!result.ok && said.get(path) !== result.message) log.info("a probe of the application failed", { path, message: result.message });
      said.set(path, result.message);
      exchange.respond(statusOf(result), { "content-type": "text/plain" }, result.message === "" ? "" : `${result.message}\n`);
    });
  };
  return host.http.serve({ address: { ip: "0.0.0.0", port } }, { onRequest });
}

/** A failing application's own status, so that events say what they say without a proxy. */
function statusOf({ ok, status }: ProbeResult): number {
  if (ok) return 200;
  return status !== undefined && status >= 400 && status < 600 ? status : 503;
}

function ask(host: ProbeHost, { podIP, sourceIp }: AppProbeOptions, probe: AppProbe): Promise<ProbeResult> {
  const timeoutMs = probe.timeoutSeconds * 1000;
  const place = { ip: podIP, ...(sourceIp !== undefined && { sourceIp }) };
  if (probe.httpGet !== undefined) return probeHttp(host, { ...place, port: probe.httpGet.port }, probe.httpGet, timeoutMs);
  if (probe.tcpSocket !== undefined) return probeTcp(host, { ...place, port: probe.tcpSocket.port }, timeoutMs);
  // gRPC clients choose no source address; loopback is never taken over.
  if (probe.grpc !== undefined) return probeGrpc(host, { ip: "127.0.0.1", ...probe.grpc }, timeoutMs);
  return Promise.resolve({ ok: false, message: "the probe has none of httpGet, tcpSocket and grpc" });
}

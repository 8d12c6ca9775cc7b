/** Asks a container one probe's question, once. The answer is a result, never an exception. */
import type { Host } from "#host/host.ts";
import type { Container, Probe } from "#model/pod-parts.ts";
import { probeHttp, probeTcp, type ProbeResult } from "#run/probe.ts";

export interface ProbeTarget {
  readonly container: Container;
  readonly podIP: string;
  readonly netns: string;
  /** Runs a command in the container. */
  exec(command: readonly string[], timeoutMs: number): Promise<{ readonly code: number; readonly output: string }>;
}

/**
 * Probes ask from inside the pod's network, so that the answer is the application's own. What a pod sends to itself is not
 * intercepted; with the proxy's mark it would be (a proxy that calls its own pod means the pod as a service), so only
 * a probe of another host carries it.
 */
const proxyMark = 0x539;

function markFor(action: { readonly host?: string | undefined }): { readonly mark?: number } {
  return action.host === undefined ? {} : { mark: proxyMark };
}

export type ProbeHost = Pick<Host, "http" | "net">;

export async function askProbe(host: ProbeHost, target: ProbeTarget, probe: Probe): Promise<ProbeResult> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  try {
    if (probe.exec !== undefined) {
      const { code, output } = await target.exec(probe.exec.command ?? [], timeoutMs);
      return { ok: code === 0, message: code === 0 ? "" : output.trim() || `command ended with status ${code}` };
    }
    if (probe.httpGet !== undefined) return await askHttp(host, target, probe.httpGet, timeoutMs);
    if (probe.tcpSocket !== undefined) return await askTcp(host, target, probe.tcpSocket, timeoutMs);
    return { ok: false, message: "the probe has none of exec, httpGet and tcpSocket" };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

type HttpGet = NonNullable<Probe["httpGet"]>;

export async function askHttp(host: Pick<Host, "http">, target: Omit<ProbeTarget, "exec">, action: HttpGet, timeoutMs: number): Promise<ProbeResult> {
  const port = portOf(target.container, action.port);
  if (port === undefined) return { ok: false, message: `port ${JSON.stringify(action.port)} is not a port of the container` };
  return probeHttp(host, { ip: action.host ?? target.podIP, port, netns: target.netns, ...markFor(action) }, action, timeoutMs);
}

type TcpSocket = NonNullable<Probe["tcpSocket"]>;

async function askTcp(host: Pick<Host, "net">, target: ProbeTarget, action: TcpSocket, timeoutMs: number): Promise<ProbeResult> {
  const port = portOf(target.container, action.port);
  if (port === undefined) return { ok: false, message: `port ${JSON.stringify(action.port)} is not a port of the container` };
  return probeTcp(host, { ip: action.host ?? target.podIP, port, netns: target.netns, ...markFor(action) }, timeoutMs);
}

/** A number, or the name of one of the container's ports. */
export function portOf(container: Container, port: string | number): number | undefined {
  if (typeof port === "number") return port;
  const named = container.ports?.find((each) => each.name === port)?.containerPort;
  return named ?? (/^\d+$/.test(port) ? Number(port) : undefined);
}

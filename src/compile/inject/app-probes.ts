/**
 * Probes and hooks of a meshed pod's containers, pointed at the proxy. Commands run in the container and stay; what names
 * another host is no question to this pod and stays as well.
 */
import type { Pod } from "#model/core.ts";
import { APP_PROBE_PORT, APP_PROBES_ENV, parseAppProbes, type AppProbe } from "#model/app-probes.ts";
import type { Container, Probe } from "#model/pod-parts.ts";
import { PROXY_CONTAINER } from "./proxy-kind.ts";

const PROBES = { livenessProbe: "livez", readinessProbe: "readyz", startupProbe: "startupz" } as const;
const HOOKS = { postStart: "poststartz", preStop: "prestopz" } as const;
/** Hooks have no timeout of their own: as long as most pods have to end. */
const HOOK_TIMEOUT_SECONDS = 30;

export interface RewrittenProbes {
  readonly containers: readonly Container[];
  readonly initContainers: readonly Container[];
  /** JSON for the proxy; absent: nothing to ask. */
  readonly env: string | undefined;
  readonly warnings: readonly string[];
}

type Actions = Pick<Probe, "httpGet" | "tcpSocket" | "grpc">;

/** `proxy`: the container that is there already when injection ran before; what it asks stays, as long as a container is asked by it. */
export function rewriteProbes(pod: Pod, proxy: Container | undefined): RewrittenProbes {
  const before = earlier(proxy);
  const found: Record<string, AppProbe> = {};
  const warnings: string[] = [];
  const moved = (container: Container, path: string, action: Actions, timeoutSeconds: number): boolean => {
    const port = action.httpGet?.port ?? action.tcpSocket?.port ?? action.grpc?.port;
    const host = action.httpGet?.host ?? action.tcpSocket?.host ?? "";
    if (port === undefined || host !== "") return false;
    const known = before[path];
    if (port === APP_PROBE_PORT && known !== undefined) {
      found[path] = known;
      return false;
    }
    const number = portNumber(container, port);
    if (number === undefined) {
      warnings.push(`container ${container.name}: a probe asks port ${JSON.stringify(port)}, which is no name of its ports; it is left as it is`);
      return false;
    }
    found[path] = questionOf(action, number, timeoutSeconds);
    return true;
  };
  const rewritten = (container: Container): Container => {
    const changes: { livenessProbe?: Probe; readinessProbe?: Probe; startupProbe?: Probe; lifecycle?: NonNullable<Container["lifecycle"]> } = {};
    for (const [field, kind] of entriesOf(PROBES)) {
      const probe = container[field];
      const path = `/app-health/${container.name}/${kind}`;
      if (probe === undefined || !moved(container, path, probe, probe.timeoutSeconds ?? 1)) continue;
      const { httpGet: _h, tcpSocket: _t, grpc: _g, ...schedule } = probe;
      changes[field] = { ...schedule, httpGet: toProxy(path) };
    }
    for (const [field, kind] of entriesOf(HOOKS)) {
      const hook = container.lifecycle?.[field];
      const path = `/app-lifecycle/${container.name}/${kind}`;
      if (hook === undefined || !moved(container, path, hook, HOOK_TIMEOUT_SECONDS)) continue;
      changes.lifecycle = { ...container.lifecycle, ...changes.lifecycle, [field]: { httpGet: toProxy(path) } };
    }
    return Object.keys(changes).length === 0 ? container : { ...container, ...changes };
  };
  const each = (list: readonly Container[] | undefined) => (list ?? []).filter(({ name }) => name !== PROXY_CONTAINER).map(rewritten);
  const initContainers = each(pod.spec.initContainers);
  const containers = each(pod.spec.containers);
  return { containers, initContainers, env: Object.keys(found).length === 0 ? undefined : sortedJson(found), warnings };
}

/** What cannot be read was not written by injection, and is replaced. */
function earlier(proxy: Container | undefined): Readonly<Record<string, AppProbe>> {
  const value = proxy?.env?.find(({ name }) => name === APP_PROBES_ENV)?.value;
  if (value === undefined) return {};
  try {
    return parseAppProbes(value);
  } catch {
    return {};
  }
}

function entriesOf<K extends string, V>(record: Readonly<Record<K, V>>): readonly (readonly [K, V])[] {
  return Object.entries(record) as unknown as readonly (readonly [K, V])[];
}

function sortedJson(probes: Readonly<Record<string, AppProbe>>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(probes).sort(([a], [b]) => (a < b ? -1 : 1))));
}

function toProxy(path: string): NonNullable<Probe["httpGet"]> {
  return { path, port: APP_PROBE_PORT, scheme: "HTTP" };
}

function questionOf({ httpGet, tcpSocket, grpc }: Actions, port: number, timeoutSeconds: number): AppProbe {
  if (httpGet !== undefined) {
    const { path = "/", scheme = "HTTP", httpHeaders } = httpGet;
    return { httpGet: { port, path, scheme: scheme === "HTTPS" ? "HTTPS" : "HTTP", ...(httpHeaders !== undefined && { httpHeaders }) }, timeoutSeconds };
  }
  if (tcpSocket !== undefined) return { tcpSocket: { port }, timeoutSeconds };
  return { grpc: { port, service: grpc?.service ?? "" }, timeoutSeconds };
}

/** A number, or the name of one of the container's ports. */
function portNumber(container: Container, port: string | number): number | undefined {
  if (typeof port === "number") return port;
  const named = container.ports?.find((each) => each.name === port)?.containerPort;
  return named ?? (/^\d+$/.test(port) ? Number(port) : undefined);
}

/** Istio's annotations that say what a sidecar takes over, read with Istio's meaning. */
import { formatCidr, parseCidr } from "#lib/ip.ts";
import type { Pod } from "#model/core.ts";

export interface Interception {
  readonly includeInbound: "all" | readonly string[];
  readonly excludeInbound: readonly string[];
  readonly includeRanges: "all" | readonly string[];
  readonly excludeRanges: readonly string[];
  /** Taken over whatever their address. */
  readonly includeOutbound: readonly string[];
  readonly excludeOutbound: readonly string[];
}

export interface AnnotationProblem {
  readonly annotation: string;
  readonly message: string;
}

const PREFIX = "traffic.sidecar.istio.io/";

/** Injection puts a container of this name into pods and nowhere else; gateways have one too, but take nothing over. */
export function isIntercepted(pod: Pod): boolean {
  const containers = [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])];
  const annotations = pod.metadata.annotations ?? {};
  const templates = (annotations["inject.istio.io/templates"] ?? "").split(",").map((each) => each.trim());
  return containers.some(({ name }) => name === "istio-proxy") && !templates.includes("gateway") && annotations["sidecar.istio.io/interceptionMode"] !== "NONE";
}

export function readInterception(pod: Pod): { readonly interception: Interception; readonly problems: readonly AnnotationProblem[] } {
  const problems: AnnotationProblem[] = [];
  const annotations = pod.metadata.annotations ?? {};
  const items = (name: string): string[] | undefined => {
    const value = annotations[PREFIX + name];
    if (value === undefined) return undefined;
    return value
      .split(",")
      .map((each) => each.trim())
      .filter((each) => each !== "");
  };
  const valid = (name: string, read: (text: string) => string | undefined, what: string): string[] | undefined =>
    items(name)?.flatMap((text) => {
      const value = text === "*" ? "*" : read(text);
      if (value === undefined) problems.push({ annotation: PREFIX + name, message: `value "${text}" is not ${what}; it is ignored` });
      return value === undefined ? [] : [value];
    });
  const port = (text: string) => (/^[0-9]{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65536 ? String(Number(text)) : undefined);
  const range = (text: string) => {
    const parsed = parseCidr(text);
    return parsed?.ip.family === 4 ? formatCidr(parsed) : undefined;
  };
  const ports = (name: string) => valid(name, port, "a port");
  const ranges = (name: string) => valid(name, range, "an IPv4 range");
  const listOrAll = (list: string[] | undefined) => (list === undefined || list.includes("*") ? ("all" as const) : unique(list));
  const includeOutbound = ports("includeOutboundPorts") ?? [];
  const interception: Interception = {
    includeInbound: listOrAll(ports("includeInboundPorts")),
    excludeInbound: unique(ports("excludeInboundPorts") ?? []),
    includeRanges: listOrAll(ranges("includeOutboundIPRanges")),
    excludeRanges: unique(ranges("excludeOutboundIPRanges") ?? []),
    includeOutbound: includeOutbound.includes("*") ? ["1-65535"] : unique(includeOutbound),
    excludeOutbound: unique(ports("excludeOutboundPorts") ?? []),
  };
  const known = [
    "includeOutboundPorts",
    "excludeOutboundPorts",
    "includeInboundPorts",
    "excludeInboundPorts",
    "includeOutboundIPRanges",
    "excludeOutboundIPRanges",
  ];
  for (const key of Object.keys(annotations).sort()) {
    if (key.startsWith(PREFIX) && !known.includes(key.slice(PREFIX.length)))
      problems.push({ annotation: key, message: "this annotation is not supported yet; it is ignored" });
  }
  if (annotations["sidecar.istio.io/interceptionMode"] === "TPROXY")
    problems.push({ annotation: "sidecar.istio.io/interceptionMode", message: 'value "TPROXY" is not supported yet; REDIRECT is used' });
  return { interception, problems };
}

function unique(list: readonly string[]): string[] {
  return [...new Set(list)].filter((each) => each !== "*").sort();
}

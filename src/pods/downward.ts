/** The downward API: fields of the pod, and its resources, as text for env and volumes. Pure. */
import { parseQuantity } from "#model/quantity.ts";
import type { Pod } from "#model/core.ts";
import type { Container } from "#model/pod-parts.ts";

/** What the runtime knows and the stored Pod may not say yet. */
export interface PodFacts {
  readonly podIP: string;
  readonly hostIP: string;
  readonly nodeName: string;
  readonly cpus: number;
  readonly memoryBytes: number;
}

export function downwardField(pod: Pod, facts: PodFacts, path: string): string | undefined {
  const { metadata } = pod;
  const subscript = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (subscript !== null) return metadata[subscript[1] as "labels" | "annotations"]?.[subscript[2] ?? ""] ?? "";
  switch (path) {
    case "metadata.name":
      return metadata.name;
    case "metadata.namespace":
      return metadata.namespace ?? "default";
    case "metadata.uid":
      return metadata.uid ?? "";
    case "metadata.labels":
      return pairs(metadata.labels);
    case "metadata.annotations":
      return pairs(metadata.annotations);
    case "spec.nodeName":
      return facts.nodeName;
    case "spec.serviceAccountName":
      return pod.spec.serviceAccountName ?? "default";
    case "status.podIP":
    case "status.podIPs":
      return facts.podIP;
    case "status.hostIP":
    case "status.hostIPs":
      return facts.hostIP;
    default:
      return undefined;
  }
}

/** limits.* and requests.*, in units of the divisor, rounded up; without a limit the node's own capacity. */
export function resourceField(container: Container, facts: PodFacts, asked: { resource: string; divisor: string | undefined }): string | undefined {
  const [list, name] = asked.resource.split(".");
  if ((list !== "limits" && list !== "requests") || (name !== "cpu" && name !== "memory")) return undefined;
  const given = container.resources?.[list]?.[name];
  const absent = list === "requests" ? 0 : name === "cpu" ? facts.cpus : facts.memoryBytes;
  const value = (given === undefined ? undefined : parseQuantity(String(given))) ?? absent;
  const divisor = parseQuantity(asked.divisor ?? "1") ?? 1;
  return String(Math.ceil(value / (divisor === 0 ? 1 : divisor)));
}

function pairs(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join("\n");
}

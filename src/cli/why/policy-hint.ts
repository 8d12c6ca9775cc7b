/** The rule that a NetworkPolicy lacks, as it would be written. */
import type { Pod } from "#model/core.ts";
import type { WorldReader } from "#model/world.ts";
import type { Hop } from "#decide/why/answer.ts";
import type { Denial } from "./question.ts";

export function policyHint({ hop, text, by }: Hop, { hops, target, question }: Denial, world: WorldReader): string | undefined {
  if (by === undefined) return undefined;
  const object = `NetworkPolicy ${by.namespace ?? ""}/${by.name}`;
  if (hop === "name") return `add {ports: [{port: 53, protocol: UDP}]} to spec.egress of ${object}, so that names can be asked for`;
  const direction = /isolated for (egress|ingress)/.exec(text)?.[1];
  const name = target.replace(/ \(.*$/, "");
  const receiver = world.all("Pod").find(({ metadata }) => metadata.name === name);
  const sender = question.from.kind === "pod" ? question.from.pod : undefined;
  const peer = direction === "ingress" ? sender : receiver;
  // Behind a gateway the sender is the gateway.
  if (direction === undefined || peer === undefined || hops.some((each) => each.hop === "gateway")) return undefined;
  const port = /(?:-> )?\d+\.\d+\.\d+\.\d+:(\d+) ?[^:]*$/.exec(hops.findLast((each) => each.hop === "endpoint" || each.hop === "service")?.text ?? "")?.[1];
  const ports = `ports: [{port: ${port ?? question.to.port}${question.to.protocol === "udp" ? ", protocol: UDP" : ""}}]`;
  return `add {${direction === "ingress" ? "from" : "to"}: [${peerText(peer, by.namespace ?? "")}], ${ports}} to spec.${direction} of ${object}`;
}

function peerText({ metadata }: Pod, namespace: string): string {
  const { labels = {} } = metadata;
  const chosen = labels["app"] !== undefined ? "app" : Object.keys(labels).find((key) => key !== "pod-template-hash");
  const pods = chosen === undefined ? "podSelector: {}" : `podSelector: {matchLabels: {${chosen}: ${labels[chosen] ?? ""}}}`;
  const own = metadata.namespace === namespace ? "" : `namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ${metadata.namespace ?? ""}}}, `;
  return `{${own}${pods}}`;
}

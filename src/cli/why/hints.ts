/** What to change so that it would be allowed: said only where it is clear. */
import type { AuthorizationPolicy, DestinationRule } from "#model/istio.ts";
import type { Pod, Service } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import { matchesLabels } from "#model/selectors.ts";
import type { WorldReader } from "#model/world.ts";
import { destinationRuleFor, subsetsOf } from "#compile/mesh/destination-rule.ts";
import type { Hint } from "#decide/why/answer.ts";
import { isReady } from "./find.ts";
import { policyHint } from "./policy-hint.ts";
import type { Denial } from "./question.ts";

export function hintText(denial: Denial, world: WorldReader): string | undefined {
  const { hint, hops, question } = denial;
  const deciding = hops.findLast((each) => each.verdict !== "allowed");
  if (hint?.grant !== undefined) return grantText(hint.grant, world) ?? hint.text;
  if (deciding === undefined) return hint?.text;
  if (deciding.hop === "mTLS" && hops.some(({ hop, text }) => hop === "identity" && text.includes("passed through")))
    return "call it by the name of a Service: what is sent to an address is passed through as it is, without mTLS";
  if (hint !== undefined) return hint.text;
  if (deciding.text.includes("DROP: ") && deciding.by?.kind === "NetworkPolicy") return policyHint(deciding, denial, world);
  const subset = /there is no \S+ subset (\S+)/.exec(deciding.text)?.[1];
  if (subset !== undefined) return subsetText(deciding.text, subset, world);
  const { service, port } = question.to;
  if (/no Service has this address and port/.test(deciding.text) && service !== undefined) return `${portsText(service)}; call that instead of ${port}`;
  if (/no endpoint is ready|no endpoint that is ready|has no address/.test(deciding.text) && service !== undefined) return endpointsText(service, world);
  if (deciding.text.startsWith("no host ") && deciding.hop === "route") return hostsText(world);
  return undefined;
}

/** Only a rule whose one source is a list of principals can be told so exactly. */
function grantText({ by, principal }: NonNullable<Hint["grant"]>, world: WorldReader): string | undefined {
  const policy: AuthorizationPolicy | undefined =
    by.kind === "AuthorizationPolicy" ? world.get("AuthorizationPolicy", `${by.namespace ?? ""}/${by.name}`) : undefined;
  const index = /^spec\.rules\[(\d+)\]$/.exec(by.field)?.[1];
  const rule = index === undefined ? undefined : policy?.spec?.rules?.[Number(index)];
  const sources = rule?.from ?? [];
  const [only] = sources;
  if (sources.length !== 1 || (rule?.when ?? []).length > 0 || Object.keys(only?.source ?? {}).join() !== "principals") return undefined;
  return `add "${principal}" to ${by.field}.from[0].source.principals of AuthorizationPolicy ${by.namespace ?? ""}/${by.name}`;
}

function subsetText(text: string, subset: string, world: WorldReader): string {
  const host = /there is no (\S+?):\d+ subset/.exec(text)?.[1] ?? "";
  const full = `${host}.svc.cluster.local`;
  const rule: DestinationRule | undefined = destinationRuleFor(full, world.all("DestinationRule"));
  if (rule === undefined) return `apply a DestinationRule for ${full} with a subset "${subset}"; there is none for this host`;
  const names = subsetsOf(rule).map(({ name }) => name);
  return `add subset "${subset}" to DestinationRule ${objectKey(rule)} spec.subsets (it has ${names.length === 0 ? "none" : names.join(", ")}), or route to one of those`;
}

function portsText({ metadata, spec }: Service): string {
  const ports = (spec.ports ?? []).map(
    ({ port, name, protocol }) => `${port}${protocol === "UDP" ? "/udp" : ""}${name === undefined || name === "" ? "" : ` (${name})`}`,
  );
  const name = `Service ${metadata.namespace ?? ""}/${metadata.name}`;
  return `${name} has ${ports.length === 0 ? "no port" : `port${ports.length === 1 ? "" : "s"} ${ports.join(", ")}`}`;
}

function endpointsText(service: Service, world: WorldReader): string {
  const { metadata, spec } = service;
  const selector = Object.entries(spec.selector ?? {}).map(([key, value]) => `${key}=${value}`);
  const key = objectKey(service);
  if (selector.length === 0) return `Service ${key} has no selector: give it an EndpointSlice, or a selector`;
  const pods = world.inNamespace("Pod", metadata.namespace ?? "").filter((pod) => matchesLabels(spec.selector ?? {}, pod.metadata.labels));
  if (pods.length === 0)
    return `no pod of namespace ${metadata.namespace ?? ""} has the labels ${selector.join(",")} that Service ${key} spec.selector asks for`;
  const waiting = pods.filter((pod) => !isReady(pod)).map(podText);
  if (waiting.length === 0)
    return `Service ${key} selects ${pods.length} ready pod${pods.length === 1 ? "" : "s"}, but none has the port that spec.ports names`;
  return `the pods that Service ${key} selects are not Ready: ${waiting.join("; ")}`;
}

function podText({ metadata, status }: Pod): string {
  const states = (status?.containerStatuses ?? []).flatMap(({ name, state, ready }) => {
    const reason = state?.waiting?.reason ?? state?.terminated?.reason;
    return reason !== undefined ? [`${name} ${reason}`] : ready === true ? [] : [`${name} runs, its readiness probe fails`];
  });
  return `${metadata.name} (${states.length === 0 ? (status?.phase ?? "Pending") : states.join(", ")})`;
}

function hostsText(world: WorldReader): string | undefined {
  const hosts = [
    ...world.all("HTTPRoute").flatMap(({ spec }) => spec.hostnames ?? []),
    ...world.all("VirtualService").flatMap(({ spec }) => ((spec.gateways ?? []).length > 0 ? (spec.hosts ?? []) : [])),
  ].filter((host) => host !== "*");
  return hosts.length === 0 ? undefined : `ask for a host that is routed: --header host=${[...new Set(hosts)].join(" or ")}`;
}

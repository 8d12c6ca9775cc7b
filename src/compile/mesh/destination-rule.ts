/** DestinationRule: subsets of a service's endpoints, and how clients balance over them and speak to them. */
import type { DestinationRule } from "#model/istio.ts";
import type { Provenance } from "#model/provenance.ts";
import { bySpecificity, covers, resolveHost } from "./hosts.ts";
import { inPrecedence } from "./precedence.ts";
import { fieldOf, provenanceOf } from "./source.ts";

export type Balancing = "ROUND_ROBIN" | "LEAST_REQUEST" | "RANDOM";
/** AUTO: mTLS to endpoints that have a proxy, plain text to others. */
export type ClientTls = "AUTO" | "ISTIO_MUTUAL" | "DISABLE";

export interface TrafficPolicy {
  readonly balancing: Balancing;
  readonly balancingBy?: Provenance;
  readonly tls: ClientTls;
  readonly tlsBy?: Provenance;
}

export interface Subset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly by: Provenance;
}

export function ruleHost(rule: DestinationRule): string {
  return resolveHost(rule.spec.host, rule.metadata.namespace ?? "");
}

/** The rule in force for a host: the most specific host, of equals the oldest. */
export function destinationRuleFor(host: string, rules: readonly DestinationRule[]): DestinationRule | undefined {
  const covering = inPrecedence(rules).filter((rule) => covers(ruleHost(rule), host));
  return covering.sort((a, b) => bySpecificity(ruleHost(a), ruleHost(b)))[0];
}

export function subsetsOf(rule: DestinationRule | undefined): readonly Subset[] {
  if (rule === undefined) return [];
  const seen = new Set<string>();
  return (rule.spec.subsets ?? []).flatMap(({ name, labels = {} }, i) => {
    if (seen.has(name)) return [];
    seen.add(name);
    return [{ name, labels, by: provenanceOf(rule, `spec.subsets[${i}]`) }];
  });
}

type Policy = NonNullable<DestinationRule["spec"]["trafficPolicy"]>;
type Written = Pick<Policy, "loadBalancer" | "tls">;

/**
 * Each part from the narrowest place that states it: the subset, then the rule. Settings of a port stand alone, as in Istio:
 * what they leave out is not taken from the policy around them.
 */
export function trafficPolicyFor(rule: DestinationRule | undefined, subset: string | undefined, port: number): TrafficPolicy {
  const places = rule === undefined ? [] : placesIn(rule, subset, port);
  const balancing = places.find(({ policy }) => balancingOf(policy) !== undefined);
  const tls = places.find(({ policy }) => tlsOf(policy) !== undefined);
  return {
    balancing: (balancing && balancingOf(balancing.policy)) ?? "LEAST_REQUEST",
    ...(balancing && { balancingBy: fieldOf(balancing.by, "loadBalancer.simple") }),
    tls: (tls && tlsOf(tls.policy)) ?? "AUTO",
    ...(tls && { tlsBy: fieldOf(tls.by, "tls.mode") }),
  };
}

interface Place {
  readonly policy: Written;
  readonly by: Provenance;
}

function placesIn(rule: DestinationRule, subset: string | undefined, port: number): readonly Place[] {
  const index = (rule.spec.subsets ?? []).findIndex(({ name }) => name === subset);
  const ofSubset = placeOf(rule.spec.subsets?.[index]?.trafficPolicy, provenanceOf(rule, `spec.subsets[${index}].trafficPolicy`), port);
  const ofRule = placeOf(rule.spec.trafficPolicy, provenanceOf(rule, "spec.trafficPolicy"), port);
  return [ofSubset, ...(ofSubset?.ofPort === true ? [] : [ofRule])].flatMap((place) => place ?? []);
}

function placeOf(policy: Policy | undefined, by: Provenance, port: number): (Place & { readonly ofPort: boolean }) | undefined {
  if (policy === undefined) return undefined;
  const index = (policy.portLevelSettings ?? []).findIndex((setting) => setting.port?.number === port);
  const setting = policy.portLevelSettings?.[index];
  return setting === undefined ? { policy, by, ofPort: false } : { policy: setting, by: fieldOf(by, `portLevelSettings[${index}]`), ofPort: true };
}

/** LEAST_CONN is LEAST_REQUEST's old name; UNSPECIFIED leaves the choice to us. What we do not do counts as not stated. */
function balancingOf({ loadBalancer }: Written): Balancing | undefined {
  switch (loadBalancer?.simple) {
    case "ROUND_ROBIN":
    case "RANDOM":
    case "LEAST_REQUEST":
      return loadBalancer.simple;
    case "LEAST_CONN":
      return "LEAST_REQUEST";
    default:
      return undefined;
  }
}

function tlsOf({ tls }: Written): ClientTls | undefined {
  return tls?.mode === "ISTIO_MUTUAL" || tls?.mode === "DISABLE" ? tls.mode : undefined;
}

/** envoy.filters.http.rbac: rules that are enforced, and shadow rules that are only counted. */
import type { RBAC } from "#wire/envoy/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import type { RBAC as NetworkRBAC } from "#wire/envoy/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts";
import { compileRbac, type Rbac } from "#decide/rbac/rbac.ts";
import type { ConnectionView, RequestView } from "#decide/request-view.ts";
import type { Counter, Scope } from "#proxy/stats/stats.ts";

export interface RbacFilter {
  readonly rules: Rbac | undefined;
  readonly shadow: Rbac | undefined;
  readonly rulesPrefix: string;
  readonly shadowPrefix: string;
}

export function compileRbacFilter(config: RBAC | NetworkRBAC, path: string): RbacFilter {
  return {
    rules: config.rules === undefined ? undefined : compileRbac(config.rules, `${path}.rules`),
    shadow: config.shadowRules === undefined ? undefined : compileRbac(config.shadowRules, `${path}.shadow_rules`),
    rulesPrefix: "rulesStatPrefix" in config ? config.rulesStatPrefix : "",
    shadowPrefix: config.shadowRulesStatPrefix,
  };
}

/** Why a request or a connection is refused. */
export interface Denial {
  /** Envoy's response_code_details. */
  readonly details: string;
  /** For `x-weft-why`. */
  readonly why: string;
}

export class RbacStats {
  readonly allowed: Counter;
  readonly denied: Counter;
  readonly shadowAllowed: Counter;
  readonly shadowDenied: Counter;
  constructor(scope: Scope, prefix: string, shadowPrefix: string) {
    this.allowed = scope.counter(`rbac.${prefix}allowed`);
    this.denied = scope.counter(`rbac.${prefix}denied`);
    this.shadowAllowed = scope.counter(`rbac.${shadowPrefix}shadow_allowed`);
    this.shadowDenied = scope.counter(`rbac.${shadowPrefix}shadow_denied`);
  }
}

/** undefined: allowed. */
export function enforce(filter: RbacFilter, stats: RbacStats, connection: ConnectionView, request: RequestView): Denial | undefined {
  const { rules, shadow } = filter;
  if (shadow !== undefined) (shadow.allows(shadow.match(connection, request)) ? stats.shadowAllowed : stats.shadowDenied).value++;
  if (rules === undefined) return undefined;
  const policy = rules.match(connection, request);
  if (rules.allows(policy)) {
    stats.allowed.value++;
    return undefined;
  }
  stats.denied.value++;
  return denialOf(rules, policy);
}

export function denialOf(rules: Rbac, policy: number): Denial {
  const name = rules.policies[policy];
  if (name !== undefined) return { details: `rbac_access_denied_matched_policy[${name}]`, why: `denied by ${name}` };
  if (rules.policies.length === 0)
    return { details: "rbac_access_denied_matched_policy[none]", why: "denied: the policy that applies has no rule, so it allows nothing" };
  const names = rules.policies.join(", ");
  return { details: `rbac_access_denied_matched_policy[none] of [${names}]`, why: `denied: no rule allows it; looked at ${names}` };
}

/**
 * envoy.config.rbac.v3.RBAC -> one closure that answers which policy matched. Policies are tried in the order of their
 * names, as Envoy's map has them. A policy's name says which rule it came from.
 */
import { RBAC_Action, type RBAC } from "#wire/envoy/gen/envoy/config/rbac/v3/rbac_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import type { ConnectionView, RequestView } from "#decide/request-view.ts";
import { type AccessTest, anyOf, compilePermission } from "./permission.ts";
import { compilePrincipal } from "./principal.ts";

export interface Rbac {
  readonly action: "ALLOW" | "DENY" | "LOG";
  /** Sorted by name. */
  readonly policies: readonly string[];
  /** Index into `policies` of the one that matches, or -1. */
  match(connection: ConnectionView, request: RequestView): number;
  /** What the answer of `match` means. */
  allows(policy: number): boolean;
}

export function compileRbac(rules: RBAC, path: string): Rbac {
  const policies = Object.keys(rules.policies).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const tests = policies.map((name): AccessTest => {
    const policy = rules.policies[name];
    const policyPath = `${path}.policies["${name}"]`;
    if (policy === undefined) return () => false;
    if (policy.condition !== undefined || policy.checkedCondition !== undefined) throw new ConfigProblem(`${policyPath}.condition`, NOT_SUPPORTED);
    const permitted = anyOf(policy.permissions.map((permission, i) => compilePermission(permission, `${policyPath}.permissions[${i}]`)));
    const known = anyOf(policy.principals.map((principal, i) => compilePrincipal(principal, `${policyPath}.principals[${i}]`)));
    return (connection, request) => permitted(connection, request) && known(connection, request);
  });
  const action = rules.action === RBAC_Action.DENY ? "DENY" : rules.action === RBAC_Action.LOG ? "LOG" : "ALLOW";
  return {
    action,
    policies,
    match(connection, request) {
      for (let i = 0; i < tests.length; i++) if (tests[i]?.(connection, request) === true) return i;
      return -1;
    },
    allows: (policy) => action === "LOG" || (action === "ALLOW") === policy >= 0,
  };
}

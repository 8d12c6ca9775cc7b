/**
 * AuthorizationPolicies of a workload: which select it, and what each rule demands.
 *
 * A part that cannot be enforced (not supported, not readable, or about HTTP where only TCP is seen) makes an ALLOW rule match
 * nothing; in a DENY rule the constraint is dropped, so that it denies more. Both are reported on the policy's status. A CUSTOM
 * policy, whose authorizer is never asked, denies what it would have asked about.
 */
import type { AuthorizationPolicy } from "#model/istio.ts";
import type { Provenance } from "#model/provenance.ts";
import { matchesLabels } from "#model/selectors.ts";
import { all, always, never, some, type Expr } from "./authorization-expr.ts";
import { ruleParts, type Part, type PolicyRule } from "./authorization-parts.ts";
import { inPrecedence } from "./precedence.ts";
import { provenanceOf } from "./source.ts";
import type { Workload } from "./workload.ts";

export interface AuthorizationRule {
  /** Who calls, and what is called: both must hold. */
  readonly from: Expr;
  readonly to: Expr;
  readonly by: Provenance;
}

export interface Authorization {
  readonly deny: readonly AuthorizationRule[];
  /** undefined: no ALLOW policy selects the workload, so what is not denied is allowed. */
  readonly allow: readonly AuthorizationRule[] | undefined;
}

export type Action = "ALLOW" | "DENY";

/** What a policy does to the requests that its rules match; undefined (AUDIT): nothing. */
export function actionOf(policy: AuthorizationPolicy): Action | undefined {
  const action = policy.spec?.action ?? "ALLOW";
  if (action === "CUSTOM") return "DENY";
  return action === "ALLOW" || action === "DENY" ? action : undefined;
}

export function selects(policy: AuthorizationPolicy, of: Workload): boolean {
  return targetsOf(policy).length === 0 && matchesLabels(policy.spec?.selector?.matchLabels, of.labels);
}

export interface PolicyTarget {
  /** `spec.targetRefs[0]`. */
  readonly field: string;
  readonly kind: string;
  /** "namespace/name" of a Gateway of the Gateway API; undefined: another kind, for which nothing is enforced. */
  readonly gateway: string | undefined;
}

export function targetsOf({ metadata, spec }: AuthorizationPolicy): readonly PolicyTarget[] {
  const { targetRef, targetRefs = [] } = spec ?? {};
  const written = [
    ...(targetRef === undefined ? [] : [["spec.targetRef", targetRef] as const]),
    ...targetRefs.map((ref, i) => [`spec.targetRefs[${i}]`, ref] as const),
  ];
  return written.map(([field, { group, kind, name }]) => {
    const isGateway = kind === "Gateway" && group === "gateway.networking.k8s.io";
    return { field, kind, gateway: isGateway ? `${metadata.namespace ?? ""}/${name}` : undefined };
  });
}

/** Those that name the Gateway; `policies` are those of its namespace. */
export function policiesFor(gateway: string, policies: readonly AuthorizationPolicy[]): readonly AuthorizationPolicy[] {
  return inPrecedence(policies.filter((policy) => actionOf(policy) !== undefined && targetsOf(policy).some((target) => target.gateway === gateway)));
}

/** `policies` are those of the workload's namespace and of the root namespace. */
export function authorizationOf(of: Workload, policies: readonly AuthorizationPolicy[]): readonly AuthorizationPolicy[] {
  return inPrecedence([...new Set(policies)].filter((policy) => selects(policy, of) && actionOf(policy) !== undefined));
}

/** The rules in force on a port, as seen by a proxy that understands HTTP there or does not. */
export function authorizationRules(policies: readonly AuthorizationPolicy[], protocol: "http" | "tcp"): Authorization {
  const ofAction = (action: Action) =>
    policies.filter((policy) => actionOf(policy) === action).flatMap((policy) => policyRules(policy, action, protocol === "http"));
  const hasAllow = policies.some((policy) => actionOf(policy) === "ALLOW");
  return { deny: ofAction("DENY"), allow: hasAllow ? ofAction("ALLOW") : undefined };
}

function policyRules(policy: AuthorizationPolicy, action: Action, isHttp: boolean): readonly AuthorizationRule[] {
  const rules = policy.spec?.rules ?? [];
  const { namespace = "" } = policy.metadata;
  // A policy without rules matches nothing, but its name must stand where a denial lists who could have allowed.
  if (rules.length === 0) return [{ from: never, to: never, by: provenanceOf(policy, "spec") }];
  return rules.map((rule, i) => ({ ...compileRule(rule, { action, isHttp, namespace }), by: provenanceOf(policy, `spec.rules[${i}]`) }));
}

function compileRule(
  rule: PolicyRule,
  { action, isHttp, namespace }: { readonly action: Action; readonly isHttp: boolean; readonly namespace: string },
): Pick<AuthorizationRule, "from" | "to"> {
  const { from, to, when } = ruleParts(rule, namespace);
  if (action === "ALLOW" && [...from.flat(), ...to.flat(), ...when].some((part) => enforceable(part, isHttp) === undefined)) return { from: never, to: never };
  const compile = (parts: readonly Part[]): Expr => all(parts.map((part) => enforceable(part, isHttp) ?? always));
  const source = from.length === 0 ? always : some(from.map(compile));
  const operation = to.length === 0 ? always : some(to.map(compile));
  return {
    from: all([source, compile(when.filter(({ side }) => side === "from"))]),
    to: all([operation, compile(when.filter(({ side }) => side === "to"))]),
  };
}

function enforceable({ expr, http }: Part, isHttp: boolean): Expr | undefined {
  return http && !isHttp ? undefined : expr;
}

/** Who may do what: the RBAC filters of a chain, asked as the proxy asks them, and what is said of a denial. */
import type { RBAC } from "#wire/envoy/gen/envoy/config/rbac/v3/rbac_pb.ts";
import { compilePermission } from "#decide/rbac/permission.ts";
import { compilePrincipal } from "#decide/rbac/principal.ts";
import { compileRbac } from "#decide/rbac/rbac.ts";
import { imaginedRequest, type ConnectionView, type RequestView } from "#decide/request-view.ts";
import { parseProvenance } from "#model/provenance.ts";
import { hop, type Hint, type Hop } from "./answer.ts";

export interface Access {
  readonly hop: Hop;
  /** Absent: allowed. */
  readonly effect?: string;
  readonly hint?: Hint;
}

/** `request` is absent where the proxy reads none. */
export function decideAccess(name: string, rbac: readonly RBAC[], connection: ConnectionView, request: RequestView | undefined): Access {
  const seen = request ?? imaginedRequest({ method: "", path: "", authority: "" });
  let allowed: string | undefined;
  let asked = false;
  for (const rules of rbac) {
    const compiled = compileRbac(rules, "rbac");
    const index = compiled.match(connection, seen);
    if (!compiled.allows(index)) return denied(name, rules, { connection, request, policies: compiled.policies, index });
    if (compiled.action !== "ALLOW") continue;
    asked = true;
    allowed = compiled.policies[index];
  }
  if (asked) return { hop: hop(name, `allowed: ${caller(connection)}`, "executed", { by: allowed }) };
  const text = rbac.length > 0 ? "allowed: no DENY rule matches, no ALLOW policy selects the pod" : "allowed: no AuthorizationPolicy selects the pod";
  return { hop: hop(name, text, "executed") };
}

function caller({ peer }: ConnectionView): string {
  const identity = peer?.uris[0];
  return identity === undefined ? "a caller without identity (no mTLS)" : `principal "${identity.replace("spiffe://", "")}"`;
}

interface Denied {
  readonly connection: ConnectionView;
  readonly request: RequestView | undefined;
  readonly policies: readonly string[];
  /** Of the policy that matched; -1: none. */
  readonly index: number;
}

function denied(name: string, rules: RBAC, { connection, request, policies, index }: Denied): Access {
  const effect = request === undefined ? "connection closed" : "403";
  const who = caller(connection);
  const what = request === undefined ? `port ${connection.destination.port}` : `${request.method} ${request.path}`;
  if (index >= 0) {
    const text = `DENIED: ${who}, ${what}, matches this DENY rule`;
    return { hop: hop(name, text, "executed", { by: policies[index], verdict: "denied" }), effect };
  }
  const nearest = nearestRule(rules, connection, request);
  const text = `DENIED: ${who}, ${what}, matches no rule of ${policies.length === 1 ? "the ALLOW policy" : `the ${policies.length} ALLOW rules`}`;
  return { hop: hop(name, text, "executed", { by: nearest?.policy ?? policies[0], verdict: "denied" }), effect, ...hintFor(nearest, connection, what) };
}

interface NearRule {
  readonly policy: string;
  readonly knows: boolean;
  readonly permits: boolean;
}

/** The rule of which the fewest parts fail. */
function nearestRule(rules: RBAC, connection: ConnectionView, request: RequestView | undefined): NearRule | undefined {
  const seen = request ?? imaginedRequest({ method: "", path: "", authority: "" });
  const tried = Object.entries(rules.policies)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([policy, { principals, permissions }]): NearRule => ({
      policy,
      knows: principals.some((principal) => compilePrincipal(principal, "principal")(connection, seen)),
      permits: permissions.some((permission) => compilePermission(permission, "permission")(connection, seen)),
    }));
  return tried.find(({ permits }) => permits) ?? tried.find(({ knows }) => knows) ?? tried[0];
}

function hintFor(rule: NearRule | undefined, { peer }: ConnectionView, what: string): { readonly hint?: Hint } {
  const by = rule === undefined ? undefined : parseProvenance(rule.policy);
  if (rule === undefined || by === undefined) return {};
  const object = `${by.kind} ${by.namespace ?? ""}/${by.name}`;
  if (!by.field.startsWith("spec.rules")) return { hint: { text: `give ${object} a rule: without any it allows nothing` } };
  const identity = peer?.uris[0];
  if (rule.knows && !rule.permits) return { hint: { text: `let ${by.field}.to of ${object} cover ${what}` } };
  if (rule.knows || !rule.permits) return {};
  if (identity === undefined)
    return { hint: { text: `call from a pod with a proxy (label its namespace istio-injection=enabled): ${by.field} of ${object} asks who calls` } };
  const principal = identity.replace("spiffe://", "");
  return { hint: { text: `let ${by.field}.from of ${object} cover "${principal}"`, grant: { by, principal } } };
}

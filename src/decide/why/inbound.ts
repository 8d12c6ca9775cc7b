/** What a server's proxy does with a connection: which chain takes it, and who may do what. The proxy's own decisions. */
import type { RBAC } from "#wire/envoy/gen/envoy/config/rbac/v3/rbac_pb.ts";
import { compilePermission } from "#decide/rbac/permission.ts";
import { compilePrincipal } from "#decide/rbac/principal.ts";
import { compileRbac } from "#decide/rbac/rbac.ts";
import type { ConnectionView, RequestView } from "#decide/request-view.ts";
import { parseProvenance } from "#model/provenance.ts";
import { hop, type Hop } from "./answer.ts";
import { chainFor, type Chain } from "./chain.ts";
import type { PlanView } from "./plan-view.ts";

export interface ProxyIn {
  readonly hops: readonly Hop[];
  readonly effect?: string;
  readonly hint?: string;
}

export function decideInbound(view: PlanView, connection: ConnectionView, request: RequestView): ProxyIn {
  const listener = view.listener("virtualInbound");
  if (listener === undefined) return { hops: [hop("proxy in", "the proxy has no listener virtualInbound", "unknown", { verdict: "unknown" })] };
  const chain = chainFor(listener, connection, view);
  if (chain === undefined) return refusedConnection(view, connection);
  const hops = [securityHop(view, connection, chain)];
  if (chain.usesTls && connection.peer === undefined) {
    const text = `the proxy expects the mesh's TLS on port ${connection.destination.port}, and the client brings none`;
    return { hops: [hop("mTLS", text, "executed", { by: chain.by, verdict: "denied" })], effect: "connection closed" };
  }
  const denied = authorize(chain, connection, request);
  if (denied !== undefined) return { ...denied, hops: [...hops, ...denied.hops] };
  return { hops: [...hops, allowedHop(chain, connection, request)] };
}

/** No chain: what would have taken the connection, had it come with mesh TLS, tells who demands that. */
function refusedConnection(view: PlanView, connection: ConnectionView): ProxyIn {
  const listener = view.listener("virtualInbound");
  const secured: ConnectionView = { ...connection, transportProtocol: "tls", applicationProtocols: ["istio"] };
  const wanted = listener === undefined ? undefined : chainFor(listener, secured, view);
  const text =
    wanted === undefined
      ? `no filter chain takes port ${connection.destination.port}`
      : "DENIED: plain text, where STRICT asks for the mesh's TLS; the connection is closed";
  const by = wanted?.by;
  const hint =
    wanted === undefined ? undefined : `call from a pod with a proxy (label its namespace istio-injection=enabled), or set ${fieldOf(by)} to PERMISSIVE`;
  return { hops: [hop("mTLS", text, "executed", { by, verdict: "denied" })], effect: "connection closed", ...(hint === undefined ? {} : { hint }) };
}

function fieldOf(by: string | undefined): string {
  const parsed = by === undefined ? undefined : parseProvenance(by);
  return parsed === undefined ? "mtls.mode" : `${parsed.field} of ${parsed.kind} ${parsed.namespace ?? ""}/${parsed.name}`;
}

function securityHop(view: PlanView, connection: ConnectionView, chain: Chain): Hop {
  if (!chain.usesTls) return hop("mTLS", "none: plain text is accepted here", "executed", { by: chain.by });
  const listener = view.listener("virtualInbound");
  const plain: ConnectionView = { ...connection, transportProtocol: "raw_buffer", applicationProtocols: [] };
  const isStrict = listener === undefined || chainFor(listener, plain, view) === undefined;
  return hop("mTLS", `${isStrict ? "STRICT" : "PERMISSIVE"}, TLS 1.3`, "executed", { by: chain.by });
}

function allowedHop(chain: Chain, connection: ConnectionView, request: RequestView): Hop {
  const to =
    chain.end.kind === "tcp"
      ? `TCP to the application, port ${connection.destination.port}`
      : `${request.method} ${request.path} to the application, port ${connection.destination.port}`;
  const allow = chain.rbac.map((rules) => compileRbac(rules, "rbac")).find(({ action }) => action === "ALLOW");
  if (allow === undefined) return hop("proxy in", `allowed: no ALLOW policy selects the pod; ${to}`, "executed");
  const policy = allow.policies[allow.match(connection, request)];
  return hop("proxy in", `allowed; ${to}`, "executed", { by: policy });
}

function authorize(chain: Chain, connection: ConnectionView, request: RequestView): ProxyIn | undefined {
  const isHttp = chain.end.kind === "http";
  const effect = isHttp ? "403" : "connection closed";
  for (const rules of chain.rbac) {
    const rbac = compileRbac(rules, "rbac");
    const index = rbac.match(connection, request);
    if (rbac.allows(index)) continue;
    const caller = connection.peer?.uris[0];
    const who = caller === undefined ? "a caller without identity (no mTLS)" : `principal ${JSON.stringify(caller)}`;
    const what = isHttp ? `${request.method} ${request.path}` : `port ${connection.destination.port}`;
    if (index >= 0) {
      return {
        hops: [hop("proxy in", `DENIED: ${who}, ${what}, matches this DENY rule`, "executed", { by: rbac.policies[index], verdict: "denied" })],
        effect,
      };
    }
    const nearest = nearestRule(rules, connection, request);
    const text = `DENIED: ${who}, ${what}, matches no rule of ${rbac.policies.length === 1 ? "the ALLOW policy" : "any ALLOW policy"}`;
    return {
      hops: [hop("proxy in", text, "executed", { by: nearest?.policy ?? rbac.policies[0], verdict: "denied" })],
      effect,
      ...hintFor(nearest, caller, what),
    };
  }
  return undefined;
}

interface NearRule {
  readonly policy: string;
  readonly knows: boolean;
  readonly permits: boolean;
}

/** The rule of which the fewest parts fail. */
function nearestRule(rules: RBAC, connection: ConnectionView, request: RequestView): NearRule | undefined {
  const tried = Object.entries(rules.policies).map(([policy, { principals, permissions }]): NearRule => ({
    policy,
    knows: principals.some((principal) => compilePrincipal(principal, "principal")(connection, request)),
    permits: permissions.some((permission) => compilePermission(permission, "permission")(connection, request)),
  }));
  return tried.find(({ permits }) => permits) ?? tried.find(({ knows }) => knows) ?? tried[0];
}

function hintFor(rule: NearRule | undefined, caller: string | undefined, what: string): { readonly hint?: string } {
  const by = rule === undefined ? undefined : parseProvenance(rule.policy);
  if (rule === undefined || by === undefined || !by.field.startsWith("spec.rules")) return {};
  const of = `of ${by.kind} ${by.namespace ?? ""}/${by.name}`;
  if (!rule.knows && rule.permits && caller !== undefined) {
    return { hint: `add ${JSON.stringify(caller.replace("spiffe://", ""))} to ${by.field}.from[0].source.principals ${of}` };
  }
  if (rule.knows && !rule.permits) return { hint: `let ${by.field}.to ${of} cover ${what}` };
  return {};
}

/** Authorization rules as Envoy's RBAC: a policy's name is the rule's provenance, which every denial then names. */
import { create } from "@bufbuild/protobuf";
import {
  Permission_SetSchema,
  PermissionSchema,
  Principal_AuthenticatedSchema,
  Principal_SetSchema,
  PolicySchema,
  PrincipalSchema,
  RBAC_Action,
  RBACSchema,
  type Permission,
  type Permission_Set,
  type Principal,
  type Principal_Set,
  type RBAC,
} from "#wire/envoy/gen/envoy/config/rbac/v3/rbac_pb.ts";
import { CidrRangeSchema, type CidrRange } from "#wire/envoy/gen/envoy/config/core/v3/address_pb.ts";
import { HeaderMatcherSchema, type HeaderMatcher } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import { PathMatcherSchema, type PathMatcher } from "#wire/envoy/gen/envoy/type/matcher/v3/path_pb.ts";
import type { Expr, Leaf } from "#compile/mesh/authorization-expr.ts";
import type { AuthorizationRule } from "#compile/mesh/authorization.ts";
import { formatProvenance } from "#model/provenance.ts";
import { stringMatcher } from "./text-matcher.ts";

export function rbac(action: "ALLOW" | "DENY", rules: readonly AuthorizationRule[]): RBAC {
  const policies = rules.map(
    ({ from, to, by }) => [formatProvenance(by), create(PolicySchema, { permissions: [permission(to)], principals: [principal(from)] })] as const,
  );
  return create(RBACSchema, { action: RBAC_Action[action], policies: Object.fromEntries(policies) });
}

function permission(expr: Expr): Permission {
  return create(PermissionSchema, { rule: permissionRule(expr) });
}

function permissionRule(expr: Expr): Permission["rule"] {
  switch (expr.is) {
    case "all":
      return expr.of.length === 0 ? { case: "any", value: true } : { case: "andRules", value: permissionSet(expr.of) };
    case "some":
      return expr.of.length === 0
        ? { case: "notRule", value: create(PermissionSchema, { rule: { case: "any", value: true } }) }
        : { case: "orRules", value: permissionSet(expr.of) };
    case "not":
      return { case: "notRule", value: permission(expr.of) };
    case "header":
      return { case: "header", value: header(expr) };
    case "path":
      return { case: "urlPath", value: pathMatcher(expr) };
    case "port":
      return { case: "destinationPort", value: expr.port };
    case "destinationIp":
      return { case: "destinationIp", value: cidrRange(expr.cidr) };
    case "sni":
      return { case: "requestedServerName", value: stringMatcher(expr.text) };
    default:
      throw new Error(`an operation cannot ask for ${expr.is}`);
  }
}

function principal(expr: Expr): Principal {
  return create(PrincipalSchema, { identifier: principalIdentifier(expr) });
}

function principalIdentifier(expr: Expr): Principal["identifier"] {
  switch (expr.is) {
    case "all":
      return expr.of.length === 0 ? { case: "any", value: true } : { case: "andIds", value: principalSet(expr.of) };
    case "some":
      return expr.of.length === 0
        ? { case: "notId", value: create(PrincipalSchema, { identifier: { case: "any", value: true } }) }
        : { case: "orIds", value: principalSet(expr.of) };
    case "not":
      return { case: "notId", value: principal(expr.of) };
    case "principal":
      return { case: "authenticated", value: create(Principal_AuthenticatedSchema, { principalName: stringMatcher(expr.text) }) };
    case "sourceIp":
      return { case: "directRemoteIp", value: cidrRange(expr.cidr) };
    case "remoteIp":
      return { case: "remoteIp", value: cidrRange(expr.cidr) };
    case "header":
      return { case: "header", value: header(expr) };
    case "path":
      return { case: "urlPath", value: pathMatcher(expr) };
    default:
      throw new Error(`a source cannot be asked for ${expr.is}`);
  }
}

function header({ name, text }: Extract<Leaf, { is: "header" }>): HeaderMatcher {
  return create(HeaderMatcherSchema, { name, headerMatchSpecifier: { case: "stringMatch", value: stringMatcher(text) } });
}

function pathMatcher({ text }: Extract<Leaf, { is: "path" }>): PathMatcher {
  return create(PathMatcherSchema, { rule: { case: "path", value: stringMatcher(text) } });
}

function permissionSet(rules: readonly Expr[]): Permission_Set {
  return create(Permission_SetSchema, { rules: rules.map(permission) });
}

function principalSet(ids: readonly Expr[]): Principal_Set {
  return create(Principal_SetSchema, { ids: ids.map(principal) });
}

function cidrRange(cidr: string): CidrRange {
  const [addressPrefix = "", prefix] = cidr.split("/");
  return create(CidrRangeSchema, { addressPrefix, prefixLen: prefix === undefined ? (addressPrefix.includes(":") ? 128 : 32) : Number(prefix) });
}

/** envoy.config.rbac.v3.Permission */
import type { Permission } from "#wire/envoy/gen/envoy/config/rbac/v3/rbac_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { compileHeader } from "#decide/match/header-match.ts";
import { compileRange, isWithin } from "#decide/match/ip-match.ts";
import { compilePath, compileString } from "#decide/match/string-match.ts";
import type { ConnectionView, RequestView } from "#decide/request-view.ts";

export type AccessTest = (connection: ConnectionView, request: RequestView) => boolean;

export function anyOf(tests: readonly AccessTest[]): AccessTest {
  const [first, second] = tests;
  if (first !== undefined && second === undefined) return first;
  return (connection, request) => {
    for (const test of tests) if (test(connection, request)) return true;
    return false;
  };
}

export function allOf(tests: readonly AccessTest[]): AccessTest {
  const [first, second] = tests;
  if (first !== undefined && second === undefined) return first;
  return (connection, request) => {
    for (const test of tests) if (!test(connection, request)) return false;
    return true;
  };
}

export function compilePermission(permission: Permission, path: string): AccessTest {
  const rule = permission.rule;
  switch (rule.case) {
    case "andRules":
      return allOf(rule.value.rules.map((inner, i) => compilePermission(inner, `${path}.and_rules.rules[${i}]`)));
    case "orRules":
      return anyOf(rule.value.rules.map((inner, i) => compilePermission(inner, `${path}.or_rules.rules[${i}]`)));
    case "any":
      return () => true;
    case "header": {
      const test = compileHeader(rule.value, `${path}.header`);
      return (_connection, request) => test(request);
    }
    case "urlPath": {
      const test = compilePath(rule.value, `${path}.url_path`);
      return (_connection, request) => test(request.path);
    }
    case "destinationIp": {
      const range = compileRange(rule.value, `${path}.destination_ip`);
      return ({ destination }) => isWithin(range, destination.ip);
    }
    case "destinationPort": {
      const port = rule.value;
      return ({ destination }) => destination.port === port;
    }
    case "destinationPortRange": {
      const { start, end } = rule.value;
      return ({ destination }) => destination.port >= start && destination.port < end;
    }
    case "notRule": {
      const test = compilePermission(rule.value, `${path}.not_rule`);
      return (connection, request) => !test(connection, request);
    }
    case "requestedServerName": {
      const test = compileString(rule.value, `${path}.requested_server_name`);
      return ({ serverName }) => test(serverName ?? "");
    }
    case "metadata":
      throw new ConfigProblem(`${path}.metadata`, NOT_SUPPORTED);
    case "matcher":
      throw new ConfigProblem(`${path}.matcher`, NOT_SUPPORTED);
    case "uriTemplate":
      throw new ConfigProblem(`${path}.uri_template`, NOT_SUPPORTED);
    case undefined:
      throw new ConfigProblem(path, "has no rule; give one, or any: true");
  }
}

/** envoy.config.rbac.v3.Principal */
import type { Principal } from "#wire/envoy/gen/envoy/config/rbac/v3/rbac_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { compileHeader } from "#decide/match/header-match.ts";
import { compileRange, isWithin } from "#decide/match/ip-match.ts";
import { compilePath, compileString } from "#decide/match/string-match.ts";
import { type AccessTest, allOf, anyOf } from "./permission.ts";

export function compilePrincipal(principal: Principal, path: string): AccessTest {
  const id = principal.identifier;
  switch (id.case) {
    case "andIds":
      return allOf(id.value.ids.map((inner, i) => compilePrincipal(inner, `${path}.and_ids.ids[${i}]`)));
    case "orIds":
      return anyOf(id.value.ids.map((inner, i) => compilePrincipal(inner, `${path}.or_ids.ids[${i}]`)));
    case "any":
      return () => true;
    case "authenticated": {
      const name = id.value.principalName;
      if (name === undefined) return ({ peer }) => peer !== undefined;
      const test = compileString(name, `${path}.authenticated.principal_name`);
      return ({ peer }) =>
        peer !== undefined && (peer.uris.length + peer.dnsNames.length === 0 ? test(peer.subject) : peer.uris.some(test) || peer.dnsNames.some(test));
    }
    case "sourceIp":
    case "directRemoteIp": {
      const range = compileRange(id.value, `${path}.direct_remote_ip`);
      return ({ directRemote }) => isWithin(range, directRemote.ip);
    }
    case "remoteIp": {
      const range = compileRange(id.value, `${path}.remote_ip`);
      return ({ remote }) => isWithin(range, remote.ip);
    }
    case "header": {
      const test = compileHeader(id.value, `${path}.header`);
      return (_connection, request) => test(request);
    }
    case "urlPath": {
      const test = compilePath(id.value, `${path}.url_path`);
      return (_connection, request) => test(request.path);
    }
    case "notId": {
      const test = compilePrincipal(id.value, `${path}.not_id`);
      return (connection, request) => !test(connection, request);
    }
    case "metadata":
      throw new ConfigProblem(`${path}.metadata`, NOT_SUPPORTED);
    case "filterState":
      throw new ConfigProblem(`${path}.filter_state`, NOT_SUPPORTED);
    case undefined:
      throw new ConfigProblem(path, "has no identifier; give one, or any: true");
  }
}

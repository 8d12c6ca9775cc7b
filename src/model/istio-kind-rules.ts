/** What Istio's validation demands of its networking kinds beyond the shape of their fields. */
import type { DestinationRule, HttpMatch, IstioGateway, StringMatch, VirtualService, VirtualServiceHttpRoute } from "./istio.ts";
import { duplicate, invalid, required, type Problem } from "./problem.ts";

export function virtualServiceRules(object: VirtualService): readonly Problem[] {
  const { hosts = [], http = [], tcp = [], tls = [], gateways = [] } = object.spec;
  const problems: Problem[] = [];
  if (hosts.length === 0 && http.every((route) => route.delegate === undefined) && gateways.length > 0)
    problems.push(required("spec.hosts", "virtual service must have at least one host"));
  for (const [index, host] of hosts.entries()) {
    if (!isHost(host)) problems.push(invalid(`spec.hosts[${index}]`, host, "must be a DNS name, a wildcard like *.example.com, or *"));
    if (hosts.indexOf(host) !== index) problems.push(duplicate(`spec.hosts[${index}]`, host));
  }
  if (http.length + tcp.length + tls.length === 0) problems.push(required("spec", "http, tcp or tls must be provided in virtual service"));
  for (const [index, route] of http.entries()) problems.push(...httpProblems(route, `spec.http[${index}]`));
  for (const [field, routes] of [
    ["tcp", tcp],
    ["tls", tls],
  ] as const) {
    for (const [index, { route = [] }] of routes.entries()) {
      if (route.length === 0) problems.push(required(`spec.${field}[${index}].route`, `${field.toUpperCase()} route is required`));
      problems.push(...destinationProblems(route, `spec.${field}[${index}].route`));
    }
  }
  return problems;
}

function httpProblems(rule: VirtualServiceHttpRoute, path: string): Problem[] {
  const { route = [], redirect, directResponse, delegate, rewrite } = rule;
  const problems: Problem[] = [];
  const actions = [route.length > 0, redirect !== undefined, directResponse !== undefined].filter(Boolean).length;
  if (delegate !== undefined) {
    if (route.length > 0) problems.push(invalid(`${path}.route`, "array", "must be empty when delegate is set"));
  } else if (actions === 0) problems.push(required(`${path}.route`, "HTTP route, redirect or direct_response is required"));
  else if (actions > 1) problems.push(invalid(path, "object", "HTTP route must contain only one of route, redirect and directResponse"));
  if (redirect !== undefined && rewrite !== undefined)
    problems.push(invalid(`${path}.rewrite`, "object", "HTTP route rule cannot contain both rewrite and redirect"));
  problems.push(...destinationProblems(route, `${path}.route`));
  for (const [index, match] of (rule.match ?? []).entries()) problems.push(...matchProblems(match, `${path}.match[${index}]`));
  const { httpStatus } = rule.fault?.abort ?? {};
  if (httpStatus !== undefined && (httpStatus < 200 || httpStatus > 600))
    problems.push(invalid(`${path}.fault.abort.httpStatus`, httpStatus, "must be between 200 and 600"));
  return problems;
}

function destinationProblems(routes: readonly { readonly destination: { readonly host: string }; readonly weight?: number }[], path: string): Problem[] {
  const problems: Problem[] = [];
  for (const [index, { destination }] of routes.entries()) {
    if (destination.host === "") problems.push(required(`${path}[${index}].destination.host`));
    else if (!isHost(destination.host) || destination.host.includes("*"))
      problems.push(invalid(`${path}[${index}].destination.host`, destination.host, "must be a DNS name without wildcards"));
  }
  if (routes.length > 1 && routes.reduce((sum, { weight = 0 }) => sum + weight, 0) === 0) {
    problems.push(invalid(path, 0, "total destination weight must be greater than 0"));
  }
  return problems;
}

function matchProblems(match: HttpMatch, path: string): Problem[] {
  const named: (readonly [string, StringMatch | undefined])[] = [
    ["uri", match.uri],
    ["scheme", match.scheme],
    ["method", match.method],
    ["authority", match.authority],
    ...Object.entries(match.headers ?? {}).map(([name, value]) => [`headers.${name}`, value] as const),
    ...Object.entries(match.withoutHeaders ?? {}).map(([name, value]) => [`withoutHeaders.${name}`, value] as const),
    ...Object.entries(match.queryParams ?? {}).map(([name, value]) => [`queryParams.${name}`, value] as const),
  ];
  const problems: Problem[] = [];
  for (const [field, value] of named) {
    if (value?.regex === "") problems.push(invalid(`${path}.${field}.regex`, "", "must not be empty"));
    if (value?.prefix === "") problems.push(invalid(`${path}.${field}.prefix`, "", "must not be empty"));
  }
  for (const name of Object.keys(match.headers ?? {})) {
    if (name === "" || /[^!#$%&'*+\-.^_`|~0-9A-Za-z:]/.test(name)) problems.push(invalid(`${path}.headers`, name, "must be a header name"));
  }
  return problems;
}

export function destinationRuleRules(object: DestinationRule): readonly Problem[] {
  const { host, subsets = [] } = object.spec;
  const problems: Problem[] = [];
  if (host === "") problems.push(required("spec.host"));
  else if (!isHost(host)) problems.push(invalid("spec.host", host, "must be a DNS name or a wildcard like *.example.com"));
  const names = new Set<string>();
  for (const [index, { name }] of subsets.entries()) {
    if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/i.test(name)) problems.push(invalid(`spec.subsets[${index}].name`, name, "must be a DNS label"));
    if (names.has(name)) problems.push(duplicate(`spec.subsets[${index}].name`, name));
    names.add(name);
  }
  return problems;
}

const protocols = ["HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS", "MYSQL", "REDIS", "UDP", "HTTP_PROXY", "HBONE"];

export function istioGatewayRules(object: IstioGateway): readonly Problem[] {
  const problems: Problem[] = [];
  for (const [index, { port, hosts, tls }] of (object.spec.servers ?? []).entries()) {
    const path = `spec.servers[${index}]`;
    if (hosts.length === 0) problems.push(required(`${path}.hosts`, "server config must contain at least one host"));
    if (!protocols.includes(port.protocol.toUpperCase()))
      problems.push(invalid(`${path}.port.protocol`, port.protocol, `must be one of ${protocols.join(", ")}`));
    if (port.number === 0) problems.push(invalid(`${path}.port.number`, 0, "must be between 1 and 65535"));
    const encrypted = ["HTTPS", "TLS"].includes(port.protocol.toUpperCase());
    if (encrypted && tls === undefined) problems.push(required(`${path}.tls`, "server must have TLS settings for HTTPS/TLS protocols"));
    for (const [at, host] of hosts.entries()) {
      const name = host.slice(host.indexOf("/") + 1);
      if (!isHost(name))
        problems.push(invalid(`${path}.hosts[${at}]`, host, "must be a DNS name, a wildcard like *.example.com, or *, optionally after namespace/"));
    }
  }
  return problems;
}

function isHost(host: string): boolean {
  return (
    host === "*" ||
    /^(\*\.)?[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*\.?$/.test(host) ||
    /^[0-9a-fA-F:.]+$/.test(host)
  );
}

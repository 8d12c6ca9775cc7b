/** Findings about Istio's kinds. */
import { actionOf, selects, targetsOf, type PolicyTarget } from "#compile/mesh/authorization.ts";
import { ruleParts } from "#compile/mesh/authorization-parts.ts";
import { ruleHost, subsetsOf } from "#compile/mesh/destination-rule.ts";
import { isHttps, istioSecret } from "#compile/mesh/gateway.ts";
import { isOurs } from "#compile/mesh/gateway-address.ts";
import { certificateIn, isProblem } from "#compile/mesh/gateway-certificate.ts";
import { resolveHost } from "#compile/mesh/hosts.ts";
import { claimOf, meshClaims, winnerOf } from "#compile/mesh/mesh-hosts.ts";
import { levelOf } from "#compile/mesh/peer-authentication.ts";
import { byPrecedence, inPrecedence } from "#compile/mesh/precedence.ts";
import { regexProblem } from "#compile/mesh/regex.ts";
import { destinationRuleFields, istioGatewayFields, unsupportedFields, virtualServiceFields } from "#compile/mesh/supported.ts";
import { gatewaysOf, hostsOf, isHost, meshGateway } from "#compile/mesh/virtual-service.ts";
import { inboundPorts, workload } from "#compile/mesh/workload.ts";
import { rootNamespace } from "#compile/mesh/settings.ts";
import type { AuthorizationPolicy, DestinationRule, HttpMatch, IstioGateway, PeerAuthentication, StringMatch, VirtualService } from "#model/istio.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { matchesLabels } from "#model/selectors.ts";
import type { WorldReader } from "#model/world.ts";
import { findService } from "#compile/mesh/service.ts";
import { unreachedFindings } from "./unreached.ts";
import { destinationFindings, formatLabels, hasPods, hostFindings, notHttpFindings } from "./destinations.ts";
import { conflict, invalid, noPods, reference, unsupported, type Finding } from "./finding.ts";

function namespaceOf({ metadata }: KubeObject): string {
  return metadata.namespace ?? "";
}

function nameOf(object: KubeObject): string {
  return `${object.kind} ${objectKey(object)}`;
}

export function virtualServiceFindings(virtualService: VirtualService, world: WorldReader): readonly Finding[] {
  const { spec } = virtualService;
  const namespace = namespaceOf(virtualService);
  const inMesh = gatewaysOf(virtualService).includes(meshGateway);
  return [
    ...unsupportedFields(spec, virtualServiceFields, "spec").map((field) => unsupported(field)),
    ...(spec.hosts ?? []).flatMap((host, i) => {
      if (!isHost(host)) return [invalid(`spec.hosts[${i}]`, `${JSON.stringify(host)} is not a host name; use a name, "*.name" or "*"`)];
      if (inMesh && host === "*") return [invalid(`spec.hosts[${i}]`, '"*" has no effect for sidecars; name the hosts, or a gateway in spec.gateways')];
      if (!inMesh) return [];
      return [
        ...(host.includes(".") ? [] : hostFindings(host, `spec.hosts[${i}]`, namespace, world)),
        ...((spec.http ?? []).length === 0 ? [] : notHttpFindings(resolveHost(host, namespace), undefined, `spec.hosts[${i}]`, world)),
      ];
    }),
    ...gatewaysOf(virtualService).flatMap((gateway, i) =>
      gateway === meshGateway || world.get("IstioGateway", gateway) !== undefined
        ? []
        : [reference(`spec.gateways[${i}]`, "GatewayNotFound", `Gateway ${gateway} does not exist`)],
    ),
    ...(spec.http ?? []).flatMap(({ route = [], match = [] }, i) => [
      ...route.flatMap(({ destination }, j) => destinationFindings(destination, `spec.http[${i}].route[${j}].destination`, namespace, world)),
      ...(route.length > 1 && route.every(({ weight = 0 }) => weight === 0)
        ? [invalid(`spec.http[${i}].route`, "gives no destination a weight above 0, so requests are answered with 503")]
        : []),
      ...match.flatMap((each, j) => matchFindings(each, `spec.http[${i}].match[${j}]`)),
    ]),
    ...claimConflicts(virtualService, world),
  ];
}

function matchFindings({ uri, method, authority, scheme, headers, withoutHeaders, queryParams }: HttpMatch, path: string): readonly Finding[] {
  const single: readonly (readonly [string, StringMatch | undefined])[] = [
    ["uri", uri],
    ["method", method],
    ["authority", authority],
    ["scheme", scheme],
  ];
  const maps = Object.entries({ headers, withoutHeaders, queryParams });
  const named = maps.flatMap(([field, map]) => Object.entries(map ?? {}).map(([key, matcher]) => [`${field}[${key}]`, matcher] as const));
  return [...single, ...named].flatMap(([field, matcher]) => {
    const problem = matcher?.regex === undefined ? undefined : regexProblem(matcher.regex);
    return problem === undefined ? [] : [invalid(`${path}.${field}.regex`, `cannot be read, so this match holds for no request: ${problem}`)];
  });
}

/** Hosts that an older object steers already. */
function claimConflicts(virtualService: VirtualService, world: WorldReader): readonly Finding[] {
  if (!gatewaysOf(virtualService).includes(meshGateway)) return [];
  const claims = meshClaims(world);
  return hostsOf(virtualService).flatMap((host, i) => {
    const winner = winnerOf(claimOf(host, claims));
    const winners: readonly KubeObject[] = winner === undefined ? [] : "spec" in winner ? [winner] : winner;
    const [first] = winners;
    if (first === undefined || winners.some((each) => each.kind === virtualService.kind && objectKey(each) === objectKey(virtualService))) return [];
    return [conflict(`spec.hosts[${i}]`, `${host} is steered by ${nameOf(first)}, which is older; this VirtualService has no effect on it`)];
  });
}

export function destinationRuleFindings(rule: DestinationRule, world: WorldReader): readonly Finding[] {
  const { host, subsets = [] } = rule.spec;
  const older = inPrecedence(world.all("DestinationRule")).find((other) => ruleHost(other) === ruleHost(rule));
  const names = subsets.map(({ name }) => name);
  return [
    ...unsupportedFields(rule.spec, destinationRuleFields, "spec").map((field) => unsupported(field)),
    ...(resolveHost(host, namespaceOf(rule)).startsWith("*") ? [] : hostFindings(host, "spec.host", namespaceOf(rule), world)),
    ...(older === undefined || byPrecedence(older, rule) >= 0
      ? []
      : [conflict("spec.host", `${ruleHost(rule)} has ${nameOf(older)}, which is older; this DestinationRule has no effect`)]),
    ...names.flatMap((name, i) =>
      names.indexOf(name) === i
        ? []
        : [invalid(`spec.subsets[${i}].name`, `${JSON.stringify(name)} is taken by spec.subsets[${names.indexOf(name)}]; this subset has no effect`)],
    ),
    ...emptySubsets(rule, world),
  ];
}

function emptySubsets(rule: DestinationRule, world: WorldReader): readonly Finding[] {
  const service = findService(world, ruleHost(rule));
  if (service === undefined) return [];
  return subsetsOf(rule)
    .filter((subset) => !hasPods(service, subset, world))
    .map((subset) =>
      noPods(`${subset.by.field}.labels`, `select no pod of ${service.host} (${formatLabels(subset)}), so requests to it are answered with 503`),
    );
}

export function istioGatewayFindings(gateway: IstioGateway, world: WorldReader): readonly Finding[] {
  const pods = world.all("Pod").filter((pod) => workload(pod).proxy === "gateway" && matchesLabels(gateway.spec.selector, pod.metadata.labels));
  const podNamespace = pods[0]?.metadata.namespace ?? rootNamespace;
  return [
    ...unsupportedFields(gateway.spec, istioGatewayFields, "spec").map((field) =>
      /^spec\.servers\[\d+\]\.(tls\.mode|port\.protocol)$/.test(field)
        ? unsupported(field, "is not supported yet, so this server is not served")
        : unsupported(field),
    ),
    ...(gateway.spec.servers ?? []).flatMap((server, i) => serverTlsFindings(server, `spec.servers[${i}]`, podNamespace, world)),
    ...unreachedFindings("IstioGateway", gateway, world),
    ...(pods.length > 0 ? [] : [reference("spec.selector", "NoGatewayPods", "selects no gateway pod, so nothing serves this Gateway")]),
  ];
}

type IstioServer = NonNullable<IstioGateway["spec"]["servers"]>[number];

function serverTlsFindings(server: IstioServer, path: string, podNamespace: string, world: WorldReader): readonly Finding[] {
  const { port, tls } = server;
  const unserved = "so this server is not served";
  if (!isHttps(port.protocol)) return [];
  if (tls?.mode === undefined)
    return [unsupported(`${path}.tls.mode`, `is not given, which means PASSTHROUGH; that is not supported yet, ${unserved}; use SIMPLE`)];
  const secret = istioSecret(server, podNamespace);
  if (secret === undefined)
    return tls.mode === "SIMPLE" ? [reference(`${path}.tls.credentialName`, "InvalidCertificateRef", `names no Secret, ${unserved}`)] : [];
  const certificate = certificateIn(secret, world.get("Secret", secret));
  return isProblem(certificate) ? [reference(`${path}.tls.credentialName`, "InvalidCertificateRef", `${certificate.problem}, ${unserved}`)] : [];
}

export function peerAuthenticationFindings(policy: PeerAuthentication, world: WorldReader): readonly Finding[] {
  const level = levelOf(policy);
  const same = world
    .inNamespace("PeerAuthentication", namespaceOf(policy))
    .filter((other) => levelOf(other) === level && (level !== "workload" || sameSelector(policy, other)));
  const [oldest] = inPrecedence(same);
  if (oldest === undefined || objectKey(oldest) === objectKey(policy)) return [];
  const scope = { mesh: "the mesh", namespace: `namespace ${namespaceOf(policy)}`, workload: "these pods" }[level];
  return [conflict(level === "workload" ? "spec.selector" : "spec", `${nameOf(oldest)} is older and rules ${scope}; this one has no effect`)];
}

function sameSelector(a: PeerAuthentication, b: PeerAuthentication): boolean {
  const [left, right] = [a.spec?.selector?.matchLabels ?? {}, b.spec?.selector?.matchLabels ?? {}];
  return matchesLabels(left, right) && matchesLabels(right, left);
}

export function authorizationPolicyFindings(policy: AuthorizationPolicy, world: WorldReader): readonly Finding[] {
  const { action = "ALLOW", rules = [], provider } = policy.spec ?? {};
  const effective = actionOf(policy);
  if (effective === undefined) return [unsupported("spec.action", `${action} is not supported yet, so this policy has no effect`)];
  const effect = effective === "ALLOW" ? "so its rule allows nothing" : "so it is left out, and the rule denies more";
  const parts = rules.flatMap((rule, i) => {
    const { from, to, when } = ruleParts(rule, namespaceOf(policy));
    return [...from.flat(), ...to.flat(), ...when].map((part) => ({ ...part, field: `spec.rules[${i}].${part.field}` }));
  });
  const overTcp = tcpPorts(policy, world);
  return [
    ...(action === "CUSTOM" ? [unsupported("spec.action", "CUSTOM is not supported yet, so what its rules match is denied")] : []),
    ...(provider === undefined ? [] : [unsupported("spec.provider")]),
    ...targetsOf(policy).flatMap((target) => targetFindings(target, world)),
    ...parts.flatMap(({ field, problem }) => {
      if (problem === undefined) return [];
      return [problem.about === "invalid" ? invalid(field, `${problem.text}, ${effect}`) : unsupported(field, `${problem.text}, ${effect}`)];
    }),
    ...parts
      .filter(({ expr, http }) => expr !== undefined && http && overTcp.length > 0)
      .map(({ field }) =>
        unsupported(
          field,
          `cannot be told on ports that are not HTTP (${overTcp.join(", ")}): there ${effective === "ALLOW" ? "its rule allows nothing" : "it is left out, and the rule denies more"}`,
        ),
      ),
  ];
}

function targetFindings({ field, kind, gateway }: PolicyTarget, world: WorldReader): readonly Finding[] {
  if (gateway === undefined)
    return [unsupported(field, `of kind ${kind} is not supported yet, so the policy has no effect there; use a Gateway, or spec.selector`)];
  const found = world.get("Gateway", gateway);
  if (found === undefined) return [reference(field, "TargetNotFound", `Gateway ${gateway} does not exist`)];
  if (!isOurs(found)) return [reference(field, "TargetNotFound", `Gateway ${gateway} is of class ${found.spec.gatewayClassName}, which is not Weft's`)];
  const plain = new Set(found.spec.listeners.filter(({ protocol }) => protocol === "HTTP").map(({ port }) => port));
  const neighbours = world
    .all("Gateway")
    .filter((other) => other !== found && isOurs(other) && other.spec.listeners.some(({ protocol, port }) => protocol === "HTTP" && plain.has(port)));
  return neighbours.map((other) => unsupported(field, `cannot be told from ${nameOf(other)}, which has the same port without TLS: the policy holds for both`));
}

/** Service ports of the pods it selects that carry anything but HTTP. */
function tcpPorts(policy: AuthorizationPolicy, world: WorldReader): readonly number[] {
  const namespace = namespaceOf(policy);
  const pods = namespace === rootNamespace ? world.all("Pod") : world.inNamespace("Pod", namespace);
  const ports = pods.flatMap((pod) => {
    const of = workload(pod);
    if (of.proxy !== "sidecar" || !selects(policy, of)) return [];
    return inboundPorts(of, world.inNamespace("Service", of.namespace)).flatMap(({ port, servicePort }) => (servicePort.protocol === "tcp" ? [port] : []));
  });
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** Status of Gateway API's kinds, with the conditions and reasons of its specification. */
import { admits, hostnamesOn, refersTo } from "#compile/mesh/gateway.ts";
import { askedAddresses, frontOf, hasOwnAddress, isOurs, isServed, refusalOf } from "#compile/mesh/gateway-address.ts";
import { certificateIn, isProblem, listenerCertificate, type RefProblem } from "#compile/mesh/gateway-certificate.ts";
import { backendProblem, isGatewayParent, isServiceParent, parentNamespace, serviceParents } from "#compile/mesh/http-route.ts";
import { gatewayController, ingressGateway } from "#compile/mesh/settings.ts";
import { gatewayFields, httpRouteFields, unsupportedFields } from "#compile/mesh/supported.ts";
import { regexProblem } from "#compile/mesh/regex.ts";
import type { Gateway, GatewayClass, GatewayListener, HTTPRoute, ParentReference } from "#model/gateway-api.ts";
import { objectKey } from "#model/object.ts";
import type { WorldReader } from "#model/world.ts";
import { notHttpFindings } from "./destinations.ts";
import { gatewayFeatures } from "./supported-features.ts";
import { unreachedFindings } from "./unreached.ts";
import { fails, holds, type PlainCondition } from "./condition.ts";
import { formatFinding, invalid, reference, unsupported, type Finding } from "./finding.ts";

/** Also the name under which Istio's class asks for a controller, so that its manifests work unchanged. */
const controllers = new Set([gatewayController, "istio.io/gateway-controller"]);

export function gatewayClassStatus({ spec }: GatewayClass): object | undefined {
  if (!controllers.has(spec.controllerName)) return undefined;
  return { conditions: [holds("Accepted")], supportedFeatures: gatewayFeatures.map((name) => ({ name })) };
}

export function gatewayFindings(gateway: Gateway, world: WorldReader): readonly Finding[] {
  if (!isOurs(gateway)) return [];
  const fields = unsupportedFields(gateway.spec, gatewayFields, "spec").map((field) =>
    /^spec\.listeners\[\d+\]\.(tls\.mode|protocol)$/.test(field)
      ? unsupported(field, "is not supported yet, so this listener is not served")
      : unsupported(field),
  );
  const certificates = gateway.spec.listeners.flatMap((listener, i) => {
    const found = certificateProblem(gateway, listener, world);
    return found === undefined
      ? []
      : [reference(`spec.listeners[${i}].tls.certificateRefs[0]`, found.reason, `${found.problem}, so this listener is not served`)];
  });
  return [...fields, ...certificates, ...unreachedFindings("Gateway", gateway, world)];
}

function certificateProblem(gateway: Gateway, listener: GatewayListener, world: WorldReader): RefProblem | undefined {
  if (listener.protocol !== "HTTPS" || !isServed(listener)) return undefined;
  const ref = listenerCertificate(gateway, listener, world);
  if ("problem" in ref) return ref;
  const certificate = certificateIn(ref.secret, world.get("Secret", ref.secret));
  return isProblem(certificate) ? { reason: "InvalidCertificateRef", problem: certificate.problem } : undefined;
}

export function gatewayStatus(gateway: Gateway, world: WorldReader): object | undefined {
  if (!isOurs(gateway)) return undefined;
  const addresses = addressesOf(gateway, world);
  return {
    addresses: addresses.map((value) => ({ type: "IPAddress", value })),
    conditions: [acceptanceOf(gateway, world), programmedOf(gateway, addresses, world)],
    listeners: gateway.spec.listeners.map((listener) => listenerStatus(gateway, listener, world)),
  };
}

/** A Gateway is accepted with what is valid of it; its reason says when that is not all. */
function acceptanceOf(gateway: Gateway, world: WorldReader): PlainCondition {
  const { listeners } = gateway.spec;
  const refusal = refusalOf(gateway);
  if (refusal !== undefined) return fails("Accepted", refusal.reason, refusal.message);
  const message = gatewayFindings(gateway, world).map(formatFinding).join("; ");
  const isValid = (listener: GatewayListener): boolean => isServed(listener) && certificateProblem(gateway, listener, world) === undefined;
  if (!listeners.some(isValid)) return fails("Accepted", "ListenersNotValid", message);
  return holds("Accepted", listeners.every(isServed) ? "Accepted" : "ListenersNotValid", message);
}

function programmedOf(gateway: Gateway, addresses: readonly string[], world: WorldReader): PlainCondition {
  const refusal = refusalOf(gateway);
  if (refusal !== undefined) return fails("Programmed", "Invalid", refusal.message);
  const missing = askedAddresses(gateway).filter((address) => !addresses.includes(address));
  if (missing.length > 0) {
    const has = addresses.length === 0 ? "none yet" : addresses.join(", ");
    return fails("Programmed", "AddressNotUsable", `spec.addresses: ${missing.join(", ")} cannot be had (a Gateway has one address, and this has ${has})`);
  }
  return addresses.length > 0 ? holds("Programmed") : fails("Programmed", "AddressNotAssigned", `${addressSource(gateway, world)} has no address yet`);
}

function addressesOf(gateway: Gateway, world: WorldReader): readonly string[] {
  return (frontOf(gateway, world)?.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []);
}

function addressSource(gateway: Gateway, world: WorldReader): string {
  const front = frontOf(gateway, world);
  if (front !== undefined) return `Service ${objectKey(front)}`;
  return hasOwnAddress(gateway, world) ? "its own Service" : `Service ${ingressGateway.namespace}/${ingressGateway.service}`;
}

function listenerStatus(gateway: Gateway, listener: GatewayListener, world: WorldReader): object {
  const served = isServed(listener);
  const certificate = certificateProblem(gateway, listener, world);
  const attached = world
    .all("HTTPRoute")
    .filter((route) =>
      (route.spec.parentRefs ?? []).some(
        (parent) => refersTo(route, parent, gateway, listener) && admits(route, gateway, listener, world) && hostnamesOn(route, listener.hostname).length > 0,
      ),
    );
  const what = listener.protocol === "HTTPS" ? `tls.mode ${listener.tls?.mode ?? ""}` : `protocol ${listener.protocol}`;
  const why = `${what} is not supported yet; use HTTP, or HTTPS with tls.mode Terminate`;
  const kinds = listener.allowedRoutes?.kinds ?? [];
  const known = kinds.length === 0 || kinds.some(({ kind }) => kind === "HTTPRoute");
  return {
    name: listener.name,
    attachedRoutes: served ? attached.length : 0,
    supportedKinds: served && known ? [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute" }] : [],
    conditions: [
      served ? holds("Accepted") : fails("Accepted", "UnsupportedProtocol", why),
      served && certificate === undefined ? holds("Programmed") : fails("Programmed", "Invalid", certificate?.problem ?? why),
      resolvedRefs(kinds, certificate),
      { ...fails("Conflicted", "NoConflicts", "") },
    ],
  };
}

function resolvedRefs(kinds: readonly { readonly kind: string }[], certificate: RefProblem | undefined): PlainCondition {
  if (certificate !== undefined) return fails("ResolvedRefs", certificate.reason, certificate.problem);
  if (kinds.every(({ kind }) => kind === "HTTPRoute")) return holds("ResolvedRefs");
  return fails("ResolvedRefs", "InvalidRouteKinds", "only routes of kind HTTPRoute are supported");
}

export function httpRouteFindings(route: HTTPRoute, world: WorldReader): readonly Finding[] {
  const isMesh = !(route.spec.parentRefs ?? []).some(isGatewayParent);
  return [...backendFindings(route, world, isMesh), ...ownFindings(route, world)];
}

function backendFindings(route: HTTPRoute, world: WorldReader, isMesh: boolean): readonly Finding[] {
  return (route.spec.rules ?? []).flatMap(({ backendRefs = [] }, i) =>
    backendRefs.flatMap((ref, j) => {
      const problem = backendProblem(route, ref, world, { isMesh });
      return problem === undefined ? [] : [reference(`spec.rules[${i}].backendRefs[${j}]`, problem.reason, problem.message)];
    }),
  );
}

/** Of what the route itself says. */
function ownFindings(route: HTTPRoute, world: WorldReader): readonly Finding[] {
  return [
    ...unsupportedFields(route.spec, httpRouteFields, "spec").map((field) => unsupported(field)),
    ...serviceParents(route).flatMap(({ host, port, index }) => notHttpFindings(host, port, `spec.parentRefs[${index}]`, world)),
    ...(route.spec.rules ?? []).flatMap(({ matches = [] }, i) =>
      matches.flatMap(({ path, headers = [], queryParams = [] }, j) =>
        [path, ...headers, ...queryParams].flatMap((part) => {
          const problem = part?.type === "RegularExpression" ? regexProblem(part.value ?? "") : undefined;
          return problem === undefined
            ? []
            : [invalid(`spec.rules[${i}].matches[${j}]`, `has an expression that cannot be read, so it holds for no request: ${problem}`)];
        }),
      ),
    ),
  ];
}

export function httpRouteStatus(route: HTTPRoute, world: WorldReader): object {
  const partly = ownFindings(route, world);
  const partial = partly.length === 0 ? [] : [holds("PartiallyInvalid", "UnsupportedValue", partly.map(formatFinding).join("; "))];
  const parents = (route.spec.parentRefs ?? []).flatMap((parentRef) => {
    const accepted = acceptance(route, parentRef, world);
    if (accepted === undefined) return [];
    const conditions = [accepted, resolvedBackends(backendFindings(route, world, isServiceParent(parentRef))), ...partial];
    return [{ parentRef, controllerName: gatewayController, conditions }];
  });
  return { parents };
}

function resolvedBackends(missing: readonly Finding[]): PlainCondition {
  const [first] = missing;
  return first === undefined ? holds("ResolvedRefs") : fails("ResolvedRefs", first.reason, missing.map(formatFinding).join("; "));
}

/** undefined: the parent is another controller's. */
function acceptance(route: HTTPRoute, parent: ParentReference, world: WorldReader): PlainCondition | undefined {
  const key = `${parentNamespace(route, parent)}/${parent.name}`;
  if (isServiceParent(parent)) {
    const service = world.get("Service", key);
    if (service === undefined) return fails("Accepted", "NoMatchingParent", `Service ${key} does not exist`);
    const ports = (service.spec.ports ?? []).map(({ port }) => port);
    if (parent.port !== undefined && !ports.includes(parent.port))
      return fails("Accepted", "NoMatchingParent", `Service ${key} has no port ${parent.port} (it has ${ports.join(", ")})`);
    return holds("Accepted");
  }
  if (!isGatewayParent(parent)) return undefined;
  const gateway = world.get("Gateway", key);
  if (gateway === undefined) return fails("Accepted", "NoMatchingParent", `Gateway ${key} does not exist`);
  if (!isOurs(gateway)) return undefined;
  const named = gateway.spec.listeners.filter((listener) => refersTo(route, parent, gateway, listener));
  if (named.length === 0)
    return fails("Accepted", "NoMatchingParent", `Gateway ${key} has no such listener (it has ${gateway.spec.listeners.map(({ name }) => name).join(", ")})`);
  const open = named.filter((listener) => admits(route, gateway, listener, world));
  if (open.length === 0)
    return fails(
      "Accepted",
      "NotAllowedByListeners",
      `allowedRoutes of Gateway ${key} does not let in HTTPRoutes of namespace ${route.metadata.namespace ?? ""}`,
    );
  if (!open.some((listener) => hostnamesOn(route, listener.hostname).length > 0)) {
    return fails("Accepted", "NoMatchingListenerHostname", `no listener of Gateway ${key} serves ${(route.spec.hostnames ?? []).join(", ")}`);
  }
  return holds("Accepted");
}

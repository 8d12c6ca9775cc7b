/**
 * What Weft says about resources: conditions on their status, and warnings when they are applied. Pure: the same World gives
 * the same words, and times are added by whoever writes them (`withTimes`). What is found here is what the compilers do: both
 * ask compile/mesh.
 */
import type { KindId } from "#model/kinds.ts";
import { findKind } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { Service } from "#model/core.ts";
import type { WorldReader } from "#model/world.ts";
import type { AuthorizationPolicy, DestinationRule, IstioGateway, PeerAuthentication, VirtualService } from "#model/istio.ts";
import type { Gateway, GatewayClass, HTTPRoute } from "#model/gateway-api.ts";
import { portProtocol } from "#compile/mesh/protocol.ts";
import { withTimes } from "./condition.ts";
import { formatFinding, unsupported, type Finding } from "./finding.ts";
import { gatewayClassStatus, gatewayFindings, gatewayStatus, httpRouteFindings, httpRouteStatus } from "./gateway-status.ts";
import {
  authorizationPolicyFindings,
  destinationRuleFindings,
  istioGatewayFindings,
  peerAuthenticationFindings,
  virtualServiceFindings,
} from "./istio-findings.ts";
import { istioStatus } from "./istio-status.ts";

export { withTimes };

/** Findings about one object as it would be in this World. */
export function findingsOf(kind: KindId, object: KubeObject, world: WorldReader): readonly Finding[] {
  switch (kind) {
    case "VirtualService":
      return virtualServiceFindings(object as VirtualService, world);
    case "DestinationRule":
      return destinationRuleFindings(object as DestinationRule, world);
    case "IstioGateway":
      return istioGatewayFindings(object as IstioGateway, world);
    case "PeerAuthentication":
      return peerAuthenticationFindings(object as PeerAuthentication, world);
    case "AuthorizationPolicy":
      return authorizationPolicyFindings(object as AuthorizationPolicy, world);
    case "Gateway":
      return gatewayFindings(object as Gateway, world);
    case "HTTPRoute":
      return httpRouteFindings(object as HTTPRoute, world);
    case "Service":
      return serviceFindings(object as Service);
    default:
      return [];
  }
}

/** The status that the object should have, without times; undefined: the status is not ours to write. */
export function statusOf(kind: KindId, object: KubeObject, world: WorldReader): object | undefined {
  switch (kind) {
    case "VirtualService":
    case "DestinationRule":
    case "IstioGateway":
    case "PeerAuthentication":
    case "AuthorizationPolicy":
      return istioStatus(object, findingsOf(kind, object, world));
    case "GatewayClass":
      return gatewayClassStatus(object as GatewayClass);
    case "Gateway":
      return gatewayStatus(object as Gateway, world);
    case "HTTPRoute":
      return httpRouteStatus(object as HTTPRoute, world);
    default:
      return undefined;
  }
}

/** What the API server tells whoever applies this object: kubectl prints each as a line. */
export function warnings(object: KubeObject, world: WorldReader): readonly string[] {
  const kind = findKind(object.apiVersion, object.kind)?.id;
  if (kind === undefined) return [];
  return findingsOf(kind, object, withObject(world, kind, object))
    .filter(({ about }) => about !== "workload")
    .map(formatFinding);
}

/** The World as it will be once the object is stored. */
function withObject(world: WorldReader, kind: KindId, object: KubeObject): WorldReader {
  const key = objectKey(object);
  const replaced = (objects: readonly KubeObject[]): readonly KubeObject[] =>
    [...objects.filter((each) => objectKey(each) !== key), object].sort((a, b) => (objectKey(a) < objectKey(b) ? -1 : 1));
  return {
    get: (k, each) => (k === kind && each === key ? object : world.get(k, each)) as ReturnType<typeof world.get<typeof k>>,
    all: (k) => (k === kind ? replaced(world.all(k)) : world.all(k)) as ReturnType<typeof world.all<typeof k>>,
    inNamespace: (k, namespace) =>
      (k === kind && object.metadata.namespace === namespace ? replaced(world.inNamespace(k, namespace)) : world.inNamespace(k, namespace)) as ReturnType<
        typeof world.inNamespace<typeof k>
      >,
  };
}

/** Services have no status of the mesh; what their ports cannot have is said when they are applied. */
function serviceFindings({ spec }: Service): readonly Finding[] {
  return (spec.ports ?? []).flatMap((port, i) => {
    const { degraded, field } = portProtocol(port);
    return degraded
      ? [unsupported(`spec.ports[${i}].${field ?? "name"}`, "HTTP/2 is carried as TCP: routes and rules about HTTP have no effect on this port")]
      : [];
  });
}

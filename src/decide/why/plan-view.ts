/** A proxy's plan as messages again: exactly what the proxy is sent. */
import { fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { XDS_TYPES, type ProxyPlan } from "#model/plan/proxy-plan.ts";
import { ClusterSchema, type Cluster } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema, type ClusterLoadAssignment } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema, type Listener } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema, type RouteConfiguration } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";

export interface PlanView {
  listener(name: string): Listener | undefined;
  listeners(): readonly Listener[];
  routes(name: string): RouteConfiguration | undefined;
  cluster(name: string): Cluster | undefined;
  endpoints(name: string): ClusterLoadAssignment | undefined;
}

export function planView({ resources }: ProxyPlan): PlanView {
  const decode = <D extends DescMessage>(schema: D, type: string, name: string): MessageShape<D> | undefined => {
    const resource = resources.get(type)?.get(name);
    return resource === undefined ? undefined : fromBinary(schema, resource.bytes);
  };
  return {
    listener: (name) => decode(ListenerSchema, XDS_TYPES.listener, name),
    listeners: () => [...(resources.get(XDS_TYPES.listener)?.keys() ?? [])].flatMap((name) => decode(ListenerSchema, XDS_TYPES.listener, name) ?? []),
    routes: (name) => decode(RouteConfigurationSchema, XDS_TYPES.routes, name),
    cluster: (name) => decode(ClusterSchema, XDS_TYPES.cluster, name),
    endpoints: (name) => decode(ClusterLoadAssignmentSchema, XDS_TYPES.endpoints, name),
  };
}

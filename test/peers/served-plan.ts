/** A plan of the mesh compilers, as one machine without pods can serve it: addresses are moved to loopback, nothing else. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { KeyPair } from "#ca/ca.ts";
import { type EncodedResource, type ProxyPlan, type ProxyPlans, XDS_TYPES } from "#model/plan/proxy-plan.ts";
import { ClusterLoadAssignmentSchema } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { SecretSchema } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";

/** Where the endpoint at this address is served on this machine. */
export type PortOf = (ip: string) => number;

export function onLoopback(plan: ProxyPlan, portOf: PortOf): ProxyPlan {
  const resources = new Map(plan.resources);
  resources.set(XDS_TYPES.listener, changed(plan.resources.get(XDS_TYPES.listener), movedListener));
  resources.set(
    XDS_TYPES.endpoints,
    changed(plan.resources.get(XDS_TYPES.endpoints), (bytes) => movedEndpoints(bytes, portOf)),
  );
  return { resources };
}

function changed(resources: ReadonlyMap<string, EncodedResource> | undefined, change: (bytes: Uint8Array) => Uint8Array): Map<string, EncodedResource> {
  return new Map([...(resources ?? [])].map(([name, { version, bytes }]) => [name, { name, version, bytes: change(bytes) }]));
}

function movedListener(bytes: Uint8Array): Uint8Array {
  const listener = fromBinary(ListenerSchema, bytes);
  const address = listener.address?.address;
  if (address?.case === "socketAddress") {
    address.value.address = "127.0.0.1";
    address.value.portSpecifier = { case: "portValue", value: 0 };
  }
  return toBinary(ListenerSchema, listener);
}

function movedEndpoints(bytes: Uint8Array, portOf: PortOf): Uint8Array {
  const assignment = fromBinary(ClusterLoadAssignmentSchema, bytes);
  for (const { lbEndpoints } of assignment.endpoints)
    for (const { hostIdentifier } of lbEndpoints) {
      const address = hostIdentifier.case === "endpoint" ? hostIdentifier.value.address?.address : undefined;
      if (address?.case !== "socketAddress") continue;
      address.value.portSpecifier = { case: "portValue", value: portOf(address.value.address) };
      address.value.address = "127.0.0.1";
    }
  return toBinary(ClusterLoadAssignmentSchema, assignment);
}

/** With the identity that an agent would serve. */
export function withIdentity(plan: ProxyPlan, { certificate, privateKey }: KeyPair, root: string): ProxyPlan {
  const inline = (value: string) => ({ specifier: { case: "inlineString" as const, value } });
  const own = create(SecretSchema, {
    name: "default",
    type: { case: "tlsCertificate", value: { certificateChain: inline(certificate), privateKey: inline(privateKey) } },
  });
  const roots = create(SecretSchema, { name: "ROOTCA", type: { case: "validationContext", value: { trustedCa: inline(root) } } });
  const secrets = [own, roots].map((secret): [string, EncodedResource] => [
    secret.name,
    { name: secret.name, version: "1", bytes: toBinary(SecretSchema, secret) },
  ]);
  return withResources(plan, XDS_TYPES.secret, secrets);
}

export function withResources(plan: ProxyPlan, typeUrl: string, resources: Iterable<readonly [string, EncodedResource]>): ProxyPlan {
  return { resources: new Map([...plan.resources, [typeUrl, new Map([...(plan.resources.get(typeUrl) ?? []), ...resources])]]) };
}

/** The plan of every proxy; a new one is pushed at once. */
export class OnePlan implements ProxyPlans {
  #plan: ProxyPlan;
  readonly #listeners = new Set<() => void>();
  constructor(plan: ProxyPlan) {
    this.#plan = plan;
  }
  planOf(): ProxyPlan {
    return this.#plan;
  }
  onChange(changed: () => void): { close(): void } {
    this.#listeners.add(changed);
    return { close: () => void this.#listeners.delete(changed) };
  }
  set(plan: ProxyPlan): void {
    this.#plan = plan;
    for (const listener of this.#listeners) listener();
  }
}

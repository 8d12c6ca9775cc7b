/** Small Envoy messages that many resources contain. */
import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack, type Any } from "@bufbuild/protobuf/wkt";
import { formatProvenance, type Provenance } from "#model/provenance.ts";
import { AddressSchema, type Address } from "#wire/envoy/gen/envoy/config/core/v3/address_pb.ts";
import { MetadataSchema, type Metadata } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { ApiVersion, ConfigSourceSchema, type ConfigSource } from "#wire/envoy/gen/envoy/config/core/v3/config_source_pb.ts";

export function any<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Any {
  return anyPack(schema, create(schema, init));
}

/** `{ name, typed_config }`, the shape of every extension. */
export function extension<D extends DescMessage>(name: string, schema: D, init: MessageInitShape<D>) {
  return { name, configType: { case: "typedConfig", value: any(schema, init) } } as const;
}

export function socketAddress(address: string, port: number): Address {
  return create(AddressSchema, { address: { case: "socketAddress", value: { address, portSpecifier: { case: "portValue", value: port } } } });
}

/** Where a part of the configuration came from: `weft.dev: { by }`, and, where two objects decide, what else did. */
export function provenanceMetadata(by: Provenance, more: Readonly<Record<string, Provenance | undefined>> = {}): Metadata {
  const others = Object.entries(more).flatMap(([key, other]) => (other === undefined ? [] : [[key, formatProvenance(other)] as const]));
  return create(MetadataSchema, { filterMetadata: { "weft.dev": { by: formatProvenance(by), ...Object.fromEntries(others) } } });
}

/** All resources of a proxy, its secrets too, come over one aggregated stream. */
export function ads(): ConfigSource {
  return create(ConfigSourceSchema, { configSourceSpecifier: { case: "ads", value: {} }, resourceApiVersion: ApiVersion.V3 });
}

export function durationOf(ms: number): { readonly seconds: bigint; readonly nanos: number } {
  const whole = Math.floor(ms / 1000);
  return { seconds: BigInt(whole), nanos: Math.round((ms - whole * 1000) * 1e6) };
}

/**
 * The two variants of the xDS transport as bytes: delta (incremental) and state of the world. A resource is encoded once,
 * already framed as a field of the response; a response is its head and those bytes, joined: protobuf messages may be
 * concatenated. So a cluster that a thousand proxies see is encoded once.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "#wire/envoy/gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { Subscription, Update } from "./subscription.ts";

export interface XdsRequest {
  readonly typeUrl: string;
  readonly nonce: string;
  /** Of the update that the nonce names. */
  readonly error: string | undefined;
  /** Puts what the request says about names into the subscription. */
  subscribe(subscription: Subscription): void;
}

export interface Dialect {
  readonly name: "delta" | "state of the world";
  /** Throws on bytes that are no request. */
  parse(message: Uint8Array): XdsRequest;
  /** `current` is all that the client has after this update; a state of the world repeats it. */
  encode(typeUrl: string, nonce: string, update: Update, current: readonly EncodedResource[]): Uint8Array;
}

const CONTROL_PLANE = { identifier: "weft" };

const deltaFields = new WeakMap<EncodedResource, Uint8Array>();
const worldFields = new WeakMap<EncodedResource, Uint8Array>();

export const delta: Dialect = {
  name: "delta",
  parse(message) {
    const request = fromBinary(DeltaDiscoveryRequestSchema, message);
    return {
      typeUrl: request.typeUrl,
      nonce: request.responseNonce,
      error: request.errorDetail?.message,
      subscribe(subscription) {
        subscription.change({
          subscribe: request.resourceNamesSubscribe,
          unsubscribe: request.resourceNamesUnsubscribe,
          initialVersions: request.initialResourceVersions,
        });
      },
    };
  },
  encode(typeUrl, nonce, update) {
    const head = toBinary(
      DeltaDiscoveryResponseSchema,
      create(DeltaDiscoveryResponseSchema, { typeUrl, nonce, removedResources: [...update.removed], controlPlane: CONTROL_PLANE }),
    );
    const field = (resource: EncodedResource): Uint8Array =>
      cached(deltaFields, resource, () => {
        const { name, version, bytes } = resource;
        return toBinary(
          DeltaDiscoveryResponseSchema,
          create(DeltaDiscoveryResponseSchema, { resources: [{ name, version, resource: { typeUrl, value: bytes } }] }),
        );
      });
    return Buffer.concat([head, ...update.upserts.map(field)]);
  },
};

export const stateOfTheWorld: Dialect = {
  name: "state of the world",
  parse(message) {
    const request = fromBinary(DiscoveryRequestSchema, message);
    return {
      typeUrl: request.typeUrl,
      nonce: request.responseNonce,
      error: request.errorDetail?.message,
      subscribe(subscription) {
        // A request that answers an update older than the last one is stale: the names in it may be, too.
        if (request.responseNonce === subscription.lastNonce || request.responseNonce === "") subscription.replace(request.resourceNames);
      },
    };
  },
  encode(typeUrl, nonce, _update, current) {
    const versionInfo = versionOf(current);
    const head = toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, { versionInfo, typeUrl, nonce, controlPlane: CONTROL_PLANE }));
    const field = (resource: EncodedResource): Uint8Array =>
      cached(worldFields, resource, () =>
        toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, { resources: [{ typeUrl, value: resource.bytes }] })),
      );
    return Buffer.concat([head, ...current.map(field)]);
  },
};

function cached(fields: WeakMap<EncodedResource, Uint8Array>, resource: EncodedResource, encode: () => Uint8Array): Uint8Array {
  let bytes = fields.get(resource);
  if (bytes === undefined) fields.set(resource, (bytes = encode()));
  return bytes;
}

/** The same set of resources has the same version, whichever process serves it (FNV-1a, 32 bits, twice). */
function versionOf(resources: readonly EncodedResource[]): string {
  let a = 0x811c9dc5;
  let b = 0x01000193;
  for (const { name, version } of resources) {
    for (const character of `${name}\0${version}\0`) {
      const code = character.charCodeAt(0);
      a = Math.imul(a ^ code, 0x01000193) >>> 0;
      b = Math.imul(b ^ code, 0x85ebca6b) >>> 0;
    }
  }
  return a.toString(16).padStart(8, "0") + b.toString(16).padStart(8, "0");
}

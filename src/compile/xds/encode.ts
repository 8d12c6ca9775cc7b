/** A message as the resource that is sent: encoded once, with the hash of its bytes as version. */
import { createHash } from "node:crypto";
import { toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import type { Provenance } from "#model/provenance.ts";

export function encodeResource<D extends DescMessage>(schema: D, name: string, message: MessageShape<D>, by?: Provenance): EncodedResource {
  const bytes = toBinary(schema, message);
  const version = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  return by === undefined ? { name, version, bytes } : { name, version, bytes, by };
}

export function sameResource(a: EncodedResource | undefined, b: EncodedResource | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.name === b.name && a.version === b.version);
}

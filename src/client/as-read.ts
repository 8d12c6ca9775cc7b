/** What a server's objects are made of before anybody here reads them, however they came: in a list, alone, or by a watch. */
import { KINDS, storedApiVersion, type KindId } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";

/** Items of a list come without their own kind. */
export function withKind<T extends KubeObject>(kind: KindId, object: T): T {
  const info = KINDS[kind];
  return { ...object, apiVersion: storedApiVersion(info), kind: info.kind };
}

/** An API server written in Go says null for a list that is empty: only slices of endpoints have lists that are never left out. */
export function asRead<T extends KubeObject>(kind: KindId, object: T): T {
  const complete = withKind(kind, object);
  if (kind !== "EndpointSlice") return complete;
  const { endpoints, ports } = complete as T & { readonly endpoints?: unknown; readonly ports?: unknown };
  return { ...complete, endpoints: endpoints ?? [], ports: ports ?? [] };
}

/** PATCH in its four kinds. */
import { isRecord } from "#model/decode.ts";
import type { KubeObject } from "#model/object.ts";
import { keyOf } from "#model/object.ts";
import { applyConfiguration, type ApplyConflict } from "./apply/apply.ts";
import { account, type Writer } from "./apply/managed-fields.ts";
import { fieldsOf, ownable } from "./apply/field-set.ts";
import { notTooDeep, type Body } from "./body.ts";
import { applyJsonPatch, PatchError } from "./patch/json-patch.ts";
import { applyMergePatch } from "./patch/merge-patch.ts";
import { applyStrategicMergePatch } from "./patch/strategic-merge-patch.ts";
import { timestamp, type Call, type Place, type Registry, type WriteOptions } from "./registry.ts";
import { ApiError, badRequest } from "./status.ts";

export interface PatchRequest {
  readonly place: Place;
  readonly name: string;
  readonly subresource: "status" | undefined;
  readonly force: boolean;
  /** The manager was named by the client; apply needs that. */
  readonly namesManager: boolean;
}

/** The document that a patch of a JSON kind makes of another. */
export function patched(place: Place, document: unknown, { mediaType, value }: Body): unknown {
  try {
    switch (mediaType) {
      case "application/json-patch+json":
        return notTooDeep(applyJsonPatch(document, value));
      case "application/merge-patch+json":
        if (!isRecord(value)) throw badRequest("a merge patch must be an object");
        return applyMergePatch(document, value);
      case "application/strategic-merge-patch+json":
        if (place.info.builtIn) return applyStrategicMergePatch(document, value, place.info.schema);
        break;
    }
  } catch (error) {
    if (error instanceof RangeError) throw badRequest("error decoding patch: what it makes is nested too deeply");
    if (!(error instanceof PatchError)) throw error;
    throw error.malformed
      ? badRequest(`error decoding patch: ${error.message}`)
      : new ApiError("Invalid", `the server rejected our request due to an error in our request: ${error.message}`);
  }
  const types = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
    ...(place.info.builtIn ? ["application/strategic-merge-patch+json"] : []),
  ];
  throw new ApiError("UnsupportedMediaType", `the body of the request was in an unknown format - accepted media types include: ${types.join(", ")}`);
}

export function patchObject(registry: Registry, request: PatchRequest, body: Body, call: Call): { readonly object: KubeObject; readonly created: boolean } {
  if (body.mediaType === "application/apply-patch+yaml") return applyObject(registry, request, body.value, call);
  const { place, name, subresource } = request;
  const current = registry.encode(place, registry.get(place, name));
  const next = patched(place, current, body);
  return { object: registry.update(place, name, next, call, { subresource }), created: false };
}

function applyObject(registry: Registry, request: PatchRequest, config: unknown, call: Call): { readonly object: KubeObject; readonly created: boolean } {
  const { place, name, subresource } = request;
  if (!request.namesManager) throw badRequest("fieldManager is required for apply patch");
  if (!isRecord(config) || config["apiVersion"] === undefined || config["kind"] === undefined)
    throw badRequest("an apply configuration needs apiVersion and kind");
  const given = isRecord(config["metadata"]) ? config["metadata"] : {};
  if ((given["managedFields"] ?? []) instanceof Array && (given["managedFields"] as readonly unknown[] | undefined)?.length) {
    throw badRequest("metadata.managedFields must be nil");
  }
  const decoded = registry.decode(place, { ...config, metadata: { ...given, name: given["name"] ?? name } }, call);
  if (decoded.metadata.name !== name) throw badRequest(`the name of the object (${decoded.metadata.name}) does not match the name on the URL (${name})`);
  const writer: Writer = {
    manager: call.fieldManager,
    apiVersion: registry.encode(place, decoded).apiVersion,
    time: timestamp(registry.clock.now()),
    subresource,
  };
  const live = registry.store.get(place.info.id, keyOf(place.namespace, name));
  if (live === undefined) {
    if (subresource !== undefined) registry.get(place, name);
    const set = fieldsOf(place.info.schema, ownable(decoded));
    const managedFields = account([], writer, "Apply", { gained: set, existing: set, replaces: true });
    return { object: registry.create(place, toVersion(registry, place, decoded), call, { managedFields }), created: true };
  }
  const part = subresource === "status" ? onlyStatus(decoded) : decoded;
  const applied = applyConfiguration(place.info, live, part, writer, request.force);
  if (isConflicts(applied)) throw applyConflict(applied);
  const { resourceVersion } = decoded.metadata;
  const object = resourceVersion === undefined ? applied.object : { ...applied.object, metadata: { ...applied.object.metadata, resourceVersion } };
  const options: WriteOptions = { subresource, managedFields: applied.managedFields };
  const quiet: Call = { ...call, fieldValidation: "Ignore" };
  return { object: registry.update(place, name, toVersion(registry, place, object), { ...quiet, warn: (text) => call.warn(text) }, options), created: false };
}

function isConflicts(value: object): value is readonly ApplyConflict[] {
  return Array.isArray(value);
}

function toVersion(registry: Registry, place: Place, object: KubeObject): KubeObject {
  return registry.encode(place, object);
}

function onlyStatus(object: KubeObject): KubeObject {
  const { apiVersion, kind, metadata, status } = object as KubeObject & { readonly status?: unknown };
  return { apiVersion, kind, metadata: { name: metadata.name }, ...(status === undefined ? {} : { status }) } as KubeObject;
}

/** In Kubernetes' words; kubectl passes them on and explains what to do. */
function applyConflict(conflicts: readonly ApplyConflict[]): ApiError {
  const fields = new Map<string, string[]>();
  for (const { by, field } of conflicts) fields.set(by, [...(fields.get(by) ?? []), field]);
  const [only] = conflicts.length === 1 ? conflicts : [];
  const listed = [...fields].map(([by, paths]) => [`conflicts with ${by}:`, ...paths.map((path) => `- ${path}`)].join("\n"));
  const what = only === undefined ? listed.join("\n") : `conflict with ${only.by}: ${only.field}`;
  const causes = conflicts.map(({ by, field }) => ({ reason: "FieldManagerConflict", message: `conflict with ${by}`, field }));
  return new ApiError("Conflict", `Apply failed with ${conflicts.length} conflict${conflicts.length === 1 ? "" : "s"}: ${what}`, { causes });
}

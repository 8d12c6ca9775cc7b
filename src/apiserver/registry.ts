/**
 * Reads and writes of objects as the REST API means them: decode, default, admit, allocate, validate, store. Everything
 * from reading the old object to storing the new one happens in one turn, so writes are serialised.
 */
import type { Clock } from "#host/clock.ts";
import type { Random } from "#host/random.ts";
import { structurallyEqual } from "#lib/equal.ts";
import type { Namespace } from "#model/core.ts";
import { decodeObject, isRecord } from "#model/decode.ts";
import { withDefaults } from "#model/defaults.ts";
import { storedApiVersion, type KindInfo } from "#model/kinds.ts";
import { keyOf, objectKey, type KubeObject, type ObjectMeta } from "#model/object.ts";
import { forbidden, type Problem } from "#model/problem.ts";
import { validate } from "#model/validate.ts";
import type { Admission, AdmissionContext, Operation } from "./admission.ts";
import type { ServiceAllocator } from "./allocate.ts";
import { trackUpdate } from "./apply/managed-fields.ts";
import type { User } from "./authorization.ts";
import { ApiError, alreadyExists, badRequest, conflict, invalid, notFound } from "./status.ts";
import type { Store } from "./store.ts";

/** How a request wants its write done. */
export interface Call {
  readonly user: User;
  readonly fieldManager: string;
  readonly fieldValidation: "Ignore" | "Warn" | "Strict";
  readonly dryRun: boolean;
  /** Fields that the body says twice. */
  readonly duplicates?: readonly string[];
  warn(text: string): void;
}

/** Where an object stands. */
export interface Place {
  readonly info: KindInfo;
  readonly version: string;
  readonly namespace: string | undefined;
}

export interface RegistryParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly admission: readonly Admission[];
  readonly allocator: ServiceAllocator;
}

export interface WriteOptions {
  readonly subresource?: "status" | "finalize" | "scale" | undefined;
  /** Set by server-side apply, which keeps its own accounts. */
  readonly managedFields?: readonly unknown[];
}

export class Registry {
  readonly store: Store;
  readonly clock: Clock;
  readonly #parts: RegistryParts;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
    this.store = parts.store;
    this.clock = parts.clock;
  }

  get(place: Place, name: string): KubeObject {
    const object = this.store.get(place.info.id, keyOf(place.namespace, name));
    if (object === undefined) throw notFound(place.info, name);
    return object;
  }

  create(place: Place, raw: unknown, call: Call, options: WriteOptions = {}): KubeObject {
    const { info } = place;
    const decoded = this.decode(place, raw, call);
    if ((decoded.metadata.resourceVersion ?? "") !== "") throw badRequest("resourceVersion should not be set on objects to be created");
    const named = { ...decoded, metadata: this.#newMetadata(place, decoded.metadata) };
    const shaped = withDefaults(info, info.hasStatus && info.id !== "Node" ? withoutStatus(named) : named);
    this.#requireNamespace(place, shaped.metadata.name);
    const admitted = this.#admit(place, shaped, undefined, call, "CREATE");
    const object = this.#allocate(info, withDefaults(info, admitted), undefined);
    this.#refuse(info, object, validate(info, object));
    if (this.store.get(info.id, objectKey(object)) !== undefined) throw alreadyExists(info, object.metadata.name);
    const managedFields = options.managedFields ?? trackUpdate(info, undefined, object, this.#manager(place, call, undefined));
    const generation = hasGeneration(info) ? 1 : undefined;
    return this.#store(info, withMetadata(object, { generation, managedFields: managedFields.length > 0 ? managedFields : undefined }), call);
  }

  update(place: Place, name: string, raw: unknown, call: Call, options: WriteOptions = {}): KubeObject {
    const { info } = place;
    const old = this.get(place, name);
    const decoded = this.decode(place, raw, call);
    if (decoded.metadata.name !== name) {
      throw badRequest(`the name of the object (${decoded.metadata.name ?? ""}) does not match the name on the URL (${name})`);
    }
    const { resourceVersion, uid } = decoded.metadata;
    if ((resourceVersion ?? "") !== "" && resourceVersion !== "0" && resourceVersion !== old.metadata.resourceVersion) throw conflict(info, name);
    if (uid !== undefined && uid !== old.metadata.uid) {
      throw conflict(info, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid ?? ""}`);
    }
    const { subresource } = options;
    const isPart = subresource === "status" || subresource === "finalize";
    const merged = isPart ? withPart(decoded, old, subresource) : this.#withOld(place, decoded, old);
    const shaped = withDefaults(info, merged);
    const admitted = isPart ? shaped : this.#admit(place, shaped, old, call, "UPDATE");
    const object = this.#allocate(info, withDefaults(info, admitted), old);
    this.#refuse(info, object, [...finalizerProblems(object, old), ...validate(info, object, old)]);
    return this.#replace(place, object, old, call, options);
  }

  #replace(place: Place, object: KubeObject, old: KubeObject, call: Call, options: WriteOptions): KubeObject {
    const { info } = place;
    const generation = old.metadata.generation ?? 1;
    const counted = hasGeneration(info) ? withMetadata(object, { generation: isSameWish(object, old) ? generation : generation + 1 }) : object;
    const managedFields = options.managedFields ?? trackUpdate(info, old, counted, this.#manager(place, call, options.subresource));
    const next = withMetadata(counted, { managedFields, resourceVersion: old.metadata.resourceVersion });
    const { deletionTimestamp, finalizers = [], deletionGracePeriodSeconds = 0 } = next.metadata;
    if (deletionTimestamp !== undefined && finalizers.length === 0 && deletionGracePeriodSeconds === 0 && !keepsNamespace(info, next)) {
      if (!call.dryRun) this.store.remove(info.id, objectKey(next));
      return next;
    }
    return structurallyEqual(next, old) ? old : this.#store(info, next, call);
  }

  /** Decodes a body sent to this place; unknown fields warn or fail as the caller wants. The result is in the stored version. */
  decode(place: Place, raw: unknown, call: Pick<Call, "fieldValidation" | "duplicates" | "warn">): KubeObject {
    const { info, version } = place;
    if (!isRecord(raw)) throw badRequest(`the body must be an object of kind ${info.kind}`);
    const apiVersion = info.group === "" ? version : `${info.group}/${version}`;
    if (raw["apiVersion"] !== undefined && raw["apiVersion"] !== apiVersion) {
      throw badRequest(`the API version in the data (${shown(raw["apiVersion"])}) does not match the expected API version (${apiVersion})`);
    }
    if (raw["kind"] !== undefined && raw["kind"] !== info.kind) {
      throw badRequest(`the kind in the data (${shown(raw["kind"])}) does not match the expected kind (${info.kind})`);
    }
    const { object, unknown, problems, decodingError } = decodeObject(info, raw);
    const what = `${info.kind} in version ${JSON.stringify(version)} cannot be handled as a ${info.kind}`;
    if (decodingError !== undefined) throw badRequest(`${what}: ${decodingError}`);
    this.#refuse(info, object, problems);
    const texts = [
      ...(call.duplicates ?? []).map((field) => `duplicate field ${JSON.stringify(field)}`),
      ...unknown.map((field) => `unknown field ${JSON.stringify(field)}`),
    ];
    if (texts.length > 0 && call.fieldValidation === "Strict") throw badRequest(`${what}: strict decoding error: ${texts.join(", ")}`);
    if (call.fieldValidation === "Warn") for (const text of texts) call.warn(text);
    return { ...object, apiVersion: storedApiVersion(info), kind: info.kind };
  }

  /** The object as a version that the caller asked for. */
  encode(place: Place, object: KubeObject): KubeObject {
    const { info, version } = place;
    return version === info.versions[0] ? object : { ...object, apiVersion: info.group === "" ? version : `${info.group}/${version}` };
  }

  #newMetadata({ info, namespace }: Place, given: ObjectMeta): ObjectMeta {
    const {
      selfLink: _link,
      deletionTimestamp: _deletion,
      deletionGracePeriodSeconds: _grace,
      generation: _generation,
      ...kept
    } = given as ObjectMeta & { selfLink?: string };
    if (namespace !== undefined && given.namespace !== undefined && given.namespace !== "" && given.namespace !== namespace) {
      throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
    }
    if (info.namespaced && namespace === undefined) throw badRequest("an empty namespace may not be set during creation");
    const name = (given.name ?? "") === "" && (given.generateName ?? "") !== "" ? this.#generateName(info, namespace, given.generateName ?? "") : given.name;
    return {
      ...kept,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid: this.#parts.random.uuid(),
      creationTimestamp: timestamp(this.clock.now()),
    };
  }

  /** As Kubernetes: five characters that form no words, after at most 58 of the prefix. */
  #generateName(info: KindInfo, namespace: string | undefined, prefix: string): string {
    const alphabet = "bcdfghjklmnpqrstvwxz2456789";
    for (let attempt = 0; attempt < 8; attempt++) {
      const suffix = Array.from({ length: 5 }, () => alphabet[Math.floor(this.#parts.random.next() * alphabet.length)]).join("");
      const name = `${prefix.slice(0, 58)}${suffix}`;
      if (this.store.get(info.id, keyOf(namespace, name)) === undefined) return name;
    }
    throw new ApiError(
      "AlreadyExists",
      `${info.plural} ${JSON.stringify(prefix)} already exists, the server was not able to generate a unique name for the object`,
    );
  }

  #requireNamespace({ info, namespace }: Place, name: string): void {
    if (namespace === undefined || !info.namespaced) return;
    const found = this.store.get("Namespace", namespace);
    if (found === undefined) throw new ApiError("NotFound", `namespaces ${JSON.stringify(namespace)} not found`, { name: namespace, kind: "namespaces" });
    if (found.metadata.deletionTimestamp === undefined) return;
    const message = `unable to create new content in namespace ${namespace} because it is being terminated`;
    throw new ApiError("Forbidden", `${info.plural} ${JSON.stringify(name)} is forbidden: ${message}`, {
      name,
      kind: info.plural,
      causes: [{ reason: "NamespaceTerminating", message: `namespace ${namespace} is being terminated`, field: "metadata.namespace" }],
    });
  }

  #admit(place: Place, object: KubeObject, old: KubeObject | undefined, call: Call, operation: Operation): KubeObject {
    const context: AdmissionContext = {
      operation,
      kind: place.info.id,
      namespace: place.namespace,
      namespaceObject: place.namespace === undefined ? undefined : (this.store.get("Namespace", place.namespace) as Namespace | undefined),
      old,
      user: call.user,
      dryRun: call.dryRun,
      warn: (text) => call.warn(text),
    };
    let current = object;
    for (const admit of this.#parts.admission) {
      const result = admit(current, context);
      if (isProblems(result)) this.#refuse(place.info, object, result);
      else current = result;
    }
    return current;
  }

  #allocate(info: KindInfo, object: KubeObject, old: KubeObject | undefined): KubeObject {
    const allocated = this.#parts.allocator.allocate(object, old);
    if (!isProblems(allocated)) return allocated;
    throw invalid(info, object.metadata.name, allocated);
  }

  #refuse(info: KindInfo, object: KubeObject, problems: readonly Problem[]): void {
    if (problems.length > 0) throw invalid(info, object.metadata.name ?? "", problems);
  }

  /** What a client cannot change by an update of the whole object. */
  #withOld(place: Place, object: KubeObject, old: KubeObject): KubeObject {
    const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, namespace, generateName, managedFields } = old.metadata;
    const kept = {
      uid,
      creationTimestamp,
      deletionTimestamp,
      deletionGracePeriodSeconds,
      namespace,
      generateName,
      managedFields,
      generation: old.metadata.generation,
    };
    const metadata: ObjectMeta = { ...object.metadata, ...(present(kept) as Partial<ObjectMeta>) };
    const next = { ...object, metadata };
    if (!place.info.hasStatus) return next;
    const { status } = old as KubeObject & { readonly status?: unknown };
    return { ...withoutStatus(next), ...present({ status }) };
  }

  #manager(place: Place, call: Call, subresource: string | undefined) {
    return {
      manager: call.fieldManager,
      apiVersion: this.encode(place, { apiVersion: storedApiVersion(place.info) } as KubeObject).apiVersion,
      time: timestamp(this.clock.now()),
      subresource,
    };
  }

  #store(info: KindInfo, object: KubeObject, call: Call): KubeObject {
    return call.dryRun ? object : this.store.put(info.id, object);
  }
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** RFC 3339 with seconds, as metav1.Time. */
export function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z");
}

function isProblems(value: KubeObject | readonly Problem[]): value is readonly Problem[] {
  return Array.isArray(value);
}

export function withMetadata(object: KubeObject, fields: Readonly<Record<string, unknown>>): KubeObject {
  return { ...object, metadata: { ...object.metadata, ...present(fields) } };
}

export function present<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function withoutStatus(object: KubeObject): KubeObject {
  const { status: _status, ...rest } = object as KubeObject & { readonly status?: unknown };
  return rest;
}

function withPart(object: KubeObject, old: KubeObject, part: "status" | "finalize"): KubeObject {
  const { status, spec } = object as KubeObject & { readonly status?: unknown; readonly spec?: unknown };
  return part === "status" ? { ...withoutStatus(old), ...present({ status }) } : { ...old, ...present({ spec }) };
}

/** Kinds whose metadata.generation counts changes of what their author wants. */
function hasGeneration(info: KindInfo): boolean {
  return info.id === "EndpointSlice" || (info.schema.properties?.["spec"] !== undefined && !["Namespace", "Node", "Service", "Lease"].includes(info.id));
}

/** Whether all but metadata and status stayed. */
function isSameWish(object: KubeObject, old: KubeObject): boolean {
  const wish = (of: KubeObject): unknown => ({ ...of, metadata: undefined, status: undefined });
  return structurallyEqual(wish(object), wish(old));
}

/** A namespace goes only when its own finalizer is gone too. */
function keepsNamespace(info: KindInfo, object: KubeObject): boolean {
  const { spec } = object as KubeObject & { readonly spec?: { readonly finalizers?: readonly string[] } };
  return info.id === "Namespace" && (spec?.finalizers ?? []).length > 0;
}

function finalizerProblems(object: KubeObject, old: KubeObject): readonly Problem[] {
  if (old.metadata.deletionTimestamp === undefined) return [];
  const added = (object.metadata.finalizers ?? []).filter((finalizer) => old.metadata.finalizers?.includes(finalizer) !== true);
  if (added.length === 0) return [];
  return [
    forbidden(
      "metadata.finalizers",
      `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((each) => JSON.stringify(each)).join(", ")}}`,
    ),
  ];
}

/** Deleting: at once, after a grace period (pods), or when the last finalizer is gone. */
import type { Pod } from "#model/core.ts";
import { isRecord } from "#model/decode.ts";
import { keyOf, objectKey, type KubeObject } from "#model/object.ts";
import { timestamp, withMetadata, type Call, type Place, type Registry } from "./registry.ts";
import { ApiError, badRequest, conflict } from "./status.ts";

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: "Background" | "Foreground" | "Orphan";
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly dryRun?: boolean;
}

/** Query parameters count, and the body (DeleteOptions) before them. */
export function deleteOptions(query: URLSearchParams, body: unknown): DeleteOptions {
  const given = isRecord(body) ? body : {};
  const grace = given["gracePeriodSeconds"] ?? (query.has("gracePeriodSeconds") ? Number(query.get("gracePeriodSeconds")) : undefined);
  const orphan = given["orphanDependents"] === true ? "Orphan" : undefined;
  const policy = given["propagationPolicy"] ?? orphan ?? query.get("propagationPolicy") ?? "Background";
  if (policy !== "Background" && policy !== "Foreground" && policy !== "Orphan") {
    throw badRequest(`propagationPolicy: Unsupported value: ${JSON.stringify(policy)}: supported values: "Background", "Foreground", "Orphan"`);
  }
  if (grace !== undefined && (typeof grace !== "number" || !Number.isInteger(grace))) throw badRequest("gracePeriodSeconds must be a whole number of seconds");
  const { preconditions } = given;
  return {
    propagationPolicy: policy,
    ...(typeof grace === "number" ? { gracePeriodSeconds: grace } : {}),
    ...(isRecord(preconditions) ? { preconditions } : {}),
    ...(Array.isArray(given["dryRun"]) && given["dryRun"].length > 0 ? { dryRun: true } : {}),
  };
}

export interface Deleted {
  readonly object: KubeObject;
  /** false: it goes later (grace period, finalizers). */
  readonly isGone: boolean;
}

export function deleteObject(registry: Registry, place: Place, name: string, options: DeleteOptions, call: Pick<Call, "dryRun">): Deleted {
  const { info } = place;
  const old = registry.get(place, name);
  const { uid, resourceVersion } = options.preconditions ?? {};
  if (uid !== undefined && uid !== old.metadata.uid) {
    throw conflict(info, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid ?? ""}`);
  }
  if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) {
    throw conflict(
      info,
      name,
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${old.metadata.resourceVersion ?? ""}`,
    );
  }
  if (info.id === "Namespace" && ["default", "kube-system"].includes(name)) {
    throw new ApiError("Forbidden", `namespaces ${JSON.stringify(name)} is forbidden: this namespace may not be deleted`, { name, kind: "namespaces" });
  }
  const dryRun = call.dryRun || options.dryRun === true;
  const now = registry.clock.now();
  const marked = mark(old, info.id === "Pod" ? graceOf(old as Pod, options) : 0, options, now);
  if (!stays(marked)) {
    const object = dryRun ? old : (registry.store.remove(info.id, objectKey(old)) ?? old);
    return { object, isGone: true };
  }
  const isSame = JSON.stringify(marked) === JSON.stringify(old);
  return { object: dryRun || isSame ? marked : registry.store.put(info.id, marked), isGone: false };
}

/** Pods that nobody runs go at once. */
function graceOf(pod: Pod, options: DeleteOptions): number {
  const { phase } = pod.status ?? {};
  if (pod.spec.nodeName === undefined || pod.spec.nodeName === "" || phase === "Succeeded" || phase === "Failed") return 0;
  return Math.max(0, options.gracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30);
}

function mark(old: KubeObject, graceSeconds: number, options: DeleteOptions, now: number): KubeObject {
  const finalizers = (old.metadata.finalizers ?? []).filter((name) => name !== "orphan" && name !== "foregroundDeletion");
  if (options.propagationPolicy === "Orphan") finalizers.push("orphan");
  if (options.propagationPolicy === "Foreground") finalizers.push("foregroundDeletion");
  // A deletion in progress keeps how it treats dependents; its grace period can only become shorter.
  const before = old.metadata.deletionGracePeriodSeconds;
  const isDeleting = old.metadata.deletionTimestamp !== undefined;
  const grace = isDeleting && before !== undefined ? Math.min(before, graceSeconds) : graceSeconds;
  const keepsTime = isDeleting && grace === before;
  const generation = old.metadata.generation !== undefined && !isDeleting ? old.metadata.generation + 1 : old.metadata.generation;
  const marked = withMetadata(old, {
    deletionTimestamp: keepsTime ? old.metadata.deletionTimestamp : timestamp(now + grace * 1000),
    deletionGracePeriodSeconds: grace,
    generation,
    ...(isDeleting ? {} : { finalizers: finalizers.length > 0 ? finalizers : undefined }),
  });
  if (marked.kind !== "Namespace") return marked;
  return { ...marked, status: { ...(marked as { status?: object }).status, phase: "Terminating" } } as KubeObject;
}

function stays(object: KubeObject): boolean {
  const { finalizers = [], deletionGracePeriodSeconds = 0 } = object.metadata;
  const { spec } = object as KubeObject & { readonly spec?: { readonly finalizers?: readonly string[] } };
  const isKeptNamespace = object.kind === "Namespace" && (spec?.finalizers ?? []).length > 0;
  return finalizers.length > 0 || deletionGracePeriodSeconds > 0 || isKeptNamespace;
}

/** As an update that removes the last finalizer would do. */
export function removeFinalizer(registry: Registry, place: Place, name: string, finalizer: string): void {
  const object = registry.store.get(place.info.id, keyOf(place.namespace, name));
  if (object?.metadata.finalizers?.includes(finalizer) !== true) return;
  const finalizers = object.metadata.finalizers.filter((each) => each !== finalizer);
  const next: KubeObject = { ...object, metadata: { ...object.metadata, finalizers } };
  if (object.metadata.deletionTimestamp !== undefined && !stays(next)) registry.store.remove(place.info.id, objectKey(object));
  else registry.store.put(place.info.id, next);
}

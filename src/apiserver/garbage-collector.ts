/**
 * What follows a deletion: dependents whose owners are all gone are deleted (background), an owner deleted in the
 * foreground waits for its dependents, an orphaning one lets them go; a namespace that ends takes its content along.
 * Also gives every namespace its default ServiceAccount. Works from the store's changes, one turn after them.
 */
import type { Clock } from "#host/clock.ts";
import { KINDS, kindIds, type KindId } from "#model/kinds.ts";
import { keyOf, objectKey, type KubeObject } from "#model/object.ts";
import { deleteObject, removeFinalizer, type DeleteOptions } from "./deletion.ts";
import type { Place, Registry } from "./registry.ts";
import type { Change } from "./store.ts";

interface Ref {
  readonly kind: KindId;
  readonly key: string;
}

export class GarbageCollector {
  readonly #registry: Registry;
  readonly #clock: Clock;
  /** Owner's uid -> dependents, as "Kind/key". */
  readonly #dependents = new Map<string, Map<string, Ref>>();
  readonly #uids = new Set<string>();
  readonly #dirty = new Map<string, Ref>();
  #isScheduled = false;
  #isStopped = false;
  readonly #unwatch: () => void;

  constructor(registry: Registry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
    for (const kind of kindIds) for (const object of registry.store.all(kind)) this.#index(kind, undefined, object);
    for (const kind of kindIds) for (const object of registry.store.all(kind)) this.#mark({ kind, key: objectKey(object) });
    this.#unwatch = registry.store.watch((change) => this.#seen(change));
  }

  stop(): void {
    this.#isStopped = true;
    this.#unwatch();
  }

  #seen(change: Change): void {
    this.#index(change.kind, change.before, change.after);
    this.#mark(change);
    const owner = change.after ?? change.before;
    if (owner === undefined) return;
    // Dependents of what is gone, and owners that wait for what is gone.
    if (change.after === undefined) {
      for (const ref of this.#dependents.get(owner.metadata.uid ?? "")?.values() ?? []) this.#mark(ref);
      for (const reference of owner.metadata.ownerReferences ?? []) this.#markOwner(owner, reference);
      if (owner.metadata.namespace !== undefined) this.#mark({ kind: "Namespace", key: owner.metadata.namespace });
    }
  }

  #markOwner(object: KubeObject, reference: { readonly kind: string; readonly name: string }): void {
    const info = Object.values(KINDS).find((each) => each.kind === reference.kind);
    if (info !== undefined) this.#mark({ kind: info.id, key: keyOf(info.namespaced ? object.metadata.namespace : undefined, reference.name) });
  }

  #index(kind: KindId, before: KubeObject | undefined, after: KubeObject | undefined): void {
    const ref = { kind, key: objectKey((after ?? before) as KubeObject) };
    for (const { uid } of before?.metadata.ownerReferences ?? []) this.#dependents.get(uid)?.delete(`${ref.kind}/${ref.key}`);
    if (after === undefined) {
      this.#uids.delete(before?.metadata.uid ?? "");
      return;
    }
    this.#uids.add(after.metadata.uid ?? "");
    for (const { uid } of after.metadata.ownerReferences ?? []) {
      const refs = this.#dependents.get(uid) ?? new Map<string, Ref>();
      this.#dependents.set(uid, refs.set(`${ref.kind}/${ref.key}`, ref));
    }
  }

  #mark({ kind, key }: Ref): void {
    this.#dirty.set(`${kind}/${key}`, { kind, key });
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.soon(() => this.#run());
  }

  #run(): void {
    this.#isScheduled = false;
    const refs = [...this.#dirty.values()];
    this.#dirty.clear();
    if (this.#isStopped) return;
    for (const ref of refs) {
      const object = this.#registry.store.get(ref.kind, ref.key);
      if (object !== undefined) this.#tend(ref, object);
    }
  }

  #tend(ref: Ref, object: KubeObject): void {
    const { ownerReferences = [], deletionTimestamp, finalizers = [], uid = "" } = object.metadata;
    if (ref.kind === "Namespace") this.#tendNamespace(object);
    if (deletionTimestamp === undefined) {
      const gone = ownerReferences.filter((owner) => !this.#uids.has(owner.uid));
      if (gone.length > 0 && gone.length === ownerReferences.length) this.#delete(ref, { propagationPolicy: "Background" });
      else for (const owner of gone) this.#disown(ref, owner.uid);
      return;
    }
    const dependents = [...(this.#dependents.get(uid)?.values() ?? [])];
    if (finalizers.includes("orphan")) {
      for (const dependent of dependents) this.#disown(dependent, uid);
      removeFinalizer(this.#registry, placeOf(ref, object), object.metadata.name, "orphan");
    } else if (finalizers.includes("foregroundDeletion")) {
      const blocking = dependents.filter((dependent) => this.#blocks(dependent, uid));
      for (const dependent of dependents) {
        const found = this.#registry.store.get(dependent.kind, dependent.key);
        if (found === undefined || found.metadata.deletionTimestamp !== undefined) continue;
        if (found.metadata.ownerReferences?.some((owner) => owner.uid !== uid && this.#uids.has(owner.uid)) === true) this.#disown(dependent, uid);
        else this.#delete(dependent, { propagationPolicy: "Foreground" });
      }
      if (blocking.every((dependent) => this.#registry.store.get(dependent.kind, dependent.key) === undefined)) {
        removeFinalizer(this.#registry, placeOf(ref, object), object.metadata.name, "foregroundDeletion");
      }
    }
  }

  #blocks(dependent: Ref, uid: string): boolean {
    const object = this.#registry.store.get(dependent.kind, dependent.key);
    return object?.metadata.ownerReferences?.some((owner) => owner.uid === uid && owner.blockOwnerDeletion === true) ?? false;
  }

  #disown(dependent: Ref, uid: string): void {
    const object = this.#registry.store.get(dependent.kind, dependent.key);
    if (object === undefined) return;
    const ownerReferences = (object.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
    this.#registry.store.put(dependent.kind, { ...object, metadata: { ...object.metadata, ownerReferences } });
  }

  #delete(ref: Ref, options: DeleteOptions): void {
    const object = this.#registry.store.get(ref.kind, ref.key);
    if (object !== undefined) deleteObject(this.#registry, placeOf(ref, object), object.metadata.name, options, { dryRun: false });
  }

  #tendNamespace(namespace: KubeObject): void {
    const { name, deletionTimestamp } = namespace.metadata;
    if (deletionTimestamp === undefined) {
      this.#ensureServiceAccount(name);
      return;
    }
    let left = 0;
    for (const kind of kindIds) {
      if (!KINDS[kind].namespaced) continue;
      for (const object of [...this.#registry.store.all(kind)]) {
        if (object.metadata.namespace !== name) continue;
        if (object.metadata.deletionTimestamp === undefined) this.#delete({ kind, key: objectKey(object) }, { propagationPolicy: "Background" });
        if (this.#registry.store.get(kind, objectKey(object)) !== undefined) left++;
      }
    }
    if (left > 0) return;
    if ((namespace.metadata.finalizers ?? []).length === 0) this.#registry.store.remove("Namespace", name);
    else this.#registry.store.put("Namespace", { ...namespace, spec: { finalizers: [] } } as KubeObject);
  }

  #ensureServiceAccount(namespace: string): void {
    if (this.#registry.store.get("ServiceAccount", `${namespace}/default`) !== undefined) return;
    const call = {
      user: { name: "system:apiserver", groups: [] },
      fieldManager: "weft-apiserver",
      fieldValidation: "Ignore" as const,
      dryRun: false,
      warn: () => undefined,
    };
    this.#registry.create({ info: KINDS.ServiceAccount, version: "v1", namespace }, { metadata: { name: "default" } }, call);
  }
}

function placeOf(ref: Ref, object: KubeObject): Place {
  const info = KINDS[ref.kind];
  return { info, version: info.versions[0] ?? "v1", namespace: object.metadata.namespace };
}

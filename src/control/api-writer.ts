/** Writes by the API client that return when the World has their result, see Writer. */
import type { Host } from "#host/host.ts";
import { isConflict, isNotFound } from "#client/api-error.ts";
import type { ApiClient, ObjectName } from "#client/client.ts";
import { KINDS } from "#model/kinds.ts";
import type { KindId } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { objectKey } from "#model/object.ts";
import type { Log } from "#run/log.ts";
import type { Writer } from "./control-api.ts";
import type { LiveWorld } from "./live-world.ts";

/** A watch that is this late is broken and being repaired: who waits looks again later. */
const PATIENCE_MS = 2_000;

export function apiWriter(host: Pick<Host, "clock">, parts: { readonly api: ApiClient; readonly world: LiveWorld; readonly log: Log }): Writer {
  const { api, world, log } = parts;

  const heard = async (kind: KindId, object: KubeObject, isThere: (now: KubeObject | undefined) => boolean): Promise<void> => {
    const { done, forget } = world.reached(kind, objectKey(object), isThere);
    const timer = host.clock.after(PATIENCE_MS, forget);
    await done;
    timer.cancel();
  };
  const written = (kind: KindId, result: KubeObject): Promise<void> => heard(kind, result, (now) => now !== undefined && revision(now) >= revision(result));

  /** Somebody else was faster, or the object has gone: the World will say so and the key comes again. */
  const unlessOvertaken = async (kind: KindId, object: KubeObject, write: () => Promise<KubeObject>): Promise<void> => {
    let result: KubeObject;
    try {
      result = await write();
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error;
      log.debug("a write was overtaken", { object: `${kind} ${objectKey(object)}`, error });
      return;
    }
    await written(kind, result);
  };

  return {
    async create(kind, object) {
      await written(kind, await api.create(kind, object));
    },
    patch: (kind, object, patch) => unlessOvertaken(kind, object, () => api.patch(kind, nameOf(object), patch)),
    patchStatus: (kind, object, status) =>
      unlessOvertaken(kind, object, () =>
        api.patch(kind, nameOf(object), { status }, { subresource: "status", type: KINDS[kind].builtIn ? "strategic" : "merge" }),
      ),
    async bind(pod, node) {
      try {
        await api.bind(nameOf(pod), node);
      } catch (error) {
        if (!isConflict(error) && !isNotFound(error)) throw error;
        return;
      }
      await heard("Pod", pod, (now) => now === undefined || now.metadata.uid !== pod.metadata.uid || (now as typeof pod).spec.nodeName === node);
    },
    async remove(kind, object, options = {}) {
      const { uid } = object.metadata;
      try {
        await api.delete(kind, nameOf(object), { ...options, ...(uid === undefined ? {} : { uid }) });
      } catch (error) {
        if (!isConflict(error)) throw error;
        return;
      }
      const isGone = (now: KubeObject | undefined): boolean => now === undefined || now.metadata.uid !== uid || now.metadata.deletionTimestamp !== undefined;
      await heard(kind, object, isGone);
    },
  };
}

function nameOf(object: KubeObject): ObjectName {
  return { name: object.metadata.name, namespace: object.metadata.namespace };
}

/** Opaque by Kubernetes' word, numbers by everybody's deed (etcd's revision). */
function revision(object: KubeObject): number {
  return Number(object.metadata.resourceVersion ?? 0);
}

/** Runs controllers: every change of the World becomes keys, every key a turn of its controller's loop. */
import type { ObjectChange } from "#client/informer.ts";
import type { KindId, Kinds } from "#model/kinds.ts";
import { reconcileLoop } from "#run/reconcile.ts";
import type { ReconcileLoop } from "#run/reconcile.ts";
import type { Controller, ControllerContext } from "./control-api.ts";

export interface ControllerRunner {
  changed(changes: readonly ObjectChange[]): void;
  stop(): Promise<void>;
}

export function runControllers(controllers: readonly Controller[], context: ControllerContext): ControllerRunner {
  const loops = new Map<Controller, ReconcileLoop>();
  for (const controller of controllers) {
    const loop = reconcileLoop({
      name: controller.name,
      host: context.host,
      log: context.log,
      concurrency: controller.concurrency ?? 1,
      reconcile: (key) => controller.reconcile(context, key),
    });
    loops.set(controller, loop);
    for (const key of controller.initially ?? []) loop.add(key);
  }
  return {
    changed(changes) {
      for (const [controller, loop] of loops) {
        for (const { kind, before, after } of changes) {
          // What it was before counts too: it may have belonged to another owner.
          for (const object of [before, after]) if (object !== undefined) for (const key of keysOf(controller, kind, object)) loop.add(key);
        }
      }
    },
    async stop() {
      await Promise.all([...loops.values()].map((loop) => loop.stop()));
    },
  };
}

function keysOf(controller: Controller, kind: KindId, object: Kinds[KindId]): readonly string[] {
  const keys = controller.watches[kind] as ((object: Kinds[KindId]) => readonly string[]) | undefined;
  return keys?.(object) ?? [];
}

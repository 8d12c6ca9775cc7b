/** Plans of proxies as the xDS server wants them, from the incremental compiler: only proxies that are connected are kept current. */
import type { ObjectChange } from "#client/informer.ts";
import { MeshCompiler } from "#compile/xds/mesh-compiler.ts";
import type { WorldChange } from "#compile/world-tables.ts";
import type { ProxyPlan, ProxyPlans } from "#model/plan/proxy-plan.ts";

export class MeshPlans implements ProxyPlans {
  readonly #compiler = new MeshCompiler();
  readonly #listeners = new Set<() => void>();

  apply(changes: readonly ObjectChange[]): void {
    const changed = this.#compiler.apply(
      changes.map(({ kind, key, after }): WorldChange => (after === undefined ? { kind, key } : { kind, key, object: after })),
    );
    if (changed) for (const listener of this.#listeners) listener();
  }

  planOf(proxy: string): ProxyPlan | undefined {
    return this.#compiler.plan(proxy);
  }

  follow(proxy: string): void {
    this.#compiler.follow(proxy);
  }

  unfollow(proxy: string): void {
    this.#compiler.unfollow(proxy);
  }

  onChange(changed: () => void) {
    this.#listeners.add(changed);
    return { close: () => void this.#listeners.delete(changed) };
  }
}

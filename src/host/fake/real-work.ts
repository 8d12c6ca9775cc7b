/**
 * Work that even a simulation gives to real threads: Web Crypto, by which the CA makes keys and signs. Virtual time must
 * stand still until it is done, or its speed would change the history. Counted by async hooks, as no API tells.
 */
import { createHook } from "node:async_hooks";

export class RealWork {
  readonly #running = new Set<number>();
  readonly #hook = createHook({
    init: (id, type) => {
      // Synchronous jobs have the same types, and never an `after`.
      if (type.endsWith("REQUEST") && (new Error("where").stack ?? "").includes("jobPromise")) this.#running.add(id);
    },
    after: (id) => void this.#running.delete(id),
  });

  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  watch(): void {
    this.#hook.enable();
  }

  unwatch(): void {
    this.#hook.disable();
    this.#running.clear();
  }
}

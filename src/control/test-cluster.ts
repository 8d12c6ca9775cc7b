/** For tests: controllers over a World in memory that hears its own writes at once. */
import type { ObjectChange } from "#client/informer.ts";
import { realClock } from "#host/real/clock.ts";
import type { KindId, Kinds } from "#model/kinds.ts";
import { storedApiVersion, KINDS } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { keyOf, objectKey } from "#model/object.ts";
import { silentLog } from "#run/log.ts";
import type { Controller, Writer } from "./control-api.ts";
import { runControllers } from "./controller-runner.ts";
import { LiveWorld } from "./live-world.ts";

export class TestCluster {
  readonly world = new LiveWorld();
  readonly events: string[] = [];
  readonly #runner;
  #revision = 0;

  constructor(controllers: readonly Controller[]) {
    let seed = 1;
    // A small linear congruence: names differ, and are the same in every run.
    const next = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    this.#runner = runControllers(controllers, {
      host: {
        clock: realClock(),
        random: { next, bytes: (length) => new Uint8Array(length), fill: (bytes) => void bytes.fill(0), uuid: () => String(++this.#revision) },
      },
      log: silentLog,
      world: this.world,
      writer: this.#writer(),
      events: { record: (about, event) => void this.events.push(`${about.kind} ${objectKey(about)} ${event.reason}: ${event.message}`) },
    });
  }

  put<K extends KindId>(kind: K, object: Omit<Kinds[K], "apiVersion" | "kind">): void {
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    const before = this.world.get(kind, key);
    const {
      uid = `uid-${key}`,
      creationTimestamp = new Date(1_767_225_600_000 + ++this.#revision * 1000).toISOString(),
      generation = 1,
    } = before?.metadata ?? {};
    const info = KINDS[kind];
    const after = {
      ...object,
      apiVersion: storedApiVersion(info),
      kind: info.kind,
      metadata: { uid, creationTimestamp, generation, ...object.metadata, resourceVersion: String(this.#revision) },
    } as unknown as Kinds[K];
    this.world.set(kind, after);
    this.#changed({ kind, key, before, after } as ObjectChange);
  }

  delete(kind: KindId, key: string): void {
    const before = this.world.get(kind, key);
    if (before === undefined) return;
    this.world.delete(kind, before);
    this.#changed({ kind, key, before, after: undefined });
  }

  async until(done: () => boolean): Promise<void> {
    for (const end = Date.now() + 5_000; !done();) {
      if (Date.now() > end) throw new Error(`nothing happened for 5 s; events:\n${this.events.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  stop(): Promise<void> {
    return this.#runner.stop();
  }

  #changed(change: ObjectChange): void {
    this.#runner.changed([change]);
  }

  #writer(): Writer {
    return {
      create: async (kind, object) => this.put(kind, object),
      patch: async (kind, object, patch) => {
        const now = this.world.get(kind, objectKey(object));
        if (now !== undefined) this.put(kind, merged(now, patch) as typeof object);
      },
      patchStatus: async (kind, object, status) => {
        const now = this.world.get(kind, objectKey(object));
        if (now !== undefined) this.put(kind, merged(now, { status }) as typeof object);
      },
      bind: async (pod, nodeName) => {
        this.put("Pod", { ...pod, spec: { ...pod.spec, nodeName } });
      },
      remove: async (kind, object) => this.delete(kind, objectKey(object)),
    };
  }
}

/** RFC 7396, for what controllers send. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof target === "object" && target !== null ? { ...(target as KubeObject) } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (value !== undefined) result[key] = merged(result[key], value);
  }
  return result;
}

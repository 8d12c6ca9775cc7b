/**
 * Writes what the compilers find out about mesh objects as conditions on their status. Which statuses may have changed
 * is known from what each of them read; so a change of one Service looks at the routes to it and at nothing else.
 */
import type { ObjectChange } from "#client/informer.ts";
import { kindsWithStatus } from "#compile/status/kinds-with-status.ts";
import { statusOf, withTimes } from "#compile/status/status.ts";
import { gatewayController } from "#compile/mesh/settings.ts";
import { WorldTables } from "#compile/world-tables.ts";
import { structurallyEqual } from "#lib/equal.ts";
import { Incremental } from "#lib/incremental.ts";
import type { Derivation, Held } from "#lib/incremental.ts";
import type { KindId } from "#model/kinds.ts";
import { reconcileLoop } from "#run/reconcile.ts";
import type { ReconcileLoop } from "#run/reconcile.ts";
import { nowText } from "./control-api.ts";
import type { ControllerContext } from "./control-api.ts";

const KINDS_WITH_STATUS: ReadonlySet<KindId> = new Set(kindsWithStatus);

export class MeshStatuses {
  readonly #context: ControllerContext;
  readonly #engine = new Incremental();
  readonly #tables = new WorldTables(this.#engine);
  readonly #status: Derivation<object | undefined>;
  readonly #held = new Map<string, Held<object | undefined>>();
  /** What was last written: a server that stores it in other words must not be asked again and again. */
  readonly #written = new Map<string, object>();
  readonly #loop: ReconcileLoop;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#status = this.#engine.derive("status", (read, key) => {
      const { kind, object: name } = splitStatusKey(key);
      const reader = this.#tables.reader(read);
      const object = reader.get(kind, name);
      return object === undefined ? undefined : statusOf(kind, object, reader);
    });
    this.#loop = reconcileLoop({ name: "mesh status", host: context.host, log: context.log, concurrency: 8, reconcile: (key) => this.#write(key) });
  }

  apply(changes: readonly ObjectChange[]): void {
    const touched: string[] = [];
    for (const { kind, key, after } of changes) {
      this.#tables.apply(after === undefined ? { kind, key } : { kind, key, object: after });
      if (!KINDS_WITH_STATUS.has(kind)) continue;
      const statusKey = `${kind} ${key}`;
      if (after === undefined) this.#forget(statusKey);
      else {
        if (!this.#held.has(statusKey)) this.#held.set(statusKey, this.#engine.hold(this.#status, statusKey));
        touched.push(statusKey);
      }
    }
    // Only now: in the midst of the changes a route would look as if what it names were missing.
    for (const key of [...touched, ...this.#engine.staleHeld(this.#status)]) this.#loop.add(key);
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  #forget(key: string): void {
    this.#held.get(key)?.release();
    this.#held.delete(key);
    this.#written.delete(key);
    this.#engine.collect();
  }

  async #write(key: string): Promise<void> {
    const { world, writer, host } = this.#context;
    const { kind, object: name } = splitStatusKey(key);
    const object = world.get(kind, name);
    const status = this.#held.get(key)?.get();
    if (object === undefined || status === undefined) return;
    const all = "status" in object ? object.status : undefined;
    const { others, own: old } = shared(all, Object.keys(status));
    const { generation } = object.metadata;
    const wanted = withTimes(status, old, nowText(host), generation);
    // Nothing to say about what is all others' is best said by nothing.
    if (structurallyEqual(wanted, old) || (old === undefined && saysNothing(wanted))) return;
    // Without times, which differ at every look, but with the generation, which is observed anew.
    const plain = { uid: object.metadata.uid, status: withTimes(status, undefined, "", generation) };
    if (structurallyEqual(plain, this.#written.get(key))) return;
    await writer.patchStatus(kind, object, withParents(wanted, others));
    // While that was heard the object may have gone, and another of its name, which nobody has told anything, come.
    if (this.#held.has(key)) this.#written.set(key, plain);
  }
}

function splitStatusKey(key: string): { readonly kind: KindId; readonly object: string } {
  const space = key.indexOf(" ");
  return { kind: key.slice(0, space) as KindId, object: key.slice(space + 1) };
}

interface ByParents {
  readonly parents?: readonly { readonly controllerName?: string }[];
}

/**
 * Several controllers share a route's status: each says what it makes of the parents that are its own, and leaves the rest as
 * it is. Fields that we do not write are not compared either.
 */
function shared(status: unknown, fields: readonly string[]): { readonly others: readonly object[]; readonly own: object | undefined } {
  if (typeof status !== "object" || status === null) return { others: [], own: undefined };
  const { parents, ...rest } = status as ByParents;
  const isOwn = ({ controllerName }: { readonly controllerName?: string }): boolean => controllerName === gatewayController;
  const known: Readonly<Record<string, unknown>> = { ...rest, ...(parents === undefined ? {} : { parents: parents.filter(isOwn) }) };
  const own = Object.fromEntries(fields.flatMap((field) => (known[field] === undefined ? [] : [[field, known[field]]])));
  return { others: parents?.filter((each) => !isOwn(each)) ?? [], own: Object.keys(own).length === 0 ? undefined : own };
}

function saysNothing(status: object): boolean {
  return Object.values(status).every((value) => Array.isArray(value) && value.length === 0);
}

function withParents(status: object, others: readonly object[]): object {
  return others.length === 0 ? status : { ...status, parents: [...others, ...((status as ByParents).parents ?? [])] };
}

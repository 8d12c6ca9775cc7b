/** From a World that changes to the plan of each proxy, incrementally. */
import { Incremental, type Derivation, type Held, type Read } from "#lib/incremental.ts";
import { WorldTables, type WorldChange } from "#compile/world-tables.ts";
import { XDS_TYPES, type ProxyPlan } from "#model/plan/proxy-plan.ts";
import type { World } from "#model/world.ts";
import { meshFacts, sharedResources, type MeshFacts } from "./derivations.ts";
import { gatewayResources } from "./gateway-resources.ts";
import { sameSet } from "./resource-set.ts";
import { sidecarResources } from "./sidecar-resources.ts";

export class MeshCompiler {
  readonly #engine = new Incremental();
  readonly #tables: WorldTables;
  readonly #facts: MeshFacts;
  readonly #plan: Derivation<ProxyPlan | undefined>;
  readonly #held = new Map<string, Held<ProxyPlan | undefined>>();

  constructor(world: World = {}) {
    this.#tables = new WorldTables(this.#engine, world);
    this.#facts = meshFacts(this.#engine, this.#tables);
    this.#plan = this.#derivePlan();
  }

  /** Answers whether anything changed that a plan may depend on. */
  apply(changes: readonly WorldChange[]): boolean {
    let changed = false;
    for (const change of changes) changed = this.#tables.apply(change) || changed;
    return changed;
  }

  /** undefined: there is no such Pod, or it has no proxy. The same object as before when nothing changed. */
  plan(podKey: string): ProxyPlan | undefined {
    return this.#held.get(podKey)?.get() ?? this.#engine.get(this.#plan, podKey);
  }

  /** Keeps the plan of a connected proxy current, and counts it in `changed`. */
  follow(podKey: string): void {
    if (!this.#held.has(podKey)) this.#held.set(podKey, this.#engine.hold(this.#plan, podKey));
  }

  unfollow(podKey: string): void {
    this.#held.get(podKey)?.release();
    this.#held.delete(podKey);
    this.#engine.collect();
  }

  /** Followed proxies whose plan became different since it was last asked for. */
  changed(): readonly string[] {
    return this.#engine.staleHeld(this.#plan).filter((key) => {
      const held = this.#held.get(key);
      if (held === undefined) return false;
      const before = held.changedAt;
      held.get();
      return held.changedAt !== before;
    });
  }

  /** Grows with every change of the World that a compiler may see. */
  get revision(): number {
    return this.#engine.revision;
  }

  /** How often each derivation ran: for tests and for the curious. */
  recomputed(): ReadonlyMap<string, number> {
    return this.#engine.recomputed();
  }

  #derivePlan(): Derivation<ProxyPlan | undefined> {
    const shared = sharedResources(this.#engine, this.#facts);
    const sidecar = sidecarResources(this.#engine, this.#facts, shared);
    const gateway = gatewayResources(this.#engine, this.#facts, shared);
    const plan = (read: Read, key: string): ProxyPlan | undefined => {
      const proxy = read.derived(this.#facts.workload, key)?.proxy;
      if (proxy === undefined) return undefined;
      const own = proxy === "sidecar" ? sidecar : gateway;
      return {
        resources: new Map([
          [XDS_TYPES.cluster, read.derived(own.clusters, key)],
          [XDS_TYPES.endpoints, read.derived(shared.loadAssignments, "")],
          [XDS_TYPES.listener, read.derived(own.listeners, key)],
          [XDS_TYPES.routes, read.derived(own.routes, key)],
          [XDS_TYPES.secret, read.derived(own.secrets, key)],
        ]),
      };
    };
    return this.#engine.derive("plan", plan, { equals: samePlan });
  }
}

function samePlan(a: ProxyPlan | undefined, b: ProxyPlan | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  for (const [type, resources] of a.resources) if (!sameSet(resources, b.resources.get(type) ?? new Map())) return false;
  return true;
}

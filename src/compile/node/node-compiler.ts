/**
 * The incremental NodePlan: every piece is a derivation keyed by its object, so that a change costs what it touches. The
 * plan itself joins them; its readers compare tables element by element (wire/nft/diff.ts).
 */
import type { ServiceNames } from "#compile/dns/zone.ts";
import type { PodInterception } from "#compile/interception/interception.ts";
import type { Isolation } from "#compile/policy/policy.ts";
import type { PolicyRules } from "#compile/policy/policy-rules.ts";
import type { NodeRoutes } from "#compile/routes/routes.ts";
import type { HostPorts } from "#compile/services/host-ports.ts";
import type { ServiceRules } from "#compile/services/service-rules.ts";
import { WorldTables, type WorldChange } from "#compile/world-tables.ts";
import { Incremental, type Derivation, type Held, type Read, type Table } from "#lib/incremental.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import type { DnsZone, NodePlan } from "#model/plan/node-plan.ts";
import type { World } from "#model/world.ts";
import { compileZone, joinNode, piecesOf, type ClusterFacts, type NodePieces, type NodeQuestion } from "./node.ts";
import type { NodeReader } from "./pods.ts";
import { selfOf, type NodeSelf } from "./self.ts";
import type { LocalPod } from "./settings.ts";

export class NodeCompiler {
  readonly #engine = new Incremental();
  readonly #world: WorldTables;
  readonly #wired: Table<LocalPod>;
  readonly #self: Derivation<NodeSelf>;
  readonly #plan: Held<NodePlan>;

  constructor(question: NodeQuestion, world: World = {}) {
    this.#world = new WorldTables(this.#engine, world);
    this.#wired = this.#engine.table<LocalPod>("wired pods");
    this.#self = this.#engine.derive("self", (read) => selfOf(this.#world.reader(read), question.node));
    const piece = <V>(name: string, make: (pieces: NodePieces, key: string, reader: NodeReader) => V): Derivation<V> =>
      this.#engine.derive(name, (read, key) => {
        const reader = this.#reader(read);
        return make(piecesOf(reader, question), key, reader);
      });
    const service = piece<ServiceRules | undefined>("service rules", (pieces, key) => pieces.service(key));
    const names = piece<ServiceNames>("service names", (pieces, key) => pieces.names(key));
    const policy = piece<PolicyRules>("policy rules", (pieces, key) => pieces.policy(key));
    const interception = piece<PodInterception>("interception", (pieces, key) => pieces.interception(key));
    const routes = piece<NodeRoutes>("node routes", (pieces) => pieces.routes());
    const zone = this.#engine.derive<DnsZone>("zone", (read) => compileZone(this.#reader(read), question.settings, (key) => read.derived(names, key)));
    const cluster = piece<ClusterFacts>("cluster facts", (pieces) => pieces.cluster());
    const hostPorts = piece<HostPorts>("host ports", (pieces, key) => pieces.hostPorts(JSON.parse(key) as LocalPod));
    // The key holds all of the pod that matters: it is known before any object says so.
    const isolation = piece<readonly Isolation[]>("isolation", (pieces, key) => pieces.isolation(JSON.parse(key) as LocalPod));
    const plan = this.#engine.derive<NodePlan>(
      "node plan",
      (read) => {
        const pieces: NodePieces = {
          service: (key) => read.derived(service, key),
          hostPorts: ({ uid, namespace, name, ip }) => read.derived(hostPorts, JSON.stringify({ uid, namespace, name, ip })),
          names: (key) => read.derived(names, key),
          policy: (key) => read.derived(policy, key),
          isolation: ({ uid, namespace, name, ip, netns }) => read.derived(isolation, JSON.stringify({ uid, namespace, name, ip, netns })),
          interception: (key) => read.derived(interception, key),
          routes: () => read.derived(routes, ""),
          zone: () => read.derived(zone, ""),
          cluster: () => read.derived(cluster, ""),
        };
        return joinNode(this.#reader(read), question, pieces);
      },
      { equals: Object.is },
    );
    this.#plan = this.#engine.hold(plan, "");
  }

  /** The same object as before when nothing changed that it reads. */
  plan(): NodePlan {
    const plan = this.#plan.get();
    this.#engine.collect();
    return plan;
  }

  /** Answers whether anything changed that a compiler may see. */
  apply(change: WorldChange): boolean {
    return this.#world.apply(change);
  }

  wire(pod: LocalPod): void {
    this.#wired.set(pod.uid, pod);
  }

  unwire(uid: string): void {
    this.#wired.delete(uid);
  }

  /** How often each piece was computed. */
  recomputed(): ReadonlyMap<string, number> {
    return this.#engine.recomputed();
  }

  #reader(read: Read): NodeReader {
    const world = this.#world.reader(read);
    return {
      ...world,
      localPod: (uid) => read.get(this.#wired, uid),
      localPods: () => read.all(this.#wired),
      self: () => read.derived(this.#self, ""),
      slicesOf: (service) => read.group(this.#world.slicesByService, service) as readonly EndpointSlice[],
    };
  }
}

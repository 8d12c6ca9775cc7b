/**
 * Who talks to whom while things die: on each node, in the mesh and outside it, a pod that is guarded by a policy, one that may ask
 * it and keeps its connections, and one that may not and tries all the time. Before the policies are there everybody
 * gets through: so the tries would tell. Somebody outside the cluster asks through a gateway.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { provideImages } from "#tools/kubernetes/demo-world.ts";
import { progress } from "#tools/kubernetes/progress.ts";
import { eventually } from "../on-kubernetes.ts";
import { broken, isServed } from "./judge.ts";
import { GATEWAY, IMAGE, MESH, namespaces, NAMESPACES, PLAIN, podsAndServices, policies, ROLES, service, wayIn } from "./manifests.ts";
import { lastSaid, saidSince, type Attempts, type Said } from "./said.ts";
import { startVisitor, VISITOR, type Visitor } from "./visitor.ts";

/** The slowest way back is a node's, on a machine with two cores. */
const PATIENCE_MS = 240_000;
/** Longer than a busy machine keeps anybody waiting, shorter than any reconnection would hide. */
const QUIET_MS = 10_000;
/** Some lines of everybody. */
const STILL_MS = 4000;

/** Kubernetes' controllers wait up to half a minute before they ask an API server again that was away, and a busy machine doubles it. */
const WRITTEN_MS = 120_000;
/**
 * From then on it is our part: agents and the control plane were told, or look out for the API server every few seconds. Asking costs
 * two seconds of it.
 */
const NEWS_MS = 10_000;
const NEWS = "news";
/** Asking costs more than answering. */
const ASK_MS = 3000;

/** Before a fault. */
export interface Mark {
  readonly at: Date;
  readonly said: ReadonlyMap<string, Said>;
}

export interface Damage {
  /** The node that died with all its pods. */
  readonly lost?: string | undefined;
  /** So many requests from outside may fail: those that a gateway's process had when it was killed, and until that is known. */
  readonly visitsMayFail?: number;
}

export class FaultWorld {
  readonly cluster: KubernetesCluster;
  readonly nodes: readonly string[];
  /** Namespaces whose pods' policies are held by us: with profile mesh, the network's are another's. */
  readonly guards: readonly string[];
  #visitor: Visitor | undefined;

  private constructor(cluster: KubernetesCluster, nodes: readonly string[]) {
    this.cluster = cluster;
    this.nodes = nodes;
    this.guards = cluster.profile === "full" ? NAMESPACES : [MESH];
  }

  static async start(cluster: KubernetesCluster): Promise<FaultWorld> {
    assert.ok(cluster.nodes, "nodes can be reached");
    await provideImages(cluster, [`image: ${IMAGE}`]);
    const world = new FaultWorld(cluster, cluster.nodes.names);
    try {
      await world.#begin();
    } catch (error) {
      world.stop();
      throw error;
    }
    return world;
  }

  async #begin(): Promise<void> {
    progress("starting pods that ask, are guarded, and intrude");
    await this.apply(namespaces());
    await this.apply([...podsAndServices(this.nodes, this.guards), ...wayIn()]);
    await this.#ready();
    this.#visitor = startVisitor(this.cluster, await this.#gateway());
    progress("without policies everybody gets through");
    await this.#until("everybody gets through", (said) => isServed(said) && said.every(({ attempts }) => Object.values(attempts).every(getsThrough)));
    await this.apply(policies(this.guards));
    progress("with policies nobody does who may not");
    for (let before = -1, now = await this.#leaked(); now !== before; before = now, now = await this.#leaked()) await sleep(STILL_MS);
  }

  async apply(items: readonly object[]): Promise<void> {
    await this.cluster.apply(JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  }

  async mark(): Promise<Mark> {
    return { at: new Date(), said: await this.#said() };
  }

  stop(): void {
    this.#visitor?.stop();
  }

  /** After a fault: waits until all pods serve again, and answers what happened since the mark that must not. */
  async brokenSince({ at, said: before }: Mark, { lost, visitsMayFail = 0 }: Damage = {}): Promise<readonly string[]> {
    await this.#ready();
    await this.#until("everybody is served", isServed);
    const since = await Promise.all(NAMESPACES.map((namespace) => saidSince(this.cluster, namespace, "role", at)));
    // In the mesh a proxy takes any connection, and decides then.
    const mayNotConnect = (pod: string, host: string): boolean => pod.startsWith(`${PLAIN}/`) && host.includes(`.${PLAIN}.`);
    const lines = new Map([...since.flatMap((each) => [...each]), [VISITOR, this.#visitor?.since(at) ?? []]]);
    // Who is outside hears of a node's death when its cluster does.
    const mayFail = (pod: string): number => (pod !== VISITOR ? 0 : lost === undefined ? visitsMayFail : Infinity);
    return broken({ before, since: lines, lost, quietMs: QUIET_MS, mayFail, mayNotConnect });
  }

  /**
   * A Service that is new is found by who may ask, on each node, in the mesh and outside it, and one that goes is not any more;
   * answers who did not hear of it.
   */
  async deafToNews(): Promise<readonly string[]> {
    const applied = Date.now();
    await this.apply(NAMESPACES.map((namespace) => service(NEWS, namespace, { selector: { role: "guarded" } })));
    const unwritten = await eventually(
      () => this.#unwritten(NEWS),
      (namespaces) => namespaces.length === 0,
      WRITTEN_MS,
    );
    const written = Date.now();
    const deaf = await this.#deaf(({ news }) => Date.parse(news.since) > applied);
    const heard = [...(await this.#listeners())].map(([, { news }]) => Date.parse(news.since) - applied);
    progress(`a new Service: its endpoints were written after ${written - applied} ms, the last one heard of it after ${Math.max(...heard)} ms`);
    for (const namespace of NAMESPACES) await this.cluster.get("-n", namespace, "delete", "service", NEWS);
    const still = await this.#deaf(({ news }) => news.since === "");
    return [
      ...unwritten.map((namespace) => `Kubernetes wrote no endpoints of ${namespace}/${NEWS}`),
      ...deaf.map(([pod, { news }]) => `${pod} does not find ${NEWS}: ${news.failure}`),
      ...still.map(([pod]) => `${pod} still finds ${NEWS}, which is gone`),
    ];
  }

  async #deaf(hasHeard: (said: Said) => boolean): Promise<readonly (readonly [string, Said])[]> {
    const look = async () => [...(await this.#listeners())].filter(([, said]) => !hasHeard(said));
    return eventually(look, (deaf) => deaf.length === 0, NEWS_MS);
  }

  async #listeners(): Promise<ReadonlyMap<string, Said>> {
    const all = await Promise.all(NAMESPACES.map((namespace) => lastSaid(this.cluster, namespace, "role=asks")));
    return new Map(all.flatMap((each) => [...each]));
  }

  /** Namespaces in which a Service has no endpoint yet. */
  async #unwritten(service: string): Promise<readonly string[]> {
    const { stdout } = await this.cluster.kubectl(
      ...["get", "endpointslices", "-A", "-l", `kubernetes.io/service-name=${service}`],
      ...["-o", 'jsonpath={range .items[?(@.endpoints)]}{.metadata.namespace}{"\\n"}{end}'],
    );
    return NAMESPACES.filter((namespace) => !stdout.split("\n").includes(namespace));
  }

  /** The address of its own that it is told to have. */
  async #gateway(): Promise<string> {
    const address = await eventually(
      () => this.cluster.get("-n", MESH, "get", "gateway", GATEWAY, "-o", "jsonpath={.status.addresses[0].value}"),
      (text) => text !== "",
    );
    assert.notEqual(address, "", "the Gateway has an address");
    return address;
  }

  async #ready(): Promise<void> {
    for (const namespace of NAMESPACES) {
      const wait = ["kubectl", "-n", namespace, "wait", "--for=condition=Ready", "pod", "-l", "role", `--timeout=${PATIENCE_MS / 1000}s`] as const;
      const { code, stderr } = await this.cluster.run(wait, { timeoutMs: PATIENCE_MS + 5000 });
      assert.equal(code, 0, `pods of ${namespace} are Ready: ${stderr}`);
    }
  }

  async #until(what: string, holds: (said: readonly Said[]) => boolean): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; ; await sleep(ASK_MS)) {
      const said = await this.#said();
      if (said.size === this.nodes.length * NAMESPACES.length * ROLES.length + 1 && holds([...said.values()])) return;
      if (Date.now() > end) throw new Error(`it should be so by now that ${what}: ${JSON.stringify(Object.fromEntries(said), undefined, 1)}`);
    }
  }

  async #leaked(): Promise<number> {
    const all = [...(await this.#said()).values()].flatMap(({ attempts }) => Object.values(attempts));
    return all.reduce((sum, { echoed }) => sum + echoed, 0);
  }

  async #said(): Promise<ReadonlyMap<string, Said>> {
    const all = await Promise.all(NAMESPACES.map((namespace) => lastSaid(this.cluster, namespace, "role")));
    const visits = this.#visitor?.last;
    return new Map([...all.flatMap((each) => [...each]), ...(visits === undefined ? [] : [[VISITOR, visits] as const])]);
  }
}

const getsThrough = ({ echoed }: Attempts): boolean => echoed > 0;
